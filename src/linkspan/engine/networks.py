"""The networks as users see them: making, showing, removing."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine import network_views
from linkspan.engine.default_network import Predefined
from linkspan.engine.events import Events
from linkspan.engine.forwarding import Forwarding
from linkspan.engine.lookup import Lookup
from linkspan.engine.network_plan import Planner
from linkspan.engine.network_update import Updater
from linkspan.engine.resolution import Resolution
from linkspan.engine.retired import Retired
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.subnets import Subnets
from linkspan.engine.views import NetworkView, Pruned
from linkspan.errors import Conflict, EngineError, Forbidden, NotFound
from linkspan.kernel import survey
from linkspan.kernel.thread import KernelThread
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import PREDEFINED, Network
from linkspan.model.network_request import NetworkRequest
from linkspan.model.network_update import NetworkUpdate
from linkspan.store.base import Store
from linkspan.undo import Undo

CALM = 1.0
"""Seconds between a change of the host's routes and the look whether it is in a network's way."""
logger = logging.getLogger(__name__)


class Networks:
    """Makes, shows and removes networks."""

    def __init__(
        self,
        config: Config,
        store: Store,
        kernel: KernelThread,
        drivers: Mapping[str, Driver],
        parts: tuple[Sandboxes, Events, Resolution],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._watches = config.repair
        self._store = store
        self._kernel = kernel
        self._drivers = drivers
        self._sandboxes, self._events, self._resolution = parts
        self._lookup = Lookup(store)
        self._forwarding = Forwarding(config, store)
        self._subnets = Subnets(config, store.setting("id") or "")
        self._planner = Planner(config, store, self._subnets)
        self._updater = Updater(store, drivers, (self._sandboxes, self._subnets))
        self._predefined = Predefined(config, store, drivers)
        self._retired = Retired(kernel)
        self._pruning = False
        self._look: asyncio.Task[None] | None = None

    def open(self) -> bool:
        """Make on the host what the store knows. Runs on the kernel thread.

        Tells whether a predefined network has changed since the last engine: the ruleset still holds what it was.
        """
        changed = self._predefined.open()
        self._subnets.load(self._store.networks())
        ours = {name for name, state in survey.links().items() if state.ours and not state.doomed}
        for network in self._store.networks():
            if network.user_defined and network.bridge and network.bridge not in ours:
                self._restore(network)
        return changed

    def _restore(self, network: Network) -> None:
        """Make a network again, after a reboot; if that fails the others must not go without, and the watch will try again."""
        try:
            self._make(network)
        except EngineError as error:
            logger.error("network %s (%s) could not be made: %s", network.name, network.id[:12], error)  # noqa: TRY400  no bug

    async def list(self, filters: Mapping[str, Sequence[str]]) -> list[NetworkView]:
        """Return the networks that pass Docker's filters."""
        views = [network_views.view(self._store, network) for network in self._store.networks()]
        return [seen for seen in views if network_views.passes(seen, filters)]

    async def inspect(self, ref: str) -> NetworkView:
        """Return one network with its members; raises NotFound."""
        return network_views.in_full(self._store, self._lookup.network(ref))

    async def create(self, request: NetworkRequest) -> tuple[str, tuple[str, ...]]:
        """Make a network, all of it or none; returns its id and warnings. Raises Docker's errors."""
        identity, created = os.urandom(32).hex(), time.time_ns()
        return await self._kernel.run(partial(self._create, request, identity, created))

    async def update(self, ref: str, update: NetworkUpdate) -> None:
        """Change a network, whoever is on it; raises NotFound, InvalidInput, Forbidden."""
        network = await self._kernel.run(partial(self._update, ref, update))
        await self._resolution.network_changed(network.id)

    async def remove(self, ref: str) -> None:
        """Remove a network that nobody uses; raises NotFound, Forbidden."""
        await self._kernel.run(partial(self._remove, ref))

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        """Remove the networks that nobody uses and that pass Docker's filters; `ids` are names here, as in Docker."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            views = [network_views.view(self._store, network) for network in self._store.networks()]
            names = []
            for seen in [seen for seen in views if network_views.prunable(seen, filters)]:
                try:
                    await self.remove(seen.network.id)
                except (Forbidden, NotFound):
                    continue  # somebody has begun to use it, or has removed it
                names.append(seen.network.name)
                await asyncio.sleep(0)
        finally:
            self._pruning = False
        self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return Pruned(ids=tuple(names))

    def _create(self, request: NetworkRequest, identity: str, created: int) -> tuple[str, tuple[str, ...]]:
        network, warnings = self._planner.plan(request, identity, created)
        with Undo() as undo:
            self._subnets.add(network)
            undo.push(f"give the subnets of {network.name} back", partial(self._subnets.remove, network))
            if not network.config_only:
                driver = self._drivers[network.driver]
                driver.validate(network)
                self._retired.finish(network.bridge)
                driver.create(network, undo)
                self._forwarding.need(network)
            self._store.put_network(network)
        self._tell(network, "create")
        return network.id, warnings

    def follow(self) -> None:
        """Look from now on whether what comes on the host overlaps a network; the log says so. Not where the host is not to be watched."""
        if not self._watches:
            return
        self._loop.add_reader(self._subnets.fd, self._heard)
        self._heard()

    def _heard(self) -> None:
        self._loop.remove_reader(self._subnets.fd)
        self._look = self._loop.create_task(self._look_around())

    async def _look_around(self) -> None:
        await asyncio.sleep(CALM)
        try:
            for sentence in await self._kernel.run(self._subnets.intruders):
                logger.warning("%s: some addresses are there twice, and who is meant may not be reached", sentence)
        except EngineError as error:
            logger.warning("%s", error)
        self._loop.add_reader(self._subnets.fd, self._heard)

    async def close(self) -> None:
        """Do what was put off."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
        self._loop.remove_reader(self._subnets.fd)
        await self._retired.close()

    def pending(self) -> frozenset[str]:
        """Return the interfaces of removed networks that are still to be deleted."""
        return self._retired.pending()

    def _update(self, ref: str, update: NetworkUpdate) -> Network:
        network = self._updater.update(self._lookup.network(ref), update)
        self._tell(network, "update")
        return network

    def _remove(self, ref: str) -> None:
        network = self._lookup.network(ref)
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        self._check_unused(network)
        left: tuple[str, ...] = ()
        with Undo() as undo:
            if not network.config_only:
                undo.push(f"make network {network.name} again", partial(self._make, network))
                left = self._drivers[network.driver].retire(network)
            self._store.delete_network(network.id)
        self._subnets.remove(network)
        self._loop.call_soon_threadsafe(self._retired.add, left)
        self._tell(network, "destroy")

    def _make(self, network: Network) -> None:
        with Undo() as undo:
            self._drivers[network.driver].create(network, undo)
            self._forwarding.need(network)

    def _check_unused(self, network: Network) -> None:
        refusal = "error while removing network:"
        if network.config_only and any(other.config_from == network.name for other in self._store.networks()):
            raise Forbidden(f'{refusal} configuration network "{network.name}" is in use')
        # What has ended and is not cleared away yet does not count.
        self._sandboxes.clear(endpoint.sandbox for endpoint in self._store.endpoints_on(network.id) if endpoint.attached)
        active = [endpoint for endpoint in self._store.endpoints_on(network.id) if endpoint.attached]
        if active:
            names = ", ".join(self._described(endpoint) for endpoint in active)
            raise Forbidden(f"{refusal} network {network.name} has active endpoints ({names})")

    def _described(self, endpoint: Endpoint) -> str:
        owner = self._store.container(endpoint.sandbox)
        return f'name:"{owner.name if owner else ""}" id:"{endpoint.id[:12]}"'

    def _tell(self, network: Network, action: str) -> None:
        """Say what has been done, also if the client has hung up meanwhile."""
        attributes = {"name": network.name, "type": network.driver}
        self._loop.call_soon_threadsafe(self._events.publish, "network", action, network.id, attributes)
        logger.info("network %s %s (%s)", action, network.name, network.id[:12])
