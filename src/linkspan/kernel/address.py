"""IPv4 addresses of interfaces.

Functions act in the namespace of the calling thread, which is the host's, except `configure_inside`.
"""

import errno
import ipaddress
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, RTM_NEWROUTE, RTM_SETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from linkspan.errors import NotFound
from linkspan.kernel import link, netns, route, sysctl
from linkspan.kernel.netlink import RouteSocket, host, translated


def add(name: str, address: IPv4Interface) -> None:
    """Give an interface an address; equivalent to `ip addr add ADDRESS brd + dev NAME`. Idempotent. Raises NotFound."""
    with translated(f"add address {address} to {name}", {errno.EEXIST: None}):
        host().change(RTM_NEWADDR, _message(link.require_index(name), address), NLM_F_CREATE | NLM_F_EXCL)


def remove(name: str, address: IPv4Interface) -> None:
    """Take an address from an interface; equivalent to `ip addr del ADDRESS dev NAME`. Idempotent."""
    index = link.index(name)
    if index is None:
        return
    with translated(f"remove address {address} from {name}", {errno.EADDRNOTAVAIL: None, errno.ENODEV: None}):
        host().change(RTM_DELADDR, _message(index, address))


def of(name: str) -> list[IPv4Interface]:
    """Return an interface's addresses; equivalent to `ip -4 addr show dev NAME`. Raises NotFound."""
    question = ifaddrmsg()
    question["family"] = socket.AF_INET
    question["index"] = link.require_index(name)
    return _dump(question)


def local() -> list[IPv4Address]:
    """Return all addresses of the host; equivalent to `ip -4 addr`."""
    question = ifaddrmsg()
    question["family"] = socket.AF_INET
    return [address.ip for address in _dump(question)]


def configure_inside(
    namespace: Path,
    interface: str,
    address: IPv4Interface,
    gateway: IPv4Address | None = None,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Bring an interface of `namespace` up, with its address and the default route, after some sysctls; raises NotFound.

    Equivalent, in the namespace, to `sysctl -w KEY=VALUE …; ip link set DEV up; ip addr add ADDRESS brd + dev DEV;
    ip route add default via GATEWAY`.
    """

    def configure() -> None:
        index = link.index(interface)
        if index is None:
            raise NotFound(f"no interface {interface} in {namespace}")
        for key, value in settings.items():
            sysctl.put(key, value)
        with RouteSocket() as inside:
            with translated(f"set interface {interface} up"):
                inside.change(RTM_SETLINK, link.up_message(index))
            with translated(f"add address {address} to {interface}"):
                inside.change(RTM_NEWADDR, _message(index, address), NLM_F_CREATE | NLM_F_EXCL)
            if gateway is not None:
                with translated(f"add a default route by {gateway}"):
                    inside.change(RTM_NEWROUTE, route.default_message(gateway, index), NLM_F_CREATE | NLM_F_EXCL)

    netns.run_in(namespace, configure)


def restore_inside(namespace: Path, interface: str, address: IPv4Interface, gateway: IPv4Address | None = None) -> None:
    """Give an interface of `namespace` what it has lost: as `configure_inside`, but what is there already is no error. Raises NotFound."""

    def restore() -> None:
        index = link.index(interface)
        if index is None:
            raise NotFound(f"no interface {interface} in {namespace}")
        with RouteSocket() as inside:
            with translated(f"set interface {interface} up"):
                inside.change(RTM_SETLINK, link.up_message(index))
            with translated(f"add address {address} to {interface}", {errno.EEXIST: None}):
                inside.change(RTM_NEWADDR, _message(index, address), NLM_F_CREATE | NLM_F_EXCL)
            if gateway is not None:
                with translated(f"add a default route by {gateway}", {errno.EEXIST: None}):
                    inside.change(RTM_NEWROUTE, route.default_message(gateway, index), NLM_F_CREATE | NLM_F_EXCL)

    netns.run_in(namespace, restore)


def _message(index: int, address: IPv4Interface) -> ifaddrmsg:
    message = ifaddrmsg()
    message["family"] = socket.AF_INET
    message["index"] = index
    message["prefixlen"] = address.network.prefixlen
    attributes: list[tuple[str, Any]] = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
    if address.network.prefixlen < 31:  # RFC 3021: a link of two, or of one, has no broadcast address
        attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    message["attrs"] = attributes
    return message


def _dump(question: ifaddrmsg) -> list[IPv4Interface]:
    with translated("list addresses"):
        found = host().dump(RTM_GETADDR, question)
    return [ipaddress.IPv4Interface((answer.get_attr("IFA_LOCAL"), answer["prefixlen"])) for answer in found]
