"""Host ports: which are wanted, on which addresses of the host, which may be tried, which are another container's."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from linkspan.errors import InvalidInput
from linkspan.model.container import NetworkConfig
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import UNSPECIFIED, UNSPECIFIED6, GatewayMode, IPAddress, Network
from linkspan.model.publish import PortRequest, Publish


def wanted(config: NetworkConfig) -> list[PortRequest]:
    """Return the bindings to make, those with a fixed host port first so that no automatic choice takes it from them."""
    bound = {request.port for request in config.requests}
    automatic = [PortRequest(port=port) for port in config.exposed if config.publish_all and port not in bound]
    return sorted((*config.requests, *automatic), key=lambda request: (request.first == 0, request.last - request.first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How host ports lead to a container in one family."""

    version: int
    default: IPAddress | None
    """Where ports are published that name no address of the host; None: in the other family only."""
    routed: bool = False
    """They are open at the container's own address instead; no port of the host's is used."""


def ways(attachments: Iterable[tuple[Network, Endpoint]]) -> tuple[Way, ...]:
    """Return the ways to a container's published ports, IPv4 first: in each family by the first network that has a gateway there.

    `attachments` are in the order in which they are preferred as the gateway. Internal networks have no ways.
    """
    found: dict[int, Way] = {}
    for network, endpoint in attachments:
        for version, interface in ((4, endpoint.address), (6, endpoint.address6)):
            mode = network.mode(version)
            if interface is not None and not network.internal and mode is not GatewayMode.ISOLATED and version not in found:
                routed = mode is GatewayMode.ROUTED
                found[version] = Way(version=version, default=_default(network, version, routed=routed), routed=routed)
    return tuple(found[version] for version in sorted(found))


def _default(network: Network, version: int, *, routed: bool) -> IPAddress | None:
    if routed:
        return UNSPECIFIED if version == 4 else UNSPECIFIED6
    if version == 4:
        return network.default_host_ip
    # Docker: who has chosen an address of IPv4 for everything that names none does not mean to open all of IPv6.
    chosen = network.default_host_ip == UNSPECIFIED or network.default_host_ip6 != UNSPECIFIED6
    return network.default_host_ip6 if chosen else None


def places(request: PortRequest, ways: Iterable[Way]) -> tuple[list[IPAddress], list[IPAddress]]:
    """Return the addresses of the host that a port is published on, and those (0.0.0.0, ::) that stand for the container's own.

    Raises InvalidInput for an address of a family that the container does not have.
    """
    known = {way.version: way for way in ways}
    if request.host_ip is None:
        addresses = [(way, way.default) for way in known.values() if way.default is not None]
    elif request.host_ip.version in known:
        addresses = [(known[request.host_ip.version], request.host_ip)]
    elif known:
        raise InvalidInput(
            f"cannot publish {request.port} on {request.host_ip}: the container has no IPv{request.host_ip.version} address to lead it to"
        )
    else:
        addresses = []
    return [address for way, address in addresses if not way.routed], [address for way, address in addresses if way.routed]


Holders = Callable[[str, int], Iterable[tuple[IPAddress, str]]]
"""Tells who holds a host port (protocol, number) already: (address, container name) pairs."""


class Allocated:
    """The host ports that containers hold: those of others, and those given to this one so far."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._added: dict[tuple[str, int], list[tuple[IPAddress, str]]] = {}

    def add(self, name: str, publish: Publish) -> None:
        """Note that the container `name` holds the port."""
        self._added.setdefault((publish.port.protocol, publish.host_port), []).append((publish.host_ip, name))

    def holder(self, publish: Publish) -> str:
        """Return the name of the container that `publish` would clash with, empty for none.

        0.0.0.0 clashes with every address of IPv4, :: with every one of IPv6.
        """
        place = (publish.port.protocol, publish.host_port)
        held: list[tuple[IPAddress, str]] = [*self._holders(*place), *self._added.get(place, ())]
        for address, name in held:
            alike = address.version == publish.host_ip.version
            if alike and (address == publish.host_ip or address.is_unspecified or publish.host_ip.is_unspecified):
                return name
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """Where automatic host ports come from: `low`..`high` without `reserved`, from the one after `last` on, round and round."""

    low: int
    high: int
    reserved: Container[int] = ()
    last: int = 0

    def candidates(self) -> Iterator[int]:
        """Yield every port of the range once."""
        size = self.high - self.low + 1
        start = self.last + 1 - self.low if self.low <= self.last <= self.high else 0
        ports = (self.low + (start + step) % size for step in range(size))
        return (port for port in ports if port not in self.reserved)
