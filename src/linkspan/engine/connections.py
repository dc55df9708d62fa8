"""Connecting containers to networks and disconnecting them, while they run or not (semantics: Docker's, in its order and words).

    connect       endpoint recorded → frames let through → plugged in → default routes → ports → /etc/hosts → record
    disconnect    frames shut → default routes → ports → /etc/hosts → unplugged → record

The record comes last: what a crash has left half done is undone by the next start. An endpoint of a network that its container is
not on is nobody's.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from linkspan.engine.attachments import SHARED, TO_HOST, Attachments, Joined, check_together
from linkspan.engine.files import ContainerFiles
from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.lookup import Lookup
from linkspan.engine.sandboxes import Sandboxes
from linkspan.errors import EngineError, Forbidden, InvalidInput, NotFound
from linkspan.kernel.thread import KernelThread
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network
from linkspan.store.base import Store
from linkspan.undo import Undo

FROM_HOST = "cannot disconnect container from host network - container was created in host network mode"


class Connections:
    """Connects and disconnects."""

    def __init__(self, store: Store, kernel: KernelThread, parts: tuple[Sandboxes, ContainerFiles, Lifecycle]) -> None:
        self._store = store
        self._kernel = kernel
        self._sandboxes, self._files, self._lifecycle = parts
        self._endpoints = self._sandboxes.endpoints
        self._attachments = Attachments(store)
        self._lookup = Lookup(store)

    async def connect(self, network_ref: str, container_ref: str, asked: Attachment) -> None:
        """Put a container on a network; raises Docker's errors."""
        container = self._lookup.container(container_ref)
        async with self._lifecycle.lock(container.id):
            container = self._lookup.container(container.id)
            live = container.state.running
            work = self._connect_running if live else self._connect_stopped
            network = await self._kernel.run(partial(work, container, network_ref, asked))
        if network and live:
            await self._lifecycle.resolution.refresh(container.id)
            self._lifecycle.events.connection(container.id, network, "connect")

    async def disconnect(self, network_ref: str, container_ref: str, *, force: bool = False) -> None:
        """Take a container off a network; raises Docker's errors."""
        try:
            container = self._lookup.container(container_ref)
        except NotFound:
            if not force:
                raise
            await self._kernel.run(partial(self._remove_stale, network_ref, container_ref))
            return
        async with self._lifecycle.lock(container.id):
            container = self._lookup.container(container.id)
            live = container.state.running
            network = await self._kernel.run(partial(self._disconnect, container, network_ref, force=force))
        if network and live:
            await self._lifecycle.resolution.refresh(container.id)
            self._lifecycle.events.connection(container.id, network, "disconnect")

    def _connect_running(self, container: Container, ref: str, asked: Attachment) -> Network:
        if container.spec.network.mode.kind == "container":
            raise InvalidInput(SHARED)
        network = self._lookup.network(ref)
        attachment, _ = self._attachments.resolved(replace(asked, network=network.id))
        self._check_host(container, network)
        if self._attachments.on(container, network.id):
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        present = [found for _, found in self._attachments.of(container) if found]
        check_together(present, network)
        self._check_usable(network)
        changed = replace(container, attachments=(*container.attachments, attachment))
        self._record_connected(changed, attachment, network)
        return network

    def _connect_stopped(self, container: Container, ref: str, asked: Attachment) -> Network | None:
        if container.spec.network.mode.kind == "container":
            raise InvalidInput(SHARED)  # Docker forgets to ask (semantics 3.5 d)
        attachment, network = self._attachments.resolved(replace(asked, network=ref))
        if network is None:
            known = any(ref in (each.network, each.name) for each in container.attachments)
        else:
            self._check_host(container, network)
            known = self._attachments.on(container, network.id) is not None
            if not known:
                check_together([found for _, found in self._attachments.of(container) if found], network)
        if known:
            return network
        changed = replace(container, attachments=(*container.attachments, attachment))
        if network is not None and self._sandboxes.live(container) is not None:
            self._record_connected(changed, attachment, network)
            return network
        with Undo() as undo:
            undo.push(f"forget that {container.name} is on {ref}", partial(self._store.put_container, container))
            self._store.put_container(changed)
            self._endpoints.hold(changed)
        return network

    @staticmethod
    def _check_host(container: Container, network: Network) -> None:
        if network.driver == "host" and container.spec.network.mode.kind != "host":
            raise InvalidInput(TO_HOST)

    @staticmethod
    def _check_usable(network: Network) -> None:
        if network.config_only:
            raise Forbidden("cannot create endpoint on configuration-only network")

    def _record_connected(self, container: Container, attachment: Attachment, network: Network) -> None:
        """Wire a container that runs to one more network, and record it so; `container` is as it will be."""
        namespace = self._sandboxes.live(container)
        if network.driver != "bridge" or namespace is None:
            self._store.put_container(container)
            return
        with Undo() as undo:
            former = self._store.endpoints_of(container.id)
            made = self._endpoints.one_more(container, Joined(attachment, network), undo)
            undo.push(f"shut the port of {container.name}", partial(self._sandboxes.openings.shut, [made]))
            plugged = self._endpoints.attach(made, namespace, undo)
            self._sandboxes.openings.let_through([plugged], undo)
            self._settle(container, (*former, plugged), former, namespace, undo)

    def _settle(
        self, container: Container, present: tuple[Endpoint, ...], former: tuple[Endpoint, ...], namespace: Path, undo: Undo
    ) -> None:
        """Let routes, ports and names follow the endpoints that the container has now, and record them."""
        led = self._endpoints.reroute(container, self._endpoints.in_order(container, present), former, namespace, undo)
        publishes = self._sandboxes.openings.move(container, former, led, undo)
        self._files.follow(container, former, led, undo)
        gone = [endpoint for endpoint in former if endpoint.id not in {kept.id for kept in led}]
        self._unplug(gone, namespace, undo)
        with self._store.transaction():
            for endpoint in led:
                self._store.put_endpoint(endpoint)
            for endpoint in gone:
                self._store.delete_endpoint(endpoint.id)
            self._store.put_container(replace(container, publishes=publishes))

    def _unplug(self, gone: list[Endpoint], namespace: Path, undo: Undo) -> None:
        for endpoint in gone:
            undo.push(f"plug {endpoint.host_interface} in again", partial(self._endpoints.plug_in_again, endpoint, namespace))
        self._endpoints.detach(gone)

    def _disconnect(self, container: Container, ref: str, *, force: bool) -> Network | None:
        try:
            network: Network | None = self._lookup.network(ref)
        except NotFound:
            if container.state.running and not force:
                raise
            network = None
        name = network.name if network else ref
        kept = tuple(each for each in container.attachments if not self._means(each, network, ref))
        if container.state.running and network is not None:
            if container.spec.network.mode.kind == network.driver == "host":
                raise InvalidInput(FROM_HOST)
            if len(kept) == len(container.attachments):
                raise EngineError(f"container {container.id} is not connected to network {name}")
        elif len(kept) == len(container.attachments):
            raise EngineError(f"container {container.id} is not connected to the network {name}")
        self._record_disconnected(replace(container, attachments=kept), network)
        return network

    def _means(self, attachment: Attachment, network: Network | None, ref: str) -> bool:
        """Whether it is the attachment to that network, which may be gone."""
        found = self._attachments.find(attachment)
        if network is not None:
            return found is not None and found.id == network.id
        return found is None and ref in (attachment.network, attachment.name)

    def _record_disconnected(self, container: Container, network: Network | None) -> None:
        namespace = self._sandboxes.live(container)
        former = self._store.endpoints_of(container.id)
        gone = self._endpoints.on(container.id, network.id) if network else None
        if gone is None or not gone.attached or namespace is None:
            with self._store.transaction():
                if gone is not None:
                    self._store.delete_endpoint(gone.id)
                self._store.put_container(container)
            return
        with Undo() as undo:
            undo.push(f"open the port {gone.host_interface} again", partial(self._let_through_again, gone))
            self._sandboxes.openings.shut([gone])
            self._settle(container, tuple(endpoint for endpoint in former if endpoint.id != gone.id), former, namespace, undo)

    def _let_through_again(self, endpoint: Endpoint) -> None:
        with Undo() as undo:
            self._sandboxes.openings.let_through([endpoint], undo)

    def _remove_stale(self, network_ref: str, name: str) -> None:
        """Remove what is left on a network of a container that is gone."""
        network = self._lookup.network(network_ref)
        owner = name.removeprefix("/")
        stale = [
            endpoint
            for endpoint in self._store.endpoints_on(network.id)
            if self._store.container(endpoint.sandbox) is None and owner and endpoint.sandbox.startswith(owner)
        ]
        if not stale:
            raise NotFound(f"endpoint {owner} not found")
        self._sandboxes.clear(endpoint.sandbox for endpoint in stale)
        left = [endpoint for endpoint in stale if self._store.endpoint(endpoint.id)]  # of a sandbox that others still run in
        self._sandboxes.openings.shut(left)
        self._endpoints.detach(left)
        for endpoint in left:
            self._store.delete_endpoint(endpoint.id)
