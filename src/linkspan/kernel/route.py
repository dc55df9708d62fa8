"""IPv4 routes of the calling thread's namespace, which is the host's."""

import errno
import socket
from ipaddress import IPv4Address, IPv4Network

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_GETROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from linkspan.kernel import link
from linkspan.kernel.netlink import host, translated

_MAIN_TABLE = 254
_KERNEL, _BOOT = 2, 3
_LINK = 253
_UNICAST = 1


def connected_subnets(except_interface: str) -> tuple[IPv4Network, ...]:
    """Return where the host's main table leads, but for default routes and those of `except_interface`.

    Equivalent to `ip -4 route show table main`.
    """
    excluded = link.index(except_interface)
    routes = []
    with translated("list routes", {errno.ENOENT: None}):  # there is no table as long as nothing is up
        routes = host().dump(RTM_GETROUTE, _message())
    subnets = {
        IPv4Network((route.get_attr("RTA_DST"), route["dst_len"]))
        for route in routes
        if route["dst_len"] > 0 and (excluded is None or route.get_attr("RTA_OIF") != excluded)
    }
    return tuple(sorted(subnets))


def add_connected(name: str, subnet: IPv4Network, source: IPv4Address) -> None:
    """Lead `subnet` to interface `name`, as the kernel does for an address of it; raises NotFound. Idempotent.

    Equivalent to `ip route add SUBNET dev NAME proto kernel scope link src SOURCE`.
    """
    message = _message()
    message["dst_len"] = subnet.prefixlen
    message["proto"], message["scope"], message["type"] = _KERNEL, _LINK, _UNICAST
    message["attrs"] = [
        ("RTA_TABLE", _MAIN_TABLE),
        ("RTA_DST", str(subnet.network_address)),
        ("RTA_PREFSRC", str(source)),
        ("RTA_OIF", link.require_index(name)),
    ]
    with translated(f"add a route to {subnet} by {name}", {errno.EEXIST: None}):
        host().change(RTM_NEWROUTE, message, NLM_F_CREATE | NLM_F_EXCL)


def default_message(gateway: IPv4Address, index: int) -> rtmsg:
    """Return the message of a default route by `gateway` on interface `index`, for RTM_NEWROUTE."""
    message = _message()
    message["proto"] = _BOOT
    message["type"] = _UNICAST
    message["attrs"] = [("RTA_TABLE", _MAIN_TABLE), ("RTA_GATEWAY", str(gateway)), ("RTA_OIF", index)]
    return message


def _message() -> rtmsg:
    message = rtmsg()
    message["family"] = socket.AF_INET
    message["table"] = _MAIN_TABLE
    message["attrs"] = [("RTA_TABLE", _MAIN_TABLE)]
    return message
