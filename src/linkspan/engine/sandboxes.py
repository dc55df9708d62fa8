"""Which namespace a container runs in, and what is wired into it. Everything here runs on the kernel thread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.endpoints import Endpoints
from linkspan.engine.lookup import Lookup
from linkspan.engine.openings import Openings
from linkspan.engine.publishes import Reservation
from linkspan.errors import Conflict, EngineError, NotFound
from linkspan.kernel import netns
from linkspan.kernel.nft import Firewall
from linkspan.model.container import Container
from linkspan.model.endpoint import HOST_SANDBOX, Endpoint, Sandbox
from linkspan.store.base import Store
from linkspan.undo import Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a container will run: what the runtime needs to know of the network."""

    sandbox: str
    namespace: Path | None
    """None: the host's own."""
    reservation: Reservation = field(default_factory=Reservation)
    """Its host ports; the caller closes it once the monitor holds the sockets."""
    files_of: str = ""
    """The container whose hosts, hostname and resolv.conf serve."""


class Sandboxes:
    """Joins containers to network namespaces and takes them out again."""

    def __init__(self, config: Config, store: Store, rules: Firewall, drivers: Mapping[str, Driver]) -> None:
        self._config = config
        self._store = store
        self._joining: dict[str, str] = {}
        self._lookup = Lookup(store)
        self.endpoints = Endpoints(config, store, drivers)
        self.openings = Openings(store, rules, self.endpoints)

    def path(self, sandbox_id: str) -> Path:
        """Return the file that the namespace `sandbox_id` is bound to."""
        return self._config.namespaces / sandbox_id

    def ruleset(self) -> str:
        """Render the whole firewall as the store wants it."""
        return self.openings.ruleset()

    def join(self, container: Container, undo: Undo) -> Place:
        """Make (or find) the container's namespace with all that its mode wants in it; call `joined` when that is recorded.

        Raises Docker's errors for a target or a network that is not there, Exhausted, Conflict for a host port.
        """
        undo.push(f"let go of the sandbox of {container.name}", partial(self.joined, container.id))
        mode = container.spec.network.mode
        if mode.kind == "container":
            return self._join_other(container, self._target(container))
        if self._store.sandbox(container.id) and not self._in_use(container.id):
            self.clear([container.id])  # a clean-up that failed has left it: it may be half of one
        if mode.kind == "host":
            return Place(sandbox=HOST_SANDBOX, namespace=None, files_of=container.id)
        return self._join_networks(container, undo)

    def joined(self, container_id: str) -> None:
        """The store knows now (or never will) that this container is in its sandbox: it is no longer held for it."""
        self._joining.pop(container_id, None)
        self.openings.recorded(container_id)

    def live(self, container: Container) -> Path | None:
        """Return the namespace of the container's own in which something runs, None if nothing does."""
        return self.path(container.id) if self._store.members(container.id) else None

    def clear(self, sandbox_ids: Iterable[str]) -> None:
        """Delete those of the sandboxes that no container runs or starts in, together. Idempotent."""
        empty = [sandbox_id for sandbox_id in dict.fromkeys(sandbox_ids) if not self._in_use(sandbox_id)]
        endpoints = [endpoint for sandbox_id in empty for endpoint in self._store.endpoints_of(sandbox_id)]
        self.endpoints.detach(endpoints)
        self.openings.shut(endpoints)
        for sandbox_id in empty:
            netns.delete(self.path(sandbox_id))
        with self._store.transaction():
            for endpoint in endpoints:
                self._detached(endpoint)
            for sandbox_id in empty:
                self._store.delete_sandbox(sandbox_id)

    def forget(self, container_id: str) -> None:
        """Give back the addresses of a removed container, unless others still run in its sandbox."""
        self.openings.forget(container_id)
        for endpoint in self._store.endpoints_of(container_id):
            if not endpoint.attached:
                self._store.delete_endpoint(endpoint.id)

    def _target(self, container: Container) -> Container:
        try:
            target = self._lookup.container(container.spec.network.mode.target)
        except NotFound as error:
            raise EngineError(f"joining network namespace of container: {error}") from error
        if target.id == container.id:
            raise EngineError("cannot join own network namespace")
        if target.state.status == "restarting":
            raise Conflict(
                f"cannot join network namespace of container: Container {target.id} is restarting, wait until the container is running"
            )
        if not target.state.running:
            raise Conflict(f"cannot join network namespace of a non running container: container /{target.name} is {target.state.status}")
        return target

    def _join_other(self, container: Container, target: Container) -> Place:
        namespace = None if target.sandbox == HOST_SANDBOX else self.path(target.sandbox)
        self._joining[container.id] = target.sandbox
        files_of = target.id
        while (mode := target.spec.network.mode).kind == "container" and (deeper := self._store.container(mode.target)):
            target, files_of = deeper, deeper.id
        return Place(sandbox=HOST_SANDBOX if namespace is None else namespace.name, namespace=namespace, files_of=files_of)

    def _own_namespace(self, container: Container, undo: Undo) -> Path:
        """Return the container's own namespace, which still exists if others run in it."""
        path = self.path(container.id)
        self._joining[container.id] = container.id
        if self._store.sandbox(container.id) and netns.exists(path):
            return path
        netns.delete(path)  # a leftover of a reboot or of a crash
        netns.create(path)
        undo.push(f"delete namespace {container.short_id}", partial(netns.delete, path))
        self._store.put_sandbox(Sandbox(id=container.id, path=str(path)))
        undo.push(f"forget sandbox {container.short_id}", partial(self._store.delete_sandbox, container.id))
        return path

    def _join_networks(self, container: Container, undo: Undo) -> Place:
        endpoints = self.endpoints.wanted(container, undo)
        reservation = self.openings.reserve(container, endpoints, undo)  # before anything is made: most refusals are about ports
        namespace = self._own_namespace(container, undo)
        if loose := [endpoint for endpoint in endpoints if not endpoint.attached]:
            undo.push(f"shut the ports of {container.name}", partial(self.openings.shut, loose))
        plugged = self._plugged(container, endpoints, namespace, undo)
        self.openings.open(container, plugged, reservation.publishes, undo)
        return Place(sandbox=container.id, namespace=namespace, reservation=reservation, files_of=container.id)

    def _plugged(self, container: Container, endpoints: Sequence[Endpoint], namespace: Path, undo: Undo) -> Sequence[Endpoint]:
        """Plug in what is not yet. In a namespace in which others have run on, default routes are there already, and move."""
        if not any(endpoint.attached for endpoint in endpoints):
            return [self.endpoints.attach(endpoint, namespace, undo) for endpoint in endpoints]
        former = [endpoint for endpoint in endpoints if endpoint.attached]
        plain = [endpoint if endpoint.attached else replace(endpoint, leads=()) for endpoint in endpoints]
        plugged = [endpoint if endpoint.attached else self.endpoints.attach(endpoint, namespace, undo) for endpoint in plain]
        led = self.endpoints.reroute(container, plugged, former, namespace, undo)
        for endpoint in led:
            self._store.put_endpoint(endpoint)
        return led

    def _in_use(self, sandbox_id: str) -> bool:
        return sandbox_id in ("", HOST_SANDBOX) or bool(self._store.members(sandbox_id)) or sandbox_id in self._joining.values()

    def _detached(self, endpoint: Endpoint) -> None:
        if self._store.container(endpoint.sandbox) is None:
            self._store.delete_endpoint(endpoint.id)
        else:
            self._store.put_endpoint(replace(endpoint, attached=False))
