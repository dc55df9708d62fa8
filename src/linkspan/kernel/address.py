"""Addresses of interfaces, of both families.

Functions act in the namespace of the calling thread, which is the host's, except those that say `inside`.
"""

import errno
import socket
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, RTM_NEWROUTE, RTM_SETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from linkspan.errors import NotFound
from linkspan.kernel import link, netns, route, sysctl
from linkspan.kernel.netlink import RouteSocket, host, translated
from linkspan.model.network import IPAddress, IPInterface

_NO_DETECTION = 0x02
"""IFA_F_NODAD: an IPv6 address can be used at once. Who has an address is ours to say; asking the link for it takes a second."""


def add(name: str, address: IPInterface) -> None:
    """Give an interface an address; equivalent to `ip addr add ADDRESS brd + dev NAME` (IPv6: `nodad`). Idempotent. Raises NotFound."""
    with translated(f"add address {address} to {name}", {errno.EEXIST: None}):
        host().change(RTM_NEWADDR, _message(link.require_index(name), address), NLM_F_CREATE | NLM_F_EXCL)


def remove(name: str, address: IPInterface) -> None:
    """Take an address from an interface; equivalent to `ip addr del ADDRESS dev NAME`. Idempotent."""
    index = link.index(name)
    if index is None:
        return
    with translated(f"remove address {address} from {name}", {errno.EADDRNOTAVAIL: None, errno.ENODEV: None}):
        host().change(RTM_DELADDR, _message(index, address))


def of(name: str) -> list[IPv4Interface]:
    """Return an interface's IPv4 addresses; equivalent to `ip -4 addr show dev NAME`. Raises NotFound."""
    return [IPv4Interface(entry) for entry in _dump(socket.AF_INET, link.require_index(name))]


def of6(name: str) -> list[IPv6Interface]:
    """Return an interface's IPv6 addresses, that of its link too; equivalent to `ip -6 addr show dev NAME`. Raises NotFound."""
    return [IPv6Interface(entry) for entry in _dump(socket.AF_INET6, link.require_index(name))]


def local() -> list[IPv4Address]:
    """Return all IPv4 addresses of the host; equivalent to `ip -4 addr`."""
    return [IPv4Interface(entry).ip for entry in _dump(socket.AF_INET, 0)]


def local6() -> list[IPv6Address]:
    """Return all IPv6 addresses of the host, those of its links too; equivalent to `ip -6 addr`."""
    return [IPv6Interface(entry).ip for entry in _dump(socket.AF_INET6, 0)]


def configure_inside(
    namespace: Path,
    interface: str,
    addresses: Iterable[IPInterface],
    gateways: Iterable[IPAddress] = (),
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Bring an interface of `namespace` up, with its addresses and default routes, after some sysctls; raises NotFound.

    Equivalent, in the namespace, to `sysctl -w KEY=VALUE …; ip link set DEV up; ip addr add ADDRESS brd + dev DEV …;
    ip route add default via GATEWAY …`.
    """
    wanted = (tuple(addresses), tuple(gateways))
    netns.run_in(namespace, lambda: _configure(namespace, interface, *wanted, settings))


def restore_inside(
    namespace: Path,
    interface: str,
    addresses: Iterable[IPInterface],
    gateways: Iterable[IPAddress] = (),
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Give an interface of `namespace` what it has lost: as `configure_inside`, but what is there already is no error. Raises NotFound."""
    wanted = (tuple(addresses), tuple(gateways))
    netns.run_in(namespace, lambda: _configure(namespace, interface, *wanted, settings, {errno.EEXIST: None}))


def keep_inside(namespace: Path, interface: str, wanted: Iterable[IPInterface]) -> None:
    """Take from an interface of `namespace` all addresses but the wanted ones and that of its link; raises NotFound.

    Equivalent, in the namespace, to `ip addr del ADDRESS dev DEV` for each.
    """
    kept = set(wanted)

    def keep() -> None:
        index = link.require_index(interface)
        with RouteSocket() as inside:
            for entry in (*_addresses(inside, socket.AF_INET, index), *_addresses(inside, socket.AF_INET6, index)):
                if entry not in kept and not entry.ip.is_link_local:
                    with translated(f"remove address {entry} from {interface}", {errno.EADDRNOTAVAIL: None}):
                        inside.change(RTM_DELADDR, _message(index, entry))

    netns.run_in(namespace, keep)


def _addresses(opened: RouteSocket, family: int, index: int) -> list[IPInterface]:
    return [ip_interface(entry) for entry in _dump(family, index, opened)]


def _configure(
    namespace: Path,
    interface: str,
    addresses: Sequence[IPInterface],
    gateways: Sequence[IPAddress],
    settings: Mapping[str, str],
    known: Mapping[int, None] = MappingProxyType({}),
) -> None:
    index = link.index(interface)
    if index is None:
        raise NotFound(f"no interface {interface} in {namespace}")
    for key, value in settings.items():
        sysctl.put(key, value)
    with RouteSocket() as inside:
        with translated(f"set interface {interface} up"):
            inside.change(RTM_SETLINK, link.up_message(index))
        for address in addresses:
            with translated(f"add address {address} to {interface}", known):
                inside.change(RTM_NEWADDR, _message(index, address), NLM_F_CREATE | NLM_F_EXCL)
        for gateway in gateways:
            with translated(f"add a default route by {gateway}", known):
                inside.change(RTM_NEWROUTE, route.default_message(gateway, index), NLM_F_CREATE | NLM_F_EXCL)


def _message(index: int, address: IPInterface) -> ifaddrmsg:
    message = ifaddrmsg()
    message["index"] = index
    message["prefixlen"] = address.network.prefixlen
    attributes: list[tuple[str, Any]] = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
    if address.version == 6:
        message["family"], message["flags"] = socket.AF_INET6, _NO_DETECTION
    else:
        message["family"] = socket.AF_INET
        if address.network.prefixlen < 31:  # RFC 3021: a link of two, or of one, has no broadcast address
            attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    message["attrs"] = attributes
    return message


def _dump(family: int, index: int, opened: RouteSocket | None = None) -> list[str]:
    question = ifaddrmsg()
    question["family"], question["index"] = family, index
    with translated("list addresses"):
        found = (opened or host()).dump(RTM_GETADDR, question)
    return [f"{answer.get_attr('IFA_LOCAL') or answer.get_attr('IFA_ADDRESS')}/{answer['prefixlen']}" for answer in found]
