"""Looking at interfaces, addresses and routes: the host's all together, or those of one interface in a namespace.

The first three act in the namespace of the calling thread, which is the host's. Nothing here changes anything.
"""

import errno
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import TypeVar

from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP

from linkspan.kernel import link, netns, route
from linkspan.kernel.netlink import RouteSocket, attributes, host, number, translated
from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP
from linkspan.model.host import InsideState, LinkState
from linkspan.model.network import IPAddress, IPInterface, IPNetwork

T = TypeVar("T")

_UNICAST = 1
_LINK_HEAD, _ADDRESS_HEAD, _ROUTE_HEAD = 16, 8, 12
"""Sizes of struct ifinfomsg, ifaddrmsg, rtmsg (linux/rtnetlink.h)."""
_LINK_ADDRESS, _LINK_NAME, _LINK_MTU, _LINK_MASTER, _LINK_INFORMATION, _LINK_GROUP = 1, 3, 4, 10, 18, 27
_KIND, _PORT_KIND, _PORT_SETTINGS = 1, 4, 5
_PORT_HAIRPIN, _PORT_ISOLATED = 4, 33
_ADDRESS, _LOCAL = 1, 2
_TARGET, _INTERFACE, _GATEWAY, _METRICS, _SEVERAL = 1, 4, 5, 8, 9
_METRIC_MTU = 2
"""Kinds of attributes: IFLA_*, IFLA_INFO_*, IFLA_BRPORT_*, IFA_*, RTA_*, RTAX_*."""


def links() -> dict[str, LinkState]:
    """Return the interfaces by name; equivalent to `ip -d link`."""
    with translated("list interfaces"):
        states = _read(_state, host().dump_raw(RTM_GETLINK, link.question(0)))
        return {state.name: state for state in states}


def addresses() -> dict[int, tuple[IPInterface, ...]]:
    """Return the addresses of both families by the index of their interface; equivalent to `ip addr`."""
    with translated("list addresses"):
        return _addresses(host(), 0)


def routes(told: "Sequence[Route] | None" = None) -> frozenset[tuple[IPNetwork, int]]:
    """Return where the main tables lead, and by which interface; equivalent to `ip -4 route; ip -6 route`.

    Default routes, and what is of one link only (fe80::/64), are left out. `told` is what `main_tables` has returned already.
    """
    leading = (found for found in (main_tables() if told is None else told) if not found.is_default and found.unicast)
    subnets = ((found.subnet, next(iter(found.interfaces), 0)) for found in leading)
    return frozenset((subnet, index) for subnet, index in subnets if subnet.version == 4 or not subnet.is_link_local)


def uplinks(told: "Sequence[Route] | None" = None) -> tuple[int, ...]:
    """Return the indexes of the interfaces that default routes lead to; equivalent to `ip route show default`, with -4 and -6."""
    defaults = (found for found in (main_tables() if told is None else told) if found.is_default)
    return tuple(dict.fromkeys(index for found in defaults for index in found.interfaces))


def egress_mtu(told: "Sequence[Route] | None" = None) -> int | None:
    """Return the smallest MTU of the host's ways out, None if there are none: of default routes, and of their interfaces.

    Equivalent to the smallest MTU of `ip route show default` and of the interfaces that it names.
    """
    defaults = [found for found in (main_tables() if told is None else told) if found.is_default and found.unicast]
    ways = {index for found in defaults for index in found.interfaces}
    own = (link.mtu_of(index) for index in ways)
    return min(filter(None, (*own, *(found.mtu for found in defaults if ways))), default=None)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a main table."""

    subnet: IPNetwork
    interfaces: tuple[int, ...]
    """The indexes of those that it leads to: several, if it has several ways."""
    unicast: bool
    mtu: int = 0
    gateway: IPAddress | None = None

    @property
    def is_default(self) -> bool:
        """Whether it leads everywhere."""
        return self.subnet.prefixlen == 0


def main_tables() -> list[Route]:
    """Return the routes of the main tables of both families; equivalent to `ip -4 route; ip -6 route`."""
    return _routes(host())


def inside(namespace: Path, interface: str) -> InsideState | None:
    """Return an interface of `namespace`, None if there is none of that name; raises NotFound if there is no namespace.

    Equivalent, in the namespace, to `ip addr show dev DEV; ip route show default dev DEV`.
    """
    with netns.open_socket(namespace) as opened, translated(f"look at {interface} in {namespace}"):
        told = opened.dump_raw(RTM_GETLINK, link.question(0))
        found = next(((state, body) for state, body in zip(_read(_state, told), told, strict=True) if state.name == interface), None)
        if found is None:
            return None
        state, body = found
        defaults = [entry for entry in _routes(opened) if entry.is_default and state.index in entry.interfaces[:1]]
        return InsideState(
            up=state.up,
            mac=attributes(body, _LINK_HEAD).get(_LINK_ADDRESS, b"").hex(":"),
            addresses=_addresses(opened, state.index).get(state.index, ()),
            gateways=tuple(entry.gateway for entry in defaults if entry.gateway is not None),
        )


def _state(body: bytes) -> LinkState:
    index, flags = struct.unpack_from("=iI", body, 4)
    found = attributes(body, _LINK_HEAD)
    information = attributes(found.get(_LINK_INFORMATION, b""))
    port = attributes(information.get(_PORT_SETTINGS, b"")) if information.get(_PORT_KIND, b"").startswith(b"bridge\0") else {}
    group = number(found.get(_LINK_GROUP))
    return LinkState(
        name=_text(found[_LINK_NAME]),
        index=index,
        kind=_text(information.get(_KIND, b"")),
        ours=group in (OUR_GROUP, DOOMED_GROUP),
        doomed=group == DOOMED_GROUP,
        up=bool(flags & IFF_UP),
        mtu=number(found.get(_LINK_MTU)),
        master=number(found.get(_LINK_MASTER)),
        hairpin=any(port.get(_PORT_HAIRPIN, b"")),
        isolated=any(port.get(_PORT_ISOLATED, b"")),
    )


def _addresses(opened: RouteSocket, index: int) -> dict[int, tuple[IPInterface, ...]]:
    question = ifaddrmsg()
    question["family"] = socket.AF_UNSPEC
    question["index"] = index
    by_index: defaultdict[int, list[IPInterface]] = defaultdict(list)
    for owner, address in _read(_address, opened.dump_raw(RTM_GETADDR, question)):
        by_index[owner].append(address)
    return {found: tuple(entries) for found, entries in by_index.items()}


def _address(body: bytes) -> tuple[int, IPInterface]:
    found = attributes(body, _ADDRESS_HEAD)
    kind = IPv6Interface if body[0] == socket.AF_INET6 else IPv4Interface
    (owner,) = struct.unpack_from("=I", body, 4)
    return owner, kind((found.get(_LOCAL) or found[_ADDRESS], body[1]))


def _routes(opened: RouteSocket) -> list[Route]:
    with translated("list routes"):
        return _read(_route, [body for version in (4, 6) for body in route.main_table(opened, version)])


def _read(parse: Callable[[bytes], T], bodies: Iterable[bytes]) -> list[T]:
    """Take messages apart; raises OSError for what no kernel says."""
    try:
        return [parse(body) for body in bodies]
    except (struct.error, ValueError, LookupError) as error:
        raise OSError(errno.EBADMSG, "the kernel's answer cannot be read") from error


def _route(body: bytes) -> Route:
    family, prefix, _, _, _, _, _, kind = body[:8]
    found = attributes(body, _ROUTE_HEAD)
    network, ip = (IPv6Network, IPv6Address) if family == socket.AF_INET6 else (IPv4Network, IPv4Address)
    gateway = found.get(_GATEWAY)
    own = number(found.get(_INTERFACE))
    return Route(
        subnet=network((found.get(_TARGET) or bytes(16 if family == socket.AF_INET6 else 4), prefix)),
        interfaces=(*filter(None, [own]), *_hops(found.get(_SEVERAL, b""))),
        unicast=kind == _UNICAST,
        mtu=number(attributes(found.get(_METRICS, b"")).get(_METRIC_MTU)),
        gateway=ip(gateway) if gateway else None,
    )


def _hops(data: bytes) -> Iterator[int]:
    """Yield the interfaces of a route with several ways (struct rtnexthop)."""
    while len(data) >= 8:
        length, _, _, index = struct.unpack_from("=HBBi", data)
        yield index
        data = data[max((length + 3) & ~3, 8) :]


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
