"""Looking at interfaces, addresses and routes: the host's all together, or those of one interface in a namespace.

The first three act in the namespace of the calling thread, which is the host's. Nothing here changes anything.
"""

import errno
import socket
from collections import defaultdict
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from pyroute2.netlink import nlmsg_base
from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from linkspan.kernel import link, netns
from linkspan.kernel.netlink import RouteSocket, host, translated
from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP
from linkspan.model.host import InsideState, LinkState

_MAIN_TABLE = 254
_UNICAST = 1


def links() -> dict[str, LinkState]:
    """Return the interfaces by name; equivalent to `ip -d link`."""
    with translated("list interfaces"):
        found = host().dump(RTM_GETLINK, link.question(0))
    states = map(_state, found)
    return {state.name: state for state in states}


def addresses() -> dict[int, tuple[IPv4Interface, ...]]:
    """Return the IPv4 addresses by the index of their interface; equivalent to `ip -4 addr`."""
    with translated("list addresses"):
        return _addresses(host(), 0)


def routes() -> frozenset[tuple[IPv4Network, int]]:
    """Return where the main table leads, and by which interface, but for default routes; equivalent to `ip -4 route`."""
    return frozenset(
        (IPv4Network((route.get_attr("RTA_DST"), route["dst_len"])), route.get_attr("RTA_OIF") or 0)
        for route in _routes(host())
        if route["dst_len"] > 0 and route["type"] == _UNICAST
    )


def uplinks() -> tuple[int, ...]:
    """Return the indexes of the interfaces that default routes lead to; equivalent to `ip -4 route show default`."""
    return tuple(route.get_attr("RTA_OIF") for route in _routes(host()) if route["dst_len"] == 0 and route.get_attr("RTA_OIF"))


def inside(namespace: Path, interface: str) -> InsideState | None:
    """Return an interface of `namespace`, None if there is none of that name; raises NotFound if there is no namespace.

    Equivalent, in the namespace, to `ip addr show dev DEV; ip route show default dev DEV`.
    """
    with netns.open_socket(namespace) as opened, translated(f"look at {interface} in {namespace}"):
        found = next((entry for entry in opened.dump(RTM_GETLINK, link.question(0)) if entry.get_attr("IFLA_IFNAME") == interface), None)
        if found is None:
            return None
        index = found["index"]
        defaults = [route for route in _routes(opened) if route["dst_len"] == 0 and route.get_attr("RTA_OIF") == index]
        return InsideState(
            up=bool(found["flags"] & IFF_UP),
            mac=found.get_attr("IFLA_ADDRESS") or "",
            addresses=_addresses(opened, index).get(index, ()),
            gateways=tuple(IPv4Address(route.get_attr("RTA_GATEWAY")) for route in defaults if route.get_attr("RTA_GATEWAY")),
        )


def _state(found: ifinfmsg) -> LinkState:
    information = found.get_attr("IFLA_LINKINFO")
    port = information and information.get_attr("IFLA_INFO_SLAVE_DATA")
    group = found.get_attr("IFLA_GROUP")

    def flag(name: str) -> bool:
        return bool(port and isinstance(port, nlmsg_base) and port.get_attr(name))

    return LinkState(
        name=found.get_attr("IFLA_IFNAME"),
        index=found["index"],
        kind=(information and information.get_attr("IFLA_INFO_KIND")) or "",
        ours=group in (OUR_GROUP, DOOMED_GROUP),
        doomed=group == DOOMED_GROUP,
        up=bool(found["flags"] & IFF_UP),
        mtu=found.get_attr("IFLA_MTU") or 0,
        master=found.get_attr("IFLA_MASTER") or 0,
        hairpin=flag("IFLA_BRPORT_MODE"),
        isolated=flag("IFLA_BRPORT_ISOLATED"),
    )


def _addresses(opened: RouteSocket, index: int) -> dict[int, tuple[IPv4Interface, ...]]:
    question = ifaddrmsg()
    question["family"] = socket.AF_INET
    question["index"] = index
    by_index: defaultdict[int, list[IPv4Interface]] = defaultdict(list)
    for found in opened.dump(RTM_GETADDR, question):
        by_index[found["index"]].append(IPv4Interface((found.get_attr("IFA_LOCAL"), found["prefixlen"])))
    return {found: tuple(entries) for found, entries in by_index.items()}


def _routes(opened: RouteSocket) -> list[nlmsg_base]:
    with translated("list routes", {errno.ENOENT: None}):  # there is no table as long as nothing is up
        return opened.dump(RTM_GETROUTE, _route_question())
    return []


def _route_question() -> rtmsg:
    question = rtmsg()
    question["family"] = socket.AF_INET
    question["table"] = _MAIN_TABLE
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", _MAIN_TABLE)]
    question["attrs"] = attributes
    return question
