"""Sandboxes (network namespaces) and the endpoints in them."""

import ipaddress
import re
from dataclasses import dataclass, field

from linkspan.errors import InvalidInput
from linkspan.model.network import IPAddress, IPInterface, interface_name

HOST_SANDBOX = "host"
"""The id of the sandbox that is the host's own namespace: it is never created, changed or deleted."""

OUR_GROUP = 0x6C73
"""The interface group that marks what we made; it is part of the creating request, and what the rules know our bridge ports by."""
DOOMED_GROUP = 0x6C74
"""The group of interfaces that are being deleted together. It counts as ours: it may be met after a crash."""

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")


def mac_address(text: str) -> str:
    """Return the MAC address in lower case with colons; raises InvalidInput."""
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise InvalidInput(f"{text} is not a valid mac address")
    if int(mac[:2], 16) & 1:
        raise InvalidInput(f"{text} is a multicast mac address, an interface cannot have it")
    return mac


def random_mac(entropy: bytes) -> str:
    """Return a locally administered unicast MAC address made of 6 random bytes, as Docker 28 gives them."""
    return bytes([(entropy[0] | 0x02) & 0xFE, *entropy[1:6]]).hex(":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A network namespace with a file name. It belongs to no process: it lives as long as a running container is in it."""

    id: str
    """The id of the container that it was made for, or HOST_SANDBOX."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The attachment of a sandbox to a network. It keeps its MAC and address across stop and start."""

    id: str
    network: str
    sandbox: str
    mac: str
    address: ipaddress.IPv4Interface | None = None
    gateway: ipaddress.IPv4Address | None = None
    address6: ipaddress.IPv6Interface | None = None
    gateway6: ipaddress.IPv6Address | None = None
    link_local: tuple[IPInterface, ...] = ()
    """More addresses, that were asked for: of 169.254.0.0/16 or fe80::/64."""
    interface: str = "eth0"
    host_interface: str = ""
    attached: bool = False
    """Whether the interface exists now (as far as the store knows)."""
    guarded: bool = True
    """Whether what comes out of it must carry its own MAC and address."""
    leads: tuple[int, ...] = ()
    """The families (4, 6) whose default route in the sandbox goes by it."""
    sysctls: dict[str, str] = field(default_factory=dict)
    """Settings of its interface, with `IFNAME` in place of the interface's name (com.docker.network.endpoint.sysctls)."""

    @property
    def addresses(self) -> tuple[IPInterface, ...]:
        """All addresses of its interface: IPv4, IPv6, those of its link."""
        return (*((self.address,) if self.address else ()), *((self.address6,) if self.address6 else ()), *self.link_local)

    @property
    def default_gateways(self) -> tuple[IPAddress, ...]:
        """Where the default routes lead that go by it."""
        gateways = ((4, self.gateway), (6, self.gateway6))
        return tuple(gateway for version, gateway in gateways if gateway is not None and version in self.leads)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of its interface, by their keys in the sandbox."""
        return {key.replace("IFNAME", self.interface): value for key, value in self.sysctls.items()}

    @property
    def ipv4(self) -> ipaddress.IPv4Interface:
        """The address, of an endpoint that has one."""
        if self.address is None:
            raise InvalidInput(f"endpoint {self.id[:12]} has no IPv4 address")
        return self.address

    @property
    def ips(self) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
        """Its addresses of both families."""
        return tuple(interface.ip for interface in (self.address, self.address6) if interface is not None)

    def __post_init__(self) -> None:
        mac_address(self.mac)
        interface_name(self.interface)
        if self.host_interface:
            interface_name(self.host_interface)


def address_text(address: IPInterface | None) -> str:
    """Return the address without its prefix length, empty for none."""
    return str(address.ip) if address else ""
