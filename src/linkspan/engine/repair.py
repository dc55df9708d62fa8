"""Mending what the comparison of store and kernel found: with the same code that made it in the first place."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from linkspan.drivers.base import Driver
from linkspan.engine.files import ContainerFiles
from linkspan.engine.sandboxes import Sandboxes
from linkspan.errors import EngineError, NotFound
from linkspan.kernel import link, mount, netns, process, survey, sysctl, tree
from linkspan.kernel.nft import Firewall
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network
from linkspan.plan.converge import Difference, Kind, Mend
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store
from linkspan.undo import Undo

logger = logging.getLogger(__name__)

UNASKED = frozenset({Mend.RESTART, Mend.ADMIN})
"""What is not for us to do."""
SWEPT = frozenset({Mend.PROCESS, Mend.NAMESPACE_AWAY, Mend.LINK_AWAY, Mend.MOUNT_AWAY, Mend.FOLDER_AWAY, Mend.ADDRESS_AWAY})
"""What is done with strays."""


class Repairer:
    """Mends differences, one at a time, and sweeps strays.

    Each mend looks again whether it is still wanted: something may have happened since.
    """

    def __init__(
        self,
        store: Store,
        kernel: KernelThread,
        rules: Firewall,
        drivers: Mapping[str, Driver],
        parts: tuple[Sandboxes, ContainerFiles, Runtime],
    ) -> None:
        self._store = store
        self._kernel = kernel
        self._rules = rules
        self._drivers = drivers
        self._sandboxes, self._files, self._runtime = parts
        self._mends: Mapping[Mend, Callable[[str], None]] = {
            Mend.SETTING: self._setting,
            Mend.MTU: self._mtu,
            Mend.NETWORK: self._network,
            Mend.NAMESPACE: self._namespace,
            Mend.ENDPOINT: self._endpoint,
            Mend.PORT: self._plug,
            Mend.INSIDE: self._plug,
            Mend.RULES: self._ruleset,
        }

    async def mend(self, difference: Difference) -> None:
        """Do what mends it. Raises EngineError if it cannot be done."""
        if difference.mend in UNASKED:
            raise EngineError(difference.mend.value)
        if difference.mend in SWEPT:
            await self.sweep([difference])
            return
        await self._kernel.run(partial(self._mends[difference.mend], difference.subject))
        self._marked(difference, "")

    async def sweep(self, strays: Sequence[Difference]) -> None:
        """Take away what nobody owns. Raises EngineError if something cannot be."""
        for stray in strays:
            if stray.mend is Mend.PROCESS:
                await self._runtime.sweep(stray.subject)
        await self._kernel.run(partial(self._sweep, strays))

    def _sweep(self, strays: Sequence[Difference]) -> None:
        subjects: dict[Mend, list[str]] = {}
        for stray in strays:
            subjects.setdefault(stray.mend, []).append(stray.subject)
        self._sandboxes.clear(subjects.get(Mend.NAMESPACE_AWAY, ()))
        for name in subjects.get(Mend.NAMESPACE_AWAY, ()):
            netns.delete(self._sandboxes.path(name))
        link.delete_many(subjects.get(Mend.LINK_AWAY, ()))
        for container_id in subjects.get(Mend.MOUNT_AWAY, ()):
            for mounted in mount.mounts_under(self._files.of(container_id)):
                mount.unmount(mounted)
        for container_id in subjects.get(Mend.FOLDER_AWAY, ()):
            with contextlib.suppress(OSError):  # the next start tries again
                tree.remove(self._files.of(container_id))
        for endpoint_id in subjects.get(Mend.ADDRESS_AWAY, ()):
            self._drop(endpoint_id)

    def _drop(self, endpoint_id: str) -> None:
        """Forget an endpoint that is nobody's; its interface is gone. Default routes may have gone by it."""
        endpoint = self._store.endpoint(endpoint_id)
        if endpoint is not None and endpoint.attached:
            self._sandboxes.openings.shut([endpoint])
        self._store.delete_endpoint(endpoint_id)
        for other in self._store.endpoints_of(endpoint.sandbox) if endpoint else ():
            self._plug(other.id)

    def names(self, containers: Iterable[Container]) -> None:
        """Let containers that run, each with files of its own, have their own addresses in their /etc/hosts."""
        for container in containers:
            try:
                self._files.straighten(container)
            except OSError as error:
                logger.warning("the hosts of %s may name addresses that it does not have: %s", container.name, error.strerror)

    def mark(self, difference: Difference, error: str) -> None:
        """Say in the state of the containers that it cuts off what could not be mended."""
        self._marked(difference, f"{difference.sentence}, and it could not be mended: {error}")

    def _marked(self, difference: Difference, text: str) -> None:
        for container_id in difference.containers if difference.kind is not Kind.SETTING else ():
            current = self._store.container(container_id)
            if current and current.state.running and current.state.error != text:
                self._store.put_container(replace(current, state=replace(current.state, error=text)))

    def _setting(self, key: str) -> None:
        owners = (self._drivers[network.driver].settings(network) for network in self._store.networks())
        sysctl.put(key, next((settings[key] for settings in owners if key in settings), "1"))

    def _network(self, network_id: str) -> None:
        network = self._known(network_id)
        with Undo() as undo:
            self._drivers[network.driver].create(network, undo)

    def _mtu(self, network_id: str) -> None:
        network = self._known(network_id)
        fitted = network.fitted(survey.egress_mtu())
        attached = [endpoint for endpoint in self._store.endpoints_on(network_id) if endpoint.attached]
        plugged = [(endpoint, self._sandboxes.path(endpoint.sandbox)) for endpoint in attached]
        self._drivers[network.driver].resize(fitted, plugged)
        self._store.put_network(fitted)

    def _namespace(self, sandbox_id: str) -> None:
        """Bind it again by a process that is in it."""
        path = self._sandboxes.path(sandbox_id)
        if netns.exists(path):
            return
        for member in self._store.members(sandbox_id):
            # The monitor is the parent as long as the pid means this container.
            if member.state.running and process.parent(member.state.pid) == member.state.monitor_pid:
                netns.bind(path, member.state.pid)
                return
        raise NotFound("nothing runs in it any more")

    def _endpoint(self, endpoint_id: str) -> None:
        endpoint, network = self._plugged(endpoint_id)
        if endpoint is None or network is None:
            return
        driver = self._drivers[network.driver]
        driver.detach(network, [endpoint])
        with Undo() as undo:
            driver.attach(network, replace(endpoint, leads=()), self._sandboxes.path(endpoint.sandbox), undo)
        self._plug(endpoint_id)

    def _plug(self, endpoint_id: str) -> None:
        endpoint, network = self._plugged(endpoint_id)
        if endpoint is not None and network is not None:
            self._drivers[network.driver].restore(network, endpoint, self._sandboxes.path(endpoint.sandbox))
            self._sandboxes.endpoints.straighten(endpoint.sandbox, self._sandboxes.path(endpoint.sandbox))

    def _ruleset(self, _table: str) -> None:
        self._rules.apply(self._sandboxes.ruleset())

    def _plugged(self, endpoint_id: str) -> tuple[Endpoint | None, Network | None]:
        """Return an endpoint that is still wanted, and its network."""
        endpoint = self._store.endpoint(endpoint_id)
        if endpoint is None or not endpoint.attached or not self._store.members(endpoint.sandbox):
            return None, None
        return endpoint, self._known(endpoint.network)

    def _known(self, network_id: str) -> Network:
        found = self._store.network(network_id)
        if found is None:
            raise NotFound(f"network {network_id[:12]} is gone")
        return found
