"""What the ruleset lets through to containers: their published ports, their legacy links, and their own frames at their ports.

Everything here runs on the kernel thread.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from linkspan.engine.endpoints import FAILED, Endpoints
from linkspan.engine.publishes import Ports, Reservation
from linkspan.errors import EngineError
from linkspan.kernel import address, conntrack
from linkspan.kernel.nft import Firewall, RulesetRefused
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import IPAddress
from linkspan.model.publish import Publish
from linkspan.plan import firewall, guard
from linkspan.plan.ports import ways
from linkspan.store.base import Store
from linkspan.undo import Undo


class Openings:
    """Opens and closes the ways to containers."""

    def __init__(self, store: Store, rules: Firewall, endpoints: Endpoints) -> None:
        self._store = store
        self._rules = rules
        self._endpoints = endpoints
        self._ports = Ports()
        self._opened: dict[str, Container] = {}
        """Containers with the ports that are open for them, and that no record tells of yet."""
        self._closed: set[str] = set()
        """Containers whose ports are closed, while the record still says that they run."""

    def reserve(self, container: Container, endpoints: Iterable[Endpoint], undo: Undo) -> Reservation:
        """Reserve the host ports of a container that has these endpoints; raises Conflict in Docker's words."""
        leaders = sorted((endpoint for endpoint in endpoints if endpoint.leads), key=lambda endpoint: endpoint.leads)
        known = [(network, endpoint) for endpoint in leaders if (network := self._store.network(endpoint.network))]
        if not known:
            return Reservation()
        try:
            return self._ports.allocate(container.spec.network, ways(known), self._holders, undo)
        except EngineError as error:
            where = f"driver failed programming external connectivity on endpoint {container.name} ({leaders[0].id})"
            error.args = (f"{FAILED}{where}: {error}",)
            raise

    def open(self, container: Container, endpoints: Sequence[Endpoint], publishes: Sequence[Publish], undo: Undo) -> None:
        """Let frames of the endpoints through, and callers to the container's ports; `recorded` follows when the store knows them."""
        rules = self._owners(endpoints) + firewall.publish_elements(publishes, *targets(endpoints))
        rules += "".join(firewall.link_elements(link) for link in self._links(container))
        self._closed.discard(container.id)
        if rules:
            # Before: when the kernel's answer is lost (ENOBUFS), the rules are there all the same.
            undo.push(f"unpublish ports of {container.name}", partial(self.close, container, publishes))
            self.apply(rules)
            _forget_conversations(publishes)
            self._opened[container.id] = replace(container, publishes=tuple(publishes))

    def recorded(self, container_id: str) -> None:
        """The store knows now, or never will, what is open for this container."""
        self._opened.pop(container_id, None)

    def has_rules(self, container: Container) -> bool:
        """Whether there is something in the ruleset that `close` takes out."""
        return bool(container.publishes or container.spec.network.links)

    def close(self, container: Container, publishes: Sequence[Publish]) -> None:
        """Take ports and links of a container out of the ruleset. Idempotent."""
        self._opened.pop(container.id, None)
        self._closed.add(container.id)
        removal = firewall.publish_removal(publishes, *targets(self._store.endpoints_of(container.id)))
        removal += "".join(firewall.link_removal(link) for link in self._links(container))
        if removal:
            self.apply(removal)
            _forget_conversations(publishes)

    def forget(self, container_id: str) -> None:
        """The container is gone, and so are its ports."""
        self._closed.discard(container_id)

    def move(self, container: Container, former: Iterable[Endpoint], now: Sequence[Endpoint], undo: Undo) -> tuple[Publish, ...]:
        """Lead the ports of a running container to the addresses that it has now, or nowhere; returns them.

        One that started without a way out has none yet: they are reserved now, and its monitor does not hold them.
        """
        before, after = targets(former), targets(now)
        publishes = container.publishes
        if not publishes and after:
            reservation = self.reserve(container, now, undo)
            publishes = tuple(reservation.publishes)
            undo.push("give the reserved host ports back", reservation.close)
            reservation.close()
        if before != after and publishes:
            # Rendered anew, as the store still wants it: an entry that leads elsewhere than we think cannot be taken out by what it says.
            undo.push(f"lead the ports of {container.name} as before", lambda: self._rules.apply(self.ruleset()))
            self._lead(publishes, before, after)
        return publishes

    def let_through(self, endpoints: Sequence[Endpoint], undo: Undo) -> None:
        """Let frames of endpoints of a running container through their ports."""
        if rules := self._owners(endpoints):
            undo.push("shut the ports", partial(self.shut, endpoints))
            self.apply(rules)

    def shut(self, endpoints: Iterable[Endpoint]) -> None:
        """Let nothing more through the endpoints' ports on their bridge. Idempotent."""
        if self._rules.sees_frames and (removal := "".join(map(guard.owner_removal, endpoints))):
            self.apply(removal)

    def unlink(self, target: Container) -> None:
        """Take the links to a removed container out of the ruleset, before its address can be another's. Idempotent."""
        linked = (other for other in self._open_to_others() if any(linked == target.id for linked, _ in other.spec.network.links))
        removal = "".join(firewall.link_removal(link) for other in linked for link in self._links(other, target))
        if removal:
            self.apply(removal)

    def ruleset(self) -> str:
        """Render the whole firewall as the store wants it."""
        published, links = [], []
        for container in self._open_to_others():
            attached = [endpoint for endpoint in self._store.endpoints_of(container.id) if endpoint.attached]
            if addresses := targets(attached):
                published.append((addresses, container.publishes))
            if self._is_plugged(container):
                links += self._links(container)
        bridges = [network for network in self._store.networks() if network.driver == "bridge" and not network.config_only]
        text = firewall.ruleset(bridges, published, links)
        if self._rules.sees_frames:
            text += guard.guard(endpoint for endpoint in self._store.endpoints() if endpoint.attached)
        return text

    def apply(self, rules: str) -> None:
        """Change the ruleset; if that is refused because somebody has flushed it, it is rendered anew first."""
        try:
            self._rules.apply(rules)
        except RulesetRefused:
            self._rules.apply(self.ruleset())
            self._rules.apply(rules)

    def _lead(self, publishes: Sequence[Publish], before: Sequence[IPAddress], after: Sequence[IPAddress]) -> None:
        self.apply(firewall.publish_removal(publishes, *before) + firewall.publish_elements(publishes, *after))
        _forget_conversations(publishes)

    def _owners(self, endpoints: Iterable[Endpoint]) -> str:
        return "".join(map(guard.owner, endpoints)) if self._rules.sees_frames else ""

    def _is_plugged(self, container: Container) -> bool:
        endpoint = self._endpoints.on_default_bridge(container.id)
        return endpoint is not None and endpoint.attached

    def _open_to_others(self) -> Iterator[Container]:
        """Yield those whose ports and links are in the ruleset: what runs, but for what is ending, and what is about to."""
        for container in self._store.containers():
            if container.id in self._opened:
                yield self._opened[container.id]
            elif container.state.running and container.id not in self._closed:
                yield container

    def _holders(self, protocol: str, host_port: int) -> Iterator[tuple[IPAddress, str]]:
        # Also those that are on their way: their ports are held, and not recorded yet.
        for container in (*self._store.publishers(protocol, host_port), *self._opened.values()):
            for publish in container.publishes:
                if (publish.port.protocol, publish.host_port) == (protocol, host_port):
                    yield publish.host_ip, container.name

    def _links(self, container: Container, removed: Container | None = None) -> list[firewall.Link]:
        """Return what lets a container reach those it has legacy links to, also where icc is off: on the default network only.

        Or only the link to `removed`, of which there is no record any more.
        """
        own = self._endpoints.on_default_bridge(container.id) if container.spec.network.links else None
        links = []
        for target_id, _alias in container.spec.network.links if own and own.address else ():
            target = removed if removed and removed.id == target_id else self._store.container(target_id)
            other = self._endpoints.on_default_bridge(target_id)
            if target and other and other.address and own and own.address and (removed is None or target is removed):
                ports = target.spec.network.exposed
                links.append(firewall.Link(source=own.address.ip, target=other.address.ip, ports=ports))
        return links


def targets(endpoints: Iterable[Endpoint]) -> tuple[IPAddress, ...]:
    """Return the addresses that published ports lead to: in each family that of the endpoint that its default route goes by."""
    found = {version: endpoint for endpoint in endpoints for version in endpoint.leads}
    interfaces = (found[version].address if version == 4 else found[version].address6 for version in sorted(found))
    return tuple(interface.ip for interface in interfaces if interface is not None)


def _forget_conversations(publishes: Sequence[Publish]) -> None:
    """Let the next packet of each caller of a UDP port meet the rules as they are now: only the first one of a conversation does."""
    ports = [publish for publish in publishes if publish.port.protocol == "udp"]
    if ports:
        families = {publish.host_ip.version for publish in ports if publish.host_ip.is_unspecified}
        everywhere: dict[int, Sequence[IPAddress]] = {
            version: address.local() if version == 4 else address.local6() for version in families
        }
        chosen = (
            (everywhere[publish.host_ip.version] if publish.host_ip.is_unspecified else [publish.host_ip], publish.host_port)
            for publish in ports
        )
        conntrack.forget_udp({(each, number) for hosts, number in chosen for each in hosts})
