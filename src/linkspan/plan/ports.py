"""Host ports: which are wanted, which may be tried, which are another container's."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from linkspan.model.container import NetworkConfig
from linkspan.model.network import UNSPECIFIED
from linkspan.model.publish import PortRequest, Publish


def wanted(config: NetworkConfig) -> list[PortRequest]:
    """Return the bindings to make, those with a fixed host port first so that no automatic choice takes it from them."""
    bound = {request.port for request in config.requests}
    automatic = [PortRequest(port=port) for port in config.exposed if config.publish_all and port not in bound]
    return sorted((*config.requests, *automatic), key=lambda request: (request.first == 0, request.last - request.first))


Holders = Callable[[str, int], Iterable[tuple[IPv4Address, str]]]
"""Tells who holds a host port (protocol, number) already: (address, container name) pairs."""


class Allocated:
    """The host ports that containers hold: those of others, and those given to this one so far."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._added: dict[tuple[str, int], list[tuple[IPv4Address, str]]] = {}

    def add(self, name: str, publish: Publish) -> None:
        """Note that the container `name` holds the port."""
        self._added.setdefault((publish.port.protocol, publish.host_port), []).append((publish.host_ip, name))

    def holder(self, publish: Publish) -> str:
        """Return the name of the container that `publish` would clash with, empty for none: 0.0.0.0 clashes with every address."""
        place = (publish.port.protocol, publish.host_port)
        held: list[tuple[IPv4Address, str]] = [*self._holders(*place), *self._added.get(place, ())]
        for address, name in held:
            if UNSPECIFIED in (address, publish.host_ip) or address == publish.host_ip:
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
