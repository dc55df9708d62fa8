"""Published ports: what was asked for, and what was given."""

import ipaddress
import re
from dataclasses import dataclass

from linkspan.errors import InvalidInput

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
    host_ip: ipaddress.IPv4Address | None = None
    """None: the network's default (0.0.0.0 unless the daemon's --ip says otherwise)."""
    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last <= 65535:
            raise InvalidInput(f"invalid port range: {self.first}-{self.last}")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Publish:
    """A host port that leads to a container's port."""

    host_ip: ipaddress.IPv4Address
    host_port: int
    port: Port
