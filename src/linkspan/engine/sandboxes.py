"""Which namespace a container runs in, and what is wired into it. Everything here runs on the kernel thread."""

import ipaddress
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.lookup import Lookup
from linkspan.engine.publishes import Ports, Reservation
from linkspan.errors import Conflict, EngineError, NotFound
from linkspan.kernel import address, conntrack, netns
from linkspan.kernel.nft import Firewall, RulesetRefused
from linkspan.model.container import Container
from linkspan.model.endpoint import HOST_SANDBOX, Endpoint, Sandbox, random_mac
from linkspan.model.network import IPAddress, Network, Subnet
from linkspan.model.publish import Publish
from linkspan.plan import addresses, firewall, guard
from linkspan.plan.ports import ways
from linkspan.store.base import Store
from linkspan.undo import Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a container will run: what the runtime needs to know of the network."""

    sandbox: str
    namespace: Path | None
    """None: the host's own."""
    network: Network | None = None
    endpoint: Endpoint | None = None
    reservation: Reservation = field(default_factory=Reservation)
    """Its host ports; the caller closes it once the monitor holds the sockets."""
    files_of: str = ""
    """The container whose hosts, hostname and resolv.conf serve."""


class Sandboxes:
    """Joins containers to network namespaces and takes them out again."""

    def __init__(self, config: Config, store: Store, firewall: Firewall, drivers: Mapping[str, Driver]) -> None:
        self._config = config
        self._store = store
        self._firewall = firewall
        self._drivers = drivers
        self._ports = Ports()
        self._joining: dict[str, str] = {}
        self._opened: dict[str, Container] = {}
        """Containers with the ports that are open for them, and that no record tells of yet."""
        self._closed: set[str] = set()
        """Containers whose ports are closed, while the record still says that they run."""
        self._lookup = Lookup(store)

    def path(self, sandbox_id: str) -> Path:
        """Return the file that the namespace `sandbox_id` is bound to."""
        return self._config.exec_root / "netns" / sandbox_id

    def join(self, container: Container, undo: Undo) -> Place:
        """Make (or find) the container's namespace with all that its mode wants in it; call `joined` when that is recorded.

        Raises Docker's errors for a target or a network that is not there, Exhausted, Conflict for a host port.
        """
        undo.push(f"let go of the sandbox of {container.name}", partial(self.joined, container.id))
        mode = container.spec.network.mode
        if mode.kind == "container":
            return self._join_other(container, self._target(container))
        network = self._network(str(mode))
        if self._store.sandbox(container.id) and not self._in_use(container.id):
            self.clear([container.id])  # a clean-up that failed has left it: it may be half of one
        match network.driver:
            case "host":
                return Place(sandbox=HOST_SANDBOX, namespace=None, network=network, files_of=container.id)
            case "null":
                namespace = self._own_namespace(container, undo)
                return Place(sandbox=container.id, namespace=namespace, network=network, files_of=container.id)
            case _:
                return self._join_bridge(container, network, undo)

    def joined(self, container_id: str) -> None:
        """The store knows now (or never will) that this container is in its sandbox: it is no longer held for it."""
        self._joining.pop(container_id, None)
        self._opened.pop(container_id, None)

    def clear(self, sandbox_ids: Iterable[str]) -> None:
        """Delete those of the sandboxes that no container runs or starts in, together. Idempotent."""
        empty = [sandbox_id for sandbox_id in dict.fromkeys(sandbox_ids) if not self._in_use(sandbox_id)]
        endpoints = [endpoint for sandbox_id in empty for endpoint in self._store.endpoints_of(sandbox_id)]
        for network in self._store.networks():
            self._drivers[network.driver].detach(network, [endpoint for endpoint in endpoints if endpoint.network == network.id])
        self._shut(endpoints)
        for sandbox_id in empty:
            netns.delete(self.path(sandbox_id))
        with self._store.transaction():
            for endpoint in endpoints:
                self._detached(endpoint)
            for sandbox_id in empty:
                self._store.delete_sandbox(sandbox_id)

    def endpoint_of(self, container_id: str) -> Endpoint | None:
        """Return the endpoint of the sandbox made for this container, None if it has none."""
        return next(iter(self._store.endpoints_of(container_id)), None)

    def forget(self, container_id: str) -> None:
        """Give back the addresses of a removed container, unless others still run in its sandbox."""
        self._closed.discard(container_id)
        for endpoint in self._store.endpoints_of(container_id):
            if not endpoint.attached:
                self._store.delete_endpoint(endpoint.id)

    def unlink(self, target: Container) -> None:
        """Take the links to a removed container out of the ruleset, before its address can be another's. Idempotent."""
        ports, endpoint, removal = target.spec.network.exposed, self.endpoint_of(target.id), ""
        for other in self._open_to_others() if ports and endpoint and endpoint.address else ():
            source = self.endpoint_of(other.id) if any(linked == target.id for linked, _ in other.spec.network.links) else None
            if endpoint and source:
                link = firewall.Link(source=source.ipv4.ip, target=endpoint.ipv4.ip, ports=ports)
                removal += firewall.link_removal(link)
        if removal:
            self._apply(removal)

    def has_rules(self, container: Container) -> bool:
        """Whether there is something in the ruleset that `unpublish` takes out."""
        return bool(container.publishes or container.spec.network.links)

    def unpublish(self, container: Container, publishes: Sequence[Publish]) -> None:
        """Take ports and links of a container out of the ruleset. Idempotent."""
        self._opened.pop(container.id, None)
        self._closed.add(container.id)
        endpoint = self.endpoint_of(container.id)
        if endpoint is None or endpoint.address is None:
            return
        removal = firewall.publish_removal(publishes, *endpoint.ips)
        removal += "".join(firewall.link_removal(link) for link in self._links(container, endpoint))
        if removal:
            self._apply(removal)
            _forget_conversations(publishes)

    def ruleset(self) -> str:
        """Render the whole firewall as the store wants it."""
        published, links = [], []
        for container in self._open_to_others():
            endpoint = self.endpoint_of(container.id)
            if endpoint and endpoint.attached and endpoint.address:
                published.append((endpoint.ips, container.publishes))
                links += self._links(container, endpoint)
        bridges = [network for network in self._store.networks() if network.driver == "bridge"]
        text = firewall.ruleset(bridges, published, links)
        if self._firewall.sees_frames:
            text += guard.guard(endpoint for endpoint in self._store.endpoints() if endpoint.attached and endpoint.address)
        return text

    def _apply(self, rules: str) -> None:
        """Change the ruleset; if that is refused because somebody has flushed it, it is rendered anew first."""
        try:
            self._firewall.apply(rules)
        except RulesetRefused:
            self._firewall.apply(self.ruleset())
            self._firewall.apply(rules)

    def _open_to_others(self) -> Iterator[Container]:
        """Yield those whose ports and links are in the ruleset: what runs, but for what is ending, and what is about to."""
        for container in self._store.containers():
            if container.id in self._opened:
                yield self._opened[container.id]
            elif container.state.running and container.id not in self._closed:
                yield container

    def _network(self, name: str) -> Network:
        return self._lookup.network(name, prefix="failed to set up container networking: ")

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

    def _join_bridge(self, container: Container, network: Network, undo: Undo) -> Place:
        endpoint = self.endpoint_of(container.id) or self._new_endpoint(container, network, undo)
        reservation = self._reserve(container, network, endpoint, undo)  # before anything is made: most refusals are about ports
        namespace = self._own_namespace(container, undo)
        if not endpoint.attached:
            endpoint = self._attach(network, endpoint, namespace, undo)
        self._publish(container, endpoint, reservation, undo)
        return Place(
            sandbox=container.id,
            namespace=namespace,
            network=network,
            endpoint=endpoint,
            reservation=reservation,
            files_of=container.id,
        )

    def _new_endpoint(self, container: Container, network: Network, undo: Undo) -> Endpoint:
        endpoint_id = os.urandom(32).hex()
        pool = network.subnets[0]
        with self._store.transaction():  # an address that a crash leaves without its endpoint would be nobody's for good
            address = self._store.reserve(network.id, endpoint_id, partial(self._choose, network, pool))
            endpoint = Endpoint(
                id=endpoint_id,
                network=network.id,
                sandbox=container.id,
                mac=container.spec.network.mac or random_mac(os.urandom(6)),
                address=ipaddress.IPv4Interface((address, pool.subnet.prefixlen)),
                gateway=self._gateway(network, pool),
                host_interface=f"veth{endpoint_id[:7]}",
                guarded=container.spec.security.anti_spoofing,
            )
            self._store.put_endpoint(endpoint)
        undo.push(f"forget endpoint {endpoint_id[:12]}", partial(self._store.delete_endpoint, endpoint_id))
        return endpoint

    def _choose(self, network: Network, pool: Subnet, held: AbstractSet[int], released: Collection[int]) -> ipaddress.IPv4Address:
        used = addresses.Used(held, released)
        return addresses.choose(pool, used, reserved=filter(None, [self._gateway(network, pool)]), network=f"{network.name} ({network.id})")

    def _gateway(self, network: Network, pool: Subnet) -> IPv4Address | None:
        """The container's way out: the bridge, unless the daemon's --default-gateway names another router on it."""
        own = pool.gateway if isinstance(pool.gateway, IPv4Address) else None
        return (self._config.default_gateway if network.name == "bridge" else None) or own

    def _attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> Endpoint:
        undo.push(f"shut the port {endpoint.host_interface}", partial(self._shut, [endpoint]))
        self._drivers[network.driver].attach(network, endpoint, namespace, undo)
        attached = replace(endpoint, attached=True)
        self._store.put_endpoint(attached)
        undo.push(f"mark endpoint {endpoint.id[:12]} as detached", partial(self._store.put_endpoint, endpoint))
        return attached

    def _in_use(self, sandbox_id: str) -> bool:
        return sandbox_id in ("", HOST_SANDBOX) or bool(self._store.members(sandbox_id)) or sandbox_id in self._joining.values()

    def _detached(self, endpoint: Endpoint) -> None:
        if self._store.container(endpoint.sandbox) is None:
            self._store.delete_endpoint(endpoint.id)
        else:
            self._store.put_endpoint(replace(endpoint, attached=False))

    def _shut(self, endpoints: Sequence[Endpoint]) -> None:
        """Let nothing more through the endpoints' ports on their bridge; `_publish` opens them. Idempotent."""
        if endpoints and self._firewall.sees_frames:
            self._apply("".join(map(guard.owner_removal, endpoints)))

    def _reserve(self, container: Container, network: Network, endpoint: Endpoint, undo: Undo) -> Reservation:
        try:
            return self._ports.allocate(container.spec.network, ways([(network, endpoint)]), self._holders, undo)
        except EngineError as error:
            where = f"driver failed programming external connectivity on endpoint {container.name} ({endpoint.id})"
            error.args = (f"failed to set up container networking: {where}: {error}",)
            raise

    def _publish(self, container: Container, endpoint: Endpoint, reservation: Reservation, undo: Undo) -> None:
        rules = guard.owner(endpoint) if self._firewall.sees_frames else ""
        rules += firewall.publish_elements(reservation.publishes, *endpoint.ips)
        rules += "".join(firewall.link_elements(link) for link in self._links(container, endpoint))
        self._closed.discard(container.id)
        if rules:
            # Before: when the kernel's answer is lost (ENOBUFS), the rules are there all the same.
            undo.push(f"unpublish ports of {container.name}", partial(self.unpublish, container, reservation.publishes))
            self._apply(rules)
            _forget_conversations(reservation.publishes)
            self._opened[container.id] = replace(container, publishes=tuple(reservation.publishes))

    def _holders(self, protocol: str, host_port: int) -> Iterator[tuple[IPAddress, str]]:
        # Also those that are on their way: their ports are held, and not recorded yet.
        for container in (*self._store.publishers(protocol, host_port), *self._opened.values()):
            for publish in container.publishes:
                if (publish.port.protocol, publish.host_port) == (protocol, host_port):
                    yield publish.host_ip, container.name

    def _links(self, container: Container, endpoint: Endpoint) -> list[firewall.Link]:
        """Return what lets a container reach those it has legacy links to, also where icc is off."""
        links = []
        for target_id, _alias in container.spec.network.links:
            target, other = self._store.container(target_id), self.endpoint_of(target_id)
            if target and other and other.address and endpoint.address:
                ports = target.spec.network.exposed
                links.append(firewall.Link(source=endpoint.address.ip, target=other.address.ip, ports=ports))
        return links


def _forget_conversations(publishes: Sequence[Publish]) -> None:
    """Let the next packet of each caller of a UDP port meet the rules as they are now: only the first one of a conversation does."""
    ports = [publish for publish in publishes if publish.port.protocol == "udp"]
    if ports:
        everywhere: dict[int, Sequence[IPAddress]] = {4: address.local(), 6: address.local6()}
        chosen = (
            (everywhere[publish.host_ip.version] if publish.host_ip.is_unspecified else [publish.host_ip], publish.host_port)
            for publish in ports
        )
        conntrack.forget_udp({(each, number) for hosts, number in chosen for each in hosts})
