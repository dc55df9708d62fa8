"""Routes of both families: of the calling thread's namespace, which is the host's, or of another where it says `inside`."""

import errno
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, nlmsg_base
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from linkspan.errors import NotFound
from linkspan.kernel import link, netns
from linkspan.kernel.netlink import RouteSocket, host, translated
from linkspan.model.network import IPAddress, IPNetwork

_MAIN_TABLE = 254
_LOCAL_TABLE = 255
_KERNEL, _BOOT = 2, 3
_LINK = 253
_UNICAST = 1
_LOCAL = 2
_LOOPBACK_METRIC = 2048
_OWN_TYPES = (2, 3, 4, 5)
"""Local, broadcast, anycast, multicast: what the host is, not where it leads."""
_CONNECTED6_METRIC = 256
"""What the kernel gives to a route that comes with an address."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def connected_subnets(except_interface: str) -> tuple[IPv4Network, ...]:
    """Return where the host's main table leads, but for default routes and those of `except_interface`.

    Equivalent to `ip -4 route show table main`.
    """
    excluded = link.index(except_interface)
    routes: list[nlmsg_base] = []
    with translated("list routes", {errno.ENOENT: None}):  # there is no table as long as nothing is up
        routes = host().dump(RTM_GETROUTE, _message(4))
    subnets = {
        IPv4Network((route.get_attr("RTA_DST"), route["dst_len"]))
        for route in routes
        if route["dst_len"] > 0 and route["type"] not in _OWN_TYPES and (excluded is None or route.get_attr("RTA_OIF") != excluded)
    }
    return tuple(sorted(subnets))


def add_connected(name: str, subnet: IPNetwork, source: IPAddress) -> None:
    """Lead `subnet` to interface `name`, as the kernel does for an address of it; raises NotFound. Idempotent.

    Equivalent to `ip route add SUBNET dev NAME proto kernel scope link src SOURCE`, for IPv6 `… proto kernel metric 256`.
    """
    message = _message(subnet.version)
    message["dst_len"] = subnet.prefixlen
    message["proto"], message["type"] = _KERNEL, _UNICAST
    attributes: list[tuple[str, Any]] = [("RTA_DST", str(subnet.network_address)), ("RTA_OIF", link.require_index(name))]
    if subnet.version == 4:
        message["scope"] = _LINK
        attributes.append(("RTA_PREFSRC", str(source)))
    else:
        attributes.append(("RTA_PRIORITY", _CONNECTED6_METRIC))
    message["attrs"] = [("RTA_TABLE", _MAIN_TABLE), *attributes]
    with translated(f"add a route to {subnet} by {name}", {errno.EEXIST: None}):
        host().change(RTM_NEWROUTE, message, NLM_F_CREATE | NLM_F_EXCL)


def take_loopback(name: str) -> None:
    """Let what comes in by interface `name` for ::1 reach the host's loopback; raises NotFound. Idempotent.

    Equivalent to `ip -6 route add local ::1 dev NAME table local metric 2048`. Packets that carry ::1 on the link are dropped by the
    kernel before they are routed; those that do meet the route are answers to connections from ::1 that were translated on their way
    out. It is to IPv6 what route_localnet is to IPv4. The host's own packets for ::1 keep to the better route, by lo.
    """
    message = _message(6)
    message["dst_len"], message["table"], message["type"] = 128, _LOCAL_TABLE, _LOCAL
    message["proto"] = _BOOT
    message["attrs"] = [
        ("RTA_TABLE", _LOCAL_TABLE),
        ("RTA_DST", "::1"),
        ("RTA_OIF", link.require_index(name)),
        ("RTA_PRIORITY", _LOOPBACK_METRIC),
    ]
    with translated(f"let ::1 be reached by {name}", {errno.EEXIST: None}):
        host().change(RTM_NEWROUTE, message, NLM_F_CREATE | NLM_F_EXCL)


def set_default_inside(namespace: Path, version: int, gateway: IPAddress | None, interface: str) -> None:
    """Let the default route of a family go by `gateway` on `interface` of the namespace, or nowhere; raises NotFound. Idempotent.

    Equivalent, in the namespace, to `ip route replace default via GATEWAY dev INTERFACE` or `ip route del default`, with -4 or -6.
    """

    def set_default() -> None:
        with RouteSocket() as inside:
            if gateway is None:
                with translated("remove the default route", dict.fromkeys((errno.ESRCH, errno.ENOENT), None)):
                    inside.change(RTM_DELROUTE, _message(version))
                return
            index = link.index(interface)
            if index is None:
                raise NotFound(f"no interface {interface} in {namespace}")
            with translated(f"lead the default route to {gateway}"):
                inside.change(RTM_NEWROUTE, default_message(gateway, index), NLM_F_CREATE | NLM_F_REPLACE)

    netns.run_in(namespace, set_default)


def default_message(gateway: IPAddress, index: int) -> rtmsg:
    """Return the message of a default route by `gateway` on interface `index`, for RTM_NEWROUTE."""
    message = _message(gateway.version)
    message["proto"] = _BOOT
    message["type"] = _UNICAST
    message["attrs"] = [("RTA_TABLE", _MAIN_TABLE), ("RTA_GATEWAY", str(gateway)), ("RTA_OIF", index)]
    return message


def main_table(opened: RouteSocket, version: int) -> list[bytes]:
    """Return the routes of one family in the main table as the kernel tells them; equivalent to `ip -4 route`, or -6."""
    with translated("list routes", {errno.ENOENT: None}):  # there is no table as long as nothing is up
        return opened.dump_raw(RTM_GETROUTE, _message(version))
    return []


def _message(version: int) -> rtmsg:
    message = rtmsg()
    message["family"] = _FAMILIES[version]
    message["table"] = _MAIN_TABLE
    message["attrs"] = [("RTA_TABLE", _MAIN_TABLE)]
    return message
