"""Published ports: what was asked for, and what was given."""

import functools
import re
from dataclasses import dataclass

from linkspan.errors import InvalidInput
from linkspan.model.network import IPAddress

PROTOCOLS = ("tcp", "udp", "sctp")

_PORT_KEY = re.compile(r"([0-9]{1,5})(?:/([A-Za-z]+))?")


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A container port: 1 to 65535 and a protocol. `str()` gives Docker's `80/tcp`."""

    number: int
    protocol: str = "tcp"

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InvalidInput(f"invalid proto: {self.protocol}")
        if not 1 <= self.number <= 65535:
            raise InvalidInput(f'invalid port specification: "{self}"')

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"

    @classmethod
    def parse(cls, text: str) -> "Port":
        """Parse `80`, `80/tcp` (any case); raises InvalidInput in Docker's words."""
        match = _PORT_KEY.fullmatch(text)
        if match is None:
            raise InvalidInput(f'invalid port specification: "{text}"')
        return cls(int(match[1]), (match[2] or "tcp").lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRequest:
    """One binding as asked for: `first`..`last` are the host ports that may be used; 0..0 means any free one."""

    port: Port
    host_ip: IPAddress | None = None
    """None: the network's default, 0.0.0.0 and [::] with one common port unless its options or the daemon's --ip say otherwise."""
    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last <= 65535:
            raise InvalidInput(f"invalid port range: {self.first}-{self.last}")


@functools.total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A host port that leads to a container's port. In order: IPv4 first, then by address and port."""

    host_ip: IPAddress
    """Of the family that it is published in."""
    host_port: int
    """0: it is open at the container's own address, and no port of the host's leads to it (gateway mode routed)."""
    port: Port

    @property
    def routed(self) -> bool:
        """Whether it is open at the container's own address, rather than at one of the host's."""
        return self.host_port == 0

    def __lt__(self, other: "Publish") -> bool:
        return self._key < other._key

    @property
    def _key(self) -> tuple[int, int, int, Port]:
        return self.host_ip.version, int(self.host_ip), self.host_port, self.port
