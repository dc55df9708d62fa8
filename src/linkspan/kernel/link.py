"""Interfaces: bridges, veth pairs and their ports.

Functions act in the namespace of the calling thread, which is the host's; each is one request unless it says otherwise.
"""

import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from linkspan.errors import Conflict, Exhausted, NotFound
from linkspan.kernel.netlink import RouteSocket, host, translated
from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP, random_mac

_IFF_LOOPBACK = 8
_SKIP_STATISTICS = 8
"""RTEXT_FILTER_SKIP_STATS: half of an answer is counters that nobody here reads."""


def create_bridge(name: str, mtu: int | None = None, mac: str = "") -> None:
    """Create bridge `name`; equivalent to `ip link add NAME address MAC group OURS type bridge`.

    Raises Conflict if an interface has that name already.
    """
    # A bridge with no address of its own takes its lowest port's: it would change under the neighbours as containers come and go.
    bridge = _message(name, [("IFLA_ADDRESS", mac or random_mac(os.urandom(6))), *_mtu(mtu), ("IFLA_GROUP", OUR_GROUP), _kind("bridge")])
    with translated(f"create bridge {name}", {errno.EEXIST: Conflict(f"interface {name} already exists")}):
        host().change(RTM_NEWLINK, bridge, NLM_F_CREATE | NLM_F_EXCL)


def create_veth(host_name: str, bridge: str, namespace: Path, inside_name: str, mac: str, mtu: int | None = None) -> None:
    """Create a veth pair, its host end a port of `bridge`, the other born in `namespace`.

    Equivalent to `ip link add HOST_NAME group OURS master BRIDGE type veth peer name INSIDE_NAME address MAC netns NAMESPACE`.
    Raises Conflict if one of the names is taken, NotFound if there is no such bridge or namespace, Exhausted if the bridge is full.
    """
    with translated(f"open {namespace}", {errno.ENOENT: NotFound(f"no network namespace {namespace}")}):
        inside = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = [("IFLA_IFNAME", inside_name), ("IFLA_ADDRESS", mac), ("IFLA_NET_NS_FD", inside), *_mtu(mtu)]
        ends = _kind("veth", [("VETH_INFO_PEER", {"attrs": peer})])
        pair = _message(host_name, [("IFLA_MASTER", require_index(bridge)), ("IFLA_GROUP", OUR_GROUP), *_mtu(mtu), ends])
        taken = Conflict(f"interface {host_name} (or {inside_name} in {namespace}) already exists")
        full = Exhausted(f"the bridge {bridge} has no port left for {host_name}")
        with translated(f"create veth {host_name}", {errno.EEXIST: taken, errno.EXFULL: full}):
            host().change(RTM_NEWLINK, pair, NLM_F_CREATE | NLM_F_EXCL)
    finally:
        os.close(inside)


def open_port(name: str, *, isolated: bool = False, hairpin: bool = False) -> None:
    """Bring a bridge port up; `isolated`: it talks to no other isolated one, `hairpin`: it gets back what it sends to itself.

    Equivalent to `ip link set dev NAME up type bridge_slave isolated on|off hairpin on|off`. Raises NotFound.
    """
    settings = {"attrs": [("IFLA_BRPORT_ISOLATED", int(isolated)), ("IFLA_BRPORT_MODE", int(hairpin))]}
    port = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", settings)]}
    message = _message(name, [("IFLA_LINKINFO", port)])
    message["flags"] = message["change"] = IFF_UP
    with translated(f"open bridge port {name}", {errno.ENODEV: _missing(name)}):
        host().change(RTM_NEWLINK, message)


def plug(name: str, bridge: str) -> None:
    """Make an interface a port of `bridge`; equivalent to `ip link set NAME master BRIDGE`. Idempotent. Raises NotFound."""
    master = _message(name, [("IFLA_MASTER", require_index(bridge))])
    with translated(f"make {name} a port of {bridge}", {errno.ENODEV: _missing(name)}):
        host().change(RTM_SETLINK, master)


def mtu_of(index: int) -> int:
    """Return the MTU of an interface that leads somewhere, 0 if it is gone or the loopback; equivalent to `ip link show`."""
    with translated(f"look at interface {index}", {errno.ENODEV: None}):
        found = host().get(RTM_GETLINK, question(index))
        return 0 if found["flags"] & _IFF_LOOPBACK else found.get_attr("IFLA_MTU") or 0
    return 0


def set_up(link: str | int) -> None:
    """Bring an interface up; equivalent to `ip link set LINK up`. Raises NotFound."""
    with translated(f"set interface {link} up", {errno.ENODEV: _missing(link)}):
        host().change(RTM_SETLINK, up_message(link))


def set_mtu(name: str, mtu: int, inside: RouteSocket | None = None) -> None:
    """Set the MTU of an interface, of the socket's namespace if there is one; equivalent to `ip link set NAME mtu MTU`. Raises NotFound."""
    with translated(f"set the MTU of interface {name} to {mtu}", {errno.ENODEV: _missing(name)}):
        (inside or host()).change(RTM_SETLINK, _message(name, _mtu(mtu)))


def delete(name: str) -> None:
    """Delete an interface, and its peer if it is a veth; equivalent to `ip link del NAME`. Idempotent."""
    with translated(f"delete interface {name}", {errno.ENODEV: None}):
        host().change(RTM_DELLINK, _message(name, []))


def delete_many(names: Iterable[str]) -> None:
    """Delete interfaces together; equivalent to `ip link set NAME group DOOMED` for each, then `ip link del group DOOMED`.

    Deleting waits for grace periods of the kernel: a group waits once, a hundred veths one by one for over a second. Idempotent.
    """
    doomed = tuple(names)
    if not doomed:
        return
    for name in doomed:
        # RTM_SETLINK and not RTM_NEWLINK: with that, older kernels take a name that is gone as "all of this group".
        doom(name)
    with translated("delete interfaces", {errno.ENODEV: None}):
        host().change(RTM_DELLINK, _message(0, [("IFLA_GROUP", DOOMED_GROUP)]))


def doom(name: str) -> None:
    """Mark an interface that is to be deleted; equivalent to `ip link set NAME group DOOMED`. Idempotent."""
    with translated(f"mark interface {name}", {errno.ENODEV: None}):
        host().change(RTM_SETLINK, _message(name, [("IFLA_GROUP", DOOMED_GROUP)]))


def revive(name: str) -> None:
    """Take the mark off again; equivalent to `ip link set NAME group OURS`. Raises NotFound."""
    with translated(f"mark interface {name}", {errno.ENODEV: _missing(name)}):
        host().change(RTM_SETLINK, _message(name, [("IFLA_GROUP", OUR_GROUP)]))


def index(name: str) -> int | None:
    """Return an interface's index, None if there is none of that name; equivalent to `cat /sys/class/net/NAME/ifindex`."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def name_of(index: int) -> str:
    """Return an interface's name, empty if there is none of that index."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def require_index(name: str) -> int:
    """Return an interface's index; raises NotFound."""
    found = index(name)
    if found is None:
        raise _missing(name)
    return found


def is_bridge(name: str) -> bool:
    """Whether there is an interface of that name and it is a bridge; equivalent to `ip -d link show NAME`."""
    found = _find(name)
    return found is not None and _kind_of(found) == "bridge"


def is_foreign(name: str) -> bool:
    """Whether there is an interface of that name and we did not make it; equivalent to `ip link show NAME`."""
    found = _find(name)
    return found is not None and found.get_attr("IFLA_GROUP") not in (OUR_GROUP, DOOMED_GROUP)


def list_ours() -> list[tuple[str, int, str]]:
    """Return (name, index, kind) of the interfaces that we made; equivalent to `ip -d link show group OURS`."""
    with translated("list interfaces"):
        found = host().dump(RTM_GETLINK, question(0))
    ours = (link for link in found if link.get_attr("IFLA_GROUP") in (OUR_GROUP, DOOMED_GROUP))
    return [(link.get_attr("IFLA_IFNAME"), link["index"], _kind_of(link)) for link in ours]


def up_message(link: str | int) -> ifinfmsg:
    """Return the message that brings an interface up, for RTM_SETLINK."""
    message = _message(link, [])
    message["flags"] = message["change"] = IFF_UP
    return message


def question(link: str | int) -> ifinfmsg:
    """Return the message that asks for an interface, 0 for all of them, for RTM_GETLINK."""
    return _message(link, [("IFLA_EXT_MASK", _SKIP_STATISTICS)])


def _find(name: str) -> ifinfmsg | None:
    with translated(f"look at interface {name}", {errno.ENODEV: None}):
        return host().get(RTM_GETLINK, question(name))
    return None


def _message(link: str | int, attributes: list[tuple[str, Any]]) -> ifinfmsg:
    message = ifinfmsg()
    if isinstance(link, int):
        message["index"] = link
    else:
        attributes = [("IFLA_IFNAME", link), *attributes]
    message["attrs"] = attributes
    return message


def _kind(kind: str, data: list[tuple[str, Any]] | None = None) -> tuple[str, Any]:
    attributes: list[tuple[str, Any]] = [("IFLA_INFO_KIND", kind)]
    if data:
        attributes.append(("IFLA_INFO_DATA", {"attrs": data}))
    return "IFLA_LINKINFO", {"attrs": attributes}


def _kind_of(link: ifinfmsg) -> str:
    information = link.get_attr("IFLA_LINKINFO")
    kind: str | None = information and information.get_attr("IFLA_INFO_KIND")
    return kind or ""


def _mtu(mtu: int | None) -> list[tuple[str, Any]]:
    return [] if mtu is None else [("IFLA_MTU", mtu)]


def _missing(link: str | int) -> NotFound:
    return NotFound(f"no interface {link}")
