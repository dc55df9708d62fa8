"""Hearing of what others change on the host: links, addresses, routes and forwarding (rtnetlink), rules (nftables), mounts.

What this process does itself should cost next to nothing here, so the kernel drops the messages that it is sure to cause: a filter
(socket(7), SO_ATTACH_FILTER) lets through what goes away or down, and of the ruleset what was changed by somebody else. The rest
is read without taking it apart further than to its name.
"""

import asyncio
import contextlib
import ctypes
import errno
import itertools
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from linkspan.kernel.netlink import attributes, messages, translated

_NETLINK_NETFILTER = 12
_SO_ATTACH_FILTER = 26
_LINK, _ADDRESS, _ROUTE, _SETTING = 1 << 0, 1 << 4, 1 << 6, 1 << 23
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, and RTNLGRP_IPV4_NETCONF as a bit."""
_ADDRESS6, _ROUTE6, _SETTING6 = 1 << 8, 1 << 10, 1 << 24
"""RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, and RTNLGRP_IPV6_NETCONF as a bit."""
_NFTABLES = 1 << 6
"""NFNLGRP_NFTABLES as a bit."""
_NEWLINK, _DELLINK, _DELADDR, _NEWROUTE, _DELROUTE, _NEWNETCONF = 16, 17, 21, 24, 25, 80
_EVERYTHING = 0xFFFFFFFF
"""All interfaces, all flags."""
_TABLE_NAME = b"linkspan\0"
_IFINFO, _RTMSG, _IFADDR_INDEX = 16, 12, 4
"""Lengths of the heads of messages about links and routes; where that about an address has the interface."""
_IFLA_IFNAME, _RTA_OIF = 3, 4
_BUFFER = 1 << 20
"""Bytes that may wait to be read: some thousand messages, when many interfaces go at once."""
_MOUNTS_PAUSE = 0.3
"""Seconds from being told of a mount until the next is told: a busy host mounts all the time, and it is never said what."""
_BATCH = 200
"""Messages that are read before others get their turn."""


class What(Enum):
    """What has changed."""

    LINK = auto()
    """An interface is gone, down, or off its bridge."""
    ADDRESS = auto()
    ROUTE = auto()
    """Both: one is gone."""
    UPLINK = auto()
    """There is a new default route, or an interface that one leads to has changed."""
    FORWARDING = auto()
    RULES = auto()
    """Something in our table, or the table itself."""
    MOUNTS = auto()
    """Something was mounted or unmounted, by anybody."""
    LOST = auto()
    """More has changed than could be told: anything may have."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `name` is the interface's, of a link, an address or a route: empty if it is gone, or there is none."""

    what: What
    name: str = ""


class Changes:
    """Calls `heard` with each change, in the event loop, from `open` to `close`. Of the namespace in which it is opened.

    When the kernel could not tell everything (ENOBUFS), the sockets are opened anew and `heard` gets LOST.
    """

    def __init__(self, heard: Callable[[Change], None], *, buffer: int = _BUFFER) -> None:
        self._heard = heard
        self._buffer = buffer
        self._route: socket.socket | None = None
        self._rules: socket.socket | None = None
        self._mounts: _Mounts | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._uplinks: tuple[int, ...] = ()

    def open(self) -> None:
        """Begin to listen; raises KernelError."""
        with translated("listen to changes of the host"):
            self._open_route()
            self._open_rules()
            self._mounts = _Mounts()
        asyncio.get_running_loop().add_reader(self._mounts.fd, self._read_mounts, self._mounts)

    def follow(self, uplinks: tuple[int, ...]) -> None:
        """Tell also of any change of these interfaces, e.g. of their MTU. Raises KernelError."""
        if uplinks != self._uplinks:
            self._uplinks = uplinks
            if self._route is not None:
                with translated("listen to changes of the host"):
                    _attach(self._route, _only_losses(uplinks))

    def close(self) -> None:
        """Listen no more; may be called twice."""
        for opened in filter(None, (self._route, self._rules)):
            _forget(opened)
        self._route = self._rules = None
        if self._pause is not None:
            self._pause.cancel()
        if self._mounts is not None:
            asyncio.get_running_loop().remove_reader(self._mounts.fd)
            self._mounts.close()
            self._mounts = None

    def _open_route(self) -> None:
        groups = _LINK | _ADDRESS | _ROUTE | _SETTING | _ADDRESS6 | _ROUTE6 | _SETTING6
        self._route = _listen(socket.NETLINK_ROUTE, groups, _only_losses(self._uplinks), self._buffer)
        asyncio.get_running_loop().add_reader(self._route, self._read_route, self._route)

    def _open_rules(self) -> None:
        self._rules = _listen(_NETLINK_NETFILTER, _NFTABLES, _only_of_others(_own_ports()), self._buffer)
        asyncio.get_running_loop().add_reader(self._rules, self._read_rules, self._rules)

    def _read_route(self, opened: socket.socket) -> None:
        try:
            for datagram in _datagrams(opened):
                for change in route_changes(datagram, self._uplinks):
                    self._heard(change)
        except OSError as error:
            _forget(opened)
            self._open_route()
            self._lost(error)

    def _read_rules(self, opened: socket.socket) -> None:
        try:
            for datagram in _datagrams(opened):
                if _TABLE_NAME in datagram:
                    self._heard(Change(What.RULES))
        except OSError as error:
            _forget(opened)
            self._open_rules()
            self._lost(error)

    def _read_mounts(self, mounts: "_Mounts") -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(mounts.fd)
        mounts.settle()
        self._pause = loop.call_later(_MOUNTS_PAUSE, self._go_on, mounts)
        self._heard(Change(What.MOUNTS))

    def _go_on(self, mounts: "_Mounts") -> None:
        """Listen again, and then tell of a change once more: one during the pause is used up by listening again, and told by nobody."""
        asyncio.get_running_loop().add_reader(mounts.fd, self._read_mounts, mounts)
        self._heard(Change(What.MOUNTS))

    def _lost(self, error: OSError) -> None:
        if error.errno != errno.ENOBUFS:
            raise error
        self._heard(Change(What.LOST))


def route_changes(datagram: bytes, uplinks: Collection[int] = ()) -> Iterator[Change]:
    """Yield what a datagram of rtnetlink tells; what cannot be read is left out. `uplinks` are interfaces that default routes lead to."""
    with contextlib.suppress(struct.error):
        for kind, body in messages(datagram):
            yield from _change(kind, body, uplinks)


def _change(kind: int, body: bytes, uplinks: Collection[int]) -> Iterator[Change]:
    if kind in (_NEWLINK, _DELLINK):
        if struct.unpack_from("=i", body, 4)[0] in uplinks:
            yield Change(What.UPLINK)
        yield Change(What.LINK, _name(body))
    elif kind == _NEWROUTE:
        yield Change(What.UPLINK)
    elif kind == _DELADDR:
        yield Change(What.ADDRESS, _interface(struct.unpack_from("=I", body, _IFADDR_INDEX)[0]))
    elif kind == _DELROUTE:
        out = attributes(body, _RTMSG).get(_RTA_OIF)
        yield Change(What.ROUTE, _interface(struct.unpack_from("=I", out)[0]) if out else "")
    elif kind == _NEWNETCONF:
        yield Change(What.FORWARDING)


def _name(body: bytes) -> str:
    return attributes(body, _IFINFO).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except (OSError, OverflowError):
        return ""


class _Mounts:
    """A descriptor that can be read when the mounts of this mount namespace have changed (proc(5), mountinfo)."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        # asyncio waits for input, of which this file always has some; a change is told by POLLPRI. An epoll in between turns it into input.
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)

    @property
    def fd(self) -> int:
        return self._epoll.fileno()

    def settle(self) -> None:
        """Wait for the next change. What this one was is forgotten: whoever asked for input has used it up already."""
        self._epoll.poll(0)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._file)


def _listen(protocol: int, groups: int, program: bytes, buffer: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        try:
            opened.setsockopt(socket.SOL_SOCKET, 33, buffer)  # SO_RCVBUFFORCE
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        _attach(opened, program)
        opened.bind((0, groups))
    except BaseException:
        opened.close()
        raise
    return opened


def _attach(opened: socket.socket, program: bytes) -> None:
    """Let only what the program accepts come in, in place of an earlier program."""
    instructions = ctypes.create_string_buffer(program)
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(instructions)))


def _datagrams(opened: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        for _ in range(_BATCH):
            yield opened.recv(1 << 16)


def _forget(opened: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(opened)
    opened.close()


def _own_ports() -> tuple[int, ...]:
    """Return the netlink addresses of this process's nftables sockets: whose changes they are is in each message."""
    ports = []
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  plain numbers
        with contextlib.suppress(OSError):
            # Only sockets: closing a copy of a file's descriptor gives up all locks on the file (fcntl(2)), SQLite's on the store too.
            if not stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                continue
            descriptor = os.dup(int(entry))
            with _closing(descriptor) as found:
                if found is not None:
                    ports.append(found.getsockname()[0])
    return tuple(filter(None, ports))


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[socket.socket | None]:
    """Give the descriptor as a socket if it is one of nftables, and close it."""
    try:
        opened = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        yield None
        return
    with opened:
        yield opened if opened.family == socket.AF_NETLINK and opened.proto == _NETLINK_NETFILTER else None


# Programs of the classic packet filter: (code, label if true, label if false, operand); no label: the next one. It reads numbers as the
# network orders them, and netlink writes them as the machine does, so every operand that is longer than a byte is turned round.
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD, _EQUAL, _ANY_BIT, _RETURN = 0x30, 0x28, 0x20, 0x15, 0x45, 0x06
_TYPE, _SENDER, _INDEX, _FLAGS, _CHANGED, _CONFIGURED = 4, 12, 20, 24, 28, 24
"""Offsets of nlmsg_type, nlmsg_pid, ifi_index, ifi_flags, ifi_change; and of the interface that RTM_NEWNETCONF is about."""
_FAMILY, _PREFIX, _ADDRESS_TOLD, _ROUTE_TOLD = 16, 17, 28, 40
"""Offsets of the family, of a route's length, and of the first address in a message about an address, or about a route of IPv6."""
_ON_LINK, _TO_MANY = 0xFE80, 0xFF00
"""How addresses of one link begin, and those of many: every interface of ours comes and goes with some."""
_Instruction = tuple[int, str, str, int]


def _only_losses(uplinks: Sequence[int] = ()) -> bytes:
    """Let through what is gone (an interface, an address, a route), what has gone down, the forwarding of the whole host; and what
    concerns the ways out: a new default route, any change of the uplinks.

    An interface that has just been made is down too: the message of its birth says that everything has changed.
    """
    lowest = 0 if sys.byteorder == "little" else 3  # the byte of a word that IFF_UP is in
    kinds = {_DELLINK: "accept", _DELADDR: "address", _DELROUTE: "route", _NEWROUTE: "new route", _NEWLINK: "link", _NEWNETCONF: "setting"}
    return _program(
        {
            "": [(_LOAD_HALF, "", "", _TYPE), *((_EQUAL, label, "", _half(kind)) for kind, label in kinds.items()), _DROP],
            "setting": [(_LOAD_WORD, "", "", _CONFIGURED), (_EQUAL, "accept", "drop", _EVERYTHING)],
            "link": [
                (_LOAD_WORD, "", "", _INDEX),
                *((_EQUAL, "accept", "", _word(index)) for index in uplinks),
                (_LOAD_WORD, "", "", _CHANGED),
                (_EQUAL, "drop", "", _EVERYTHING),
                (_LOAD_BYTE, "", "", _CHANGED + lowest),
                (_ANY_BIT, "", "drop", 1),  # IFF_UP
                (_LOAD_BYTE, "", "", _FLAGS + lowest),
                (_ANY_BIT, "drop", "accept", 1),
            ],
            "new route": [(_LOAD_BYTE, "", "", _PREFIX), (_EQUAL, "accept", "drop", 0)],
            "address": [*_is_ipv4(), (_LOAD_HALF, "", "", _ADDRESS_TOLD), (_EQUAL, "drop", "accept", _ON_LINK)],
            "route": [
                *_is_ipv4(),
                (_LOAD_BYTE, "", "", _PREFIX),
                (_EQUAL, "accept", "", 0),
                (_LOAD_HALF, "", "", _ROUTE_TOLD),
                (_EQUAL, "drop", "", _ON_LINK),
                (_EQUAL, "drop", "accept", _TO_MANY),
            ],
            "accept": [_ACCEPT],
            "drop": [_DROP],
        }
    )


def _is_ipv4() -> Sequence[_Instruction]:
    """Accept what is not of IPv6."""
    return [(_LOAD_BYTE, "", "", _FAMILY), (_EQUAL, "", "accept", socket.AF_INET6)]


def _only_of_others(ports: tuple[int, ...]) -> bytes:
    """Let through what was sent for other sockets than those."""
    tests = [(_EQUAL, "drop", "", _word(port)) for port in ports]
    return _program({"": [(_LOAD_WORD, "", "", _SENDER), *tests, _ACCEPT], "drop": [_DROP]})


_ACCEPT: _Instruction = (_RETURN, "", "", 0xFFFFFFFF)
_DROP: _Instruction = (_RETURN, "", "", 0)


def _program(parts: Mapping[str, Sequence[_Instruction]]) -> bytes:
    """Put the parts one after the other, in their order, and turn labels into how far to jump."""
    starts = dict(zip(parts, itertools.accumulate((len(part) for part in parts.values()), initial=0), strict=False))
    code = b""
    for place, (operation, yes, no, operand) in enumerate(itertools.chain.from_iterable(parts.values())):
        jumps = (starts[label] - place - 1 if label else 0 for label in (yes, no))
        code += struct.pack("=HBBI", operation, *jumps, operand)
    return code


def _half(number: int) -> int:
    return socket.htons(number)


def _word(number: int) -> int:
    return socket.htonl(number)
