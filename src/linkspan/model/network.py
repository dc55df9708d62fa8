"""Networks and their address pools."""

import ipaddress
import re
from dataclasses import dataclass, field

from linkspan.errors import InvalidInput

PREDEFINED = ("bridge", "host", "none")
UNSPECIFIED = ipaddress.IPv4Address(0)
"""0.0.0.0: every address of the host."""

_INTERFACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def interface_name(name: str) -> str:
    """Return `name` if it is safe as a Linux interface name, in a ruleset, a path and a log line; else raise InvalidInput."""
    if not _INTERFACE_NAME.fullmatch(name):
        raise InvalidInput(f"invalid interface name {name!r}")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One IPv4 address pool of a network: `range` is the part that automatic choice is limited to."""

    subnet: ipaddress.IPv4Network
    gateway: ipaddress.IPv4Address
    range: ipaddress.IPv4Network

    def __post_init__(self) -> None:
        if self.gateway not in self.subnet:
            raise InvalidInput(f"invalid gateway {self.gateway}: parent subnet {self.subnet} doesn't contain this address")
        if not self.range.subnet_of(self.subnet):
            raise InvalidInput(f"invalid ip-range {self.range}: parent subnet {self.subnet} doesn't contain ip-range")

    @property
    def gateway_interface(self) -> ipaddress.IPv4Interface:
        """The gateway's address with the subnet's prefix length, as the bridge carries it."""
        return ipaddress.IPv4Interface((self.gateway, self.subnet.prefixlen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network. `bridge` (empty unless the driver is bridge) is safe in a ruleset, a path and a log line."""

    id: str
    name: str
    driver: str
    created: int
    """Nanoseconds since the epoch."""
    bridge: str = ""
    subnets: tuple[Subnet, ...] = ()
    mtu: int = 1500
    icc: bool = True
    masquerade: bool = True
    default_host_ip: ipaddress.IPv4Address = UNSPECIFIED
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.driver == "bridge":
            interface_name(self.bridge)
        if not 68 <= self.mtu <= 65535:
            raise InvalidInput(f"invalid MTU number: {self.mtu}")
