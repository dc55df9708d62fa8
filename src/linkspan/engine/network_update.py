"""Changing a network while containers are on it: labels, name servers, MTU, icc, a larger subnet. Used on the kernel thread."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from linkspan.drivers.base import Driver
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.subnets import Subnets
from linkspan.errors import Forbidden
from linkspan.kernel import address, survey
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import PREDEFINED, Network
from linkspan.model.network_update import NetworkUpdate
from linkspan.plan.network_change import changed, moved
from linkspan.store.base import Store
from linkspan.undo import Undo


class Updater:
    """Carries updates out: all of one, or nothing."""

    def __init__(self, store: Store, drivers: Mapping[str, Driver], parts: tuple[Sandboxes, Subnets]) -> None:
        self._store = store
        self._drivers = drivers
        self._sandboxes, self._subnets = parts

    def update(self, network: Network, update: NetworkUpdate) -> Network:
        """Return the network as it is now; raises InvalidInput, Forbidden."""
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network: its settings are the engine's")
        wanted = changed(network, update).fitted(survey.egress_mtu())
        with Undo() as undo:
            if wanted.subnets != network.subnets:
                self._subnets.replace(network, wanted)
                undo.push(f"give the subnets of {network.name} back", partial(self._subnets.replace, wanted, network))
            if not network.config_only:
                self._reshape(network, wanted, undo)
            with self._store.transaction():
                self._store.put_network(wanted)
                for endpoint in self._store.endpoints_on(network.id):
                    self._store.put_endpoint(moved(endpoint, wanted))
        return wanted

    def _reshape(self, network: Network, wanted: Network, undo: Undo) -> None:
        driver = self._drivers[network.driver]
        driver.reshape(network, wanted, undo)
        plugged = [(endpoint, self._sandboxes.path(endpoint.sandbox)) for endpoint in self._store.endpoints_on(network.id)]
        attached = [(endpoint, path) for endpoint, path in plugged if endpoint.attached]
        for endpoint, path in attached:
            undo.push(f"configure {endpoint.host_interface} as it was", partial(self._rewire, driver, network, endpoint, path))
            self._rewire(driver, wanted, moved(endpoint, wanted), path)
        if wanted.mtu != network.mtu:
            undo.push(f"give {network.bridge} its MTU again", partial(driver.resize, network, attached))
            driver.resize(wanted, attached)

    @staticmethod
    def _rewire(driver: Driver, network: Network, endpoint: Endpoint, path: Path) -> None:
        """Give the interface the addresses that it should have, and no others of the network's."""
        driver.restore(network, endpoint, path)
        address.keep_inside(path, endpoint.interface, endpoint.addresses)
