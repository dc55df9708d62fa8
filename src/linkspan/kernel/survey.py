"""Looking at interfaces, addresses and routes: the host's all together, or those of one interface in a namespace.

The first three act in the namespace of the calling thread, which is the host's. Nothing here changes anything.
"""

import socket
from collections import defaultdict
from ipaddress import ip_address, ip_interface
from pathlib import Path

from pyroute2.netlink import nlmsg_base
from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from linkspan.kernel import link, netns, route
from linkspan.kernel.netlink import RouteSocket, host, translated
from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP
from linkspan.model.host import InsideState, LinkState
from linkspan.model.network import IPInterface, IPNetwork

_UNICAST = 1


def links() -> dict[str, LinkState]:
    """Return the interfaces by name; equivalent to `ip -d link`."""
    with translated("list interfaces"):
        found = host().dump(RTM_GETLINK, link.question(0))
    states = map(_state, found)
    return {state.name: state for state in states}


def addresses() -> dict[int, tuple[IPInterface, ...]]:
    """Return the addresses of both families by the index of their interface; equivalent to `ip addr`."""
    with translated("list addresses"):
        return _addresses(host(), 0)


def routes() -> frozenset[tuple[IPNetwork, int]]:
    """Return where the main tables lead, and by which interface; equivalent to `ip -4 route; ip -6 route`.

    Default routes, and what is of one link only (fe80::/64), are left out.
    """
    told = (found for found in _routes(host()) if found["dst_len"] > 0 and found["type"] == _UNICAST)
    leading = ((route.target(found), found.get_attr("RTA_OIF") or 0) for found in told)
    return frozenset((subnet, index) for subnet, index in leading if subnet.version == 4 or not subnet.is_link_local)


def uplinks() -> tuple[int, ...]:
    """Return the indexes of the interfaces that default routes lead to; equivalent to `ip route show default`, with -4 and -6."""
    leading = (index for found in _routes(host()) if found["dst_len"] == 0 for index in _interfaces(found))
    return tuple(dict.fromkeys(leading))


def egress_mtu() -> int | None:
    """Return the smallest MTU of the host's ways out, None if there are none: of default routes, and of their interfaces.

    Equivalent to the smallest MTU of `ip route show default` and of the interfaces that it names.
    """
    defaults = [found for found in _routes(host()) if found["dst_len"] == 0 and found["type"] == _UNICAST]
    ways = {index for found in defaults for index in _interfaces(found)}
    if not ways:
        return None
    own = (link.mtu_of(index) for index in ways)
    return min(filter(None, (*own, *map(_route_mtu, defaults))), default=None)


def _interfaces(found: nlmsg_base) -> list[int]:
    """Return the indexes of the interfaces that a route leads to, also of one with several ways."""
    return [*filter(None, [found.get_attr("RTA_OIF")]), *(hop["oif"] for hop in found.get_attr("RTA_MULTIPATH") or ())]


def _route_mtu(found: nlmsg_base) -> int:
    metrics = found.get_attr("RTA_METRICS")
    return (metrics and metrics.get_attr("RTAX_MTU")) or 0


def inside(namespace: Path, interface: str) -> InsideState | None:
    """Return an interface of `namespace`, None if there is none of that name; raises NotFound if there is no namespace.

    Equivalent, in the namespace, to `ip addr show dev DEV; ip route show default dev DEV`.
    """
    with netns.open_socket(namespace) as opened, translated(f"look at {interface} in {namespace}"):
        found = next((entry for entry in opened.dump(RTM_GETLINK, link.question(0)) if entry.get_attr("IFLA_IFNAME") == interface), None)
        if found is None:
            return None
        index = found["index"]
        defaults = [found for found in _routes(opened) if found["dst_len"] == 0 and found.get_attr("RTA_OIF") == index]
        return InsideState(
            up=bool(found["flags"] & IFF_UP),
            mac=found.get_attr("IFLA_ADDRESS") or "",
            addresses=_addresses(opened, index).get(index, ()),
            gateways=tuple(ip_address(found.get_attr("RTA_GATEWAY")) for found in defaults if found.get_attr("RTA_GATEWAY")),
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


def _addresses(opened: RouteSocket, index: int) -> dict[int, tuple[IPInterface, ...]]:
    question = ifaddrmsg()
    question["family"] = socket.AF_UNSPEC
    question["index"] = index
    by_index: defaultdict[int, list[IPInterface]] = defaultdict(list)
    for found in opened.dump(RTM_GETADDR, question):
        local = found.get_attr("IFA_LOCAL") or found.get_attr("IFA_ADDRESS")
        by_index[found["index"]].append(ip_interface((local, found["prefixlen"])))
    return {found: tuple(entries) for found, entries in by_index.items()}


def _routes(opened: RouteSocket) -> list[nlmsg_base]:
    return [*route.main_table(opened, 4), *route.main_table(opened, 6)]
