"""Networks and their address pools."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from linkspan.errors import InvalidInput

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network

PREDEFINED = ("bridge", "host", "none")
UNSPECIFIED = IPv4Address(0)
"""0.0.0.0: every address of the host."""
UNSPECIFIED6 = IPv6Address(0)
"""::, the same of the other family."""

DEFAULT_MTU = 1500
"""Where nobody has chosen one, and the host has no way out."""
LEAST_MTU = 68
LEAST_MTU6 = 1280
"""RFC 8200, section 5: on a link with less, IPv6 does not work."""

_INTERFACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def interface_name(name: str) -> str:
    """Return `name` if it is safe as a Linux interface name, in a ruleset, a path and a log line; else raise InvalidInput."""
    if not _INTERFACE_NAME.fullmatch(name):
        raise InvalidInput(f"invalid interface name {name!r}")
    return name


class GatewayMode(StrEnum):
    """How one family of a bridge network is joined to the world outside (com.docker.network.bridge.gateway_mode_ipv4, _ipv6)."""

    NAT = "nat"
    """Published ports are translated; nothing else comes in."""
    NAT_UNPROTECTED = "nat-unprotected"
    """As nat, and whoever has a route to the containers reaches all their ports."""
    ROUTED = "routed"
    """No translation: published ports are open at the container's own address."""
    ISOLATED = "isolated"
    """The bridge has no address of the host's; for internal networks only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One address pool of a network, of either family."""

    subnet: IPNetwork
    gateway: IPAddress | None
    """None: the pool has none, so that its containers have no way out by it."""
    range: IPNetwork
    """What automatic choice is limited to."""
    auxiliary: dict[str, IPAddress] = field(default_factory=dict)
    """Addresses that belong to others on the network, by the names that the user gave them: they are never given to containers."""

    def __post_init__(self) -> None:
        if self.gateway is not None and self.gateway not in self.subnet:
            raise InvalidInput(f"invalid gateway {self.gateway}: parent subnet {self.subnet} doesn't contain this address")
        if self.range.version != self.subnet.version or not self.range.subnet_of(self.subnet):  # type: ignore[arg-type]  # of one family
            raise InvalidInput(f"invalid ip-range {self.range}: parent subnet {self.subnet} doesn't contain ip-range")
        for name, address in self.auxiliary.items():
            if address not in self.subnet:
                raise InvalidInput(f"invalid auxiliary address {name}: parent subnet {self.subnet} doesn't contain this address")

    def interface(self, address: IPAddress) -> IPInterface:
        """Return an address of the pool with the subnet's prefix length, as an interface carries it."""
        if isinstance(address, IPv6Address):
            return IPv6Interface((address, self.subnet.prefixlen))
        return IPv4Interface((address, self.subnet.prefixlen))

    @property
    def gateway_interface(self) -> IPInterface:
        """The gateway's address with the subnet's prefix length, as the bridge carries it; of a pool that has one."""
        if self.gateway is None:
            raise InvalidInput(f"the pool {self.subnet} has no gateway")
        return self.interface(self.gateway)


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
    """At most one of each family for the driver bridge, IPv4 first."""
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    """No way out and none in: neither route nor translation."""
    mtu: int = DEFAULT_MTU
    mtu_follows: bool = False
    """Whether nobody has chosen the MTU: it is the smallest of the host's ways out, and changes with them."""
    icc: bool = True
    """Whether its containers reach each other."""
    masquerade: bool = True
    gateway_mode: GatewayMode = GatewayMode.NAT
    gateway_mode6: GatewayMode = GatewayMode.NAT
    default_host_ip: IPv4Address = UNSPECIFIED
    """Where ports are published that name no address of the host."""
    default_host_ip6: IPv6Address = UNSPECIFIED6
    source: IPv4Address | None = None
    """The address that its containers have outside, in place of that of the interface they leave by (bridge option host_ipv4)."""
    source6: IPv6Address | None = None
    addressed: bool = True
    """Whether the bridge carries the gateway's address (bridge option inhibit_ipv4)."""
    trusted: tuple[str, ...] = ()
    """Interfaces of the host from which every port of the containers is reached directly (trusted_host_interfaces)."""
    prefix: str = "eth"
    """What the names of its interfaces in containers begin with (container_iface_prefix)."""
    adopted: bool = False
    """Whether the bridge was there before the network: it is used, and never removed."""
    attachable: bool = False
    """Shown only: it means something to Swarm alone."""
    ipam_driver: str = "default"
    """default, or none: containers get no addresses."""
    ipam_options: dict[str, str] = field(default_factory=dict)
    config_only: bool = False
    """It is nothing on the host: other networks take their configuration from it."""
    config_from: str = ""
    """The name of the network that this one's configuration was taken from."""
    options: dict[str, str] = field(default_factory=dict)
    """As given, for inspect; those that mean something are fields above."""
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.driver == "bridge" and not self.config_only:
            interface_name(self.bridge)
        if not LEAST_MTU <= self.mtu <= 65535:
            raise InvalidInput(f"invalid MTU number: {self.mtu}")

    def pool(self, version: int) -> Subnet | None:
        """Return the first pool of a family, 4 or 6."""
        return next((pool for pool in self.subnets if pool.subnet.version == version), None)

    def mode(self, version: int) -> GatewayMode:
        """Return how a family, 4 or 6, is joined to the world outside."""
        return self.gateway_mode if version == 4 else self.gateway_mode6

    def fitted(self, egress: int | None) -> "Network":
        """Return the network with the MTU that it should have when the smallest of the host's ways out is `egress`; None: no way out."""
        if not self.mtu_follows or egress is None:
            return self
        least = LEAST_MTU6 if self.pool(6) else LEAST_MTU
        return replace(self, mtu=min(max(egress, least), 65535))

    @property
    def bridge_addresses(self) -> tuple[IPInterface, ...]:
        """The addresses of the host's on the bridge, those of the gateways; but for modes and options that want none there."""
        return tuple(
            pool.gateway_interface
            for pool in self.subnets
            if pool.gateway is not None
            and self.mode(pool.subnet.version) is not GatewayMode.ISOLATED
            and (self.addressed or pool.subnet.version == 6)
        )

    @property
    def user_defined(self) -> bool:
        """Whether somebody made it: it has names, aliases, and addresses that can be asked for."""
        return self.name not in PREDEFINED
