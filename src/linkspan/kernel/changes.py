"""Hearing of what others change on the host: links, addresses, routes and forwarding (rtnetlink), rules (nftables), mounts.

What this process does itself should cost next to nothing here, so the kernel drops the messages that it is sure to cause: a filter
(socket(7), SO_ATTACH_FILTER) lets through what goes away or down, and of the ruleset what was changed by somebody else. The rest
is read without taking it apart further than to its name.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from linkspan.kernel.netlink import translated

_NETLINK_NETFILTER = 12
_SO_ATTACH_FILTER = 26
_LINK, _ADDRESS, _ROUTE, _SETTING = 1 << 0, 1 << 4, 1 << 6, 1 << 23
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, and RTNLGRP_IPV4_NETCONF as a bit."""
_NFTABLES = 1 << 6
"""NFNLGRP_NFTABLES as a bit."""
_NEWLINK, _DELLINK, _DELADDR, _DELROUTE, _NEWNETCONF = 16, 17, 21, 25, 80
_EVERYTHING = 0xFFFFFFFF
"""All interfaces, all flags."""
_TABLE_NAME = b"linkspan\0"
_IFINFO = 16
_IFLA_IFNAME = 3
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
    FORWARDING = auto()
    RULES = auto()
    """Something in our table, or the table itself."""
    MOUNTS = auto()
    """Something was mounted or unmounted, by anybody."""
    LOST = auto()
    """More has changed than could be told: anything may have."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `name` is the interface's, of a link."""

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

    def open(self) -> None:
        """Begin to listen; raises KernelError."""
        with translated("listen to changes of the host"):
            self._open_route()
            self._open_rules()
            self._mounts = _Mounts()
        asyncio.get_running_loop().add_reader(self._mounts.fd, self._read_mounts, self._mounts)

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
        groups = _LINK | _ADDRESS | _ROUTE | _SETTING
        self._route = _listen(socket.NETLINK_ROUTE, groups, _only_losses(), self._buffer)
        asyncio.get_running_loop().add_reader(self._route, self._read_route, self._route)

    def _open_rules(self) -> None:
        self._rules = _listen(_NETLINK_NETFILTER, _NFTABLES, _only_of_others(_own_ports()), self._buffer)
        asyncio.get_running_loop().add_reader(self._rules, self._read_rules, self._rules)

    def _read_route(self, opened: socket.socket) -> None:
        try:
            for datagram in _datagrams(opened):
                for change in route_changes(datagram):
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


def route_changes(datagram: bytes) -> Iterator[Change]:
    """Yield what a datagram of rtnetlink tells; what cannot be read is left out."""
    offset = 0
    with contextlib.suppress(struct.error):
        while offset + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, offset)
            if length < 16:
                return
            yield from _change(kind, datagram[offset + 16 : offset + length])
            offset += (length + 3) & ~3


def _change(kind: int, body: bytes) -> Iterator[Change]:
    if kind in (_NEWLINK, _DELLINK):
        yield Change(What.LINK, _name(body))
    elif kind == _DELADDR:
        yield Change(What.ADDRESS)
    elif kind == _DELROUTE:
        yield Change(What.ROUTE)
    elif kind == _NEWNETCONF:
        yield Change(What.FORWARDING)


def _name(body: bytes) -> str:
    offset = _IFINFO
    while offset + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, offset)
        if kind == _IFLA_IFNAME:
            return body[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        if length < 4:
            break
        offset += (length + 3) & ~3
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
        instructions = ctypes.create_string_buffer(program)
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(instructions)))
        opened.bind((0, groups))
    except BaseException:
        opened.close()
        raise
    return opened


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


# Programs of the classic packet filter: (code, jump if true, jump if false, operand). It reads numbers as the network orders them, and
# netlink writes them as the machine does, so every operand is turned round.
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD, _EQUAL, _ANY_BIT, _RETURN = 0x30, 0x28, 0x20, 0x15, 0x45, 0x06
_TYPE, _SENDER, _FLAGS, _CHANGED, _CONFIGURED = 4, 12, 24, 28, 24
"""Offsets of nlmsg_type, nlmsg_pid, ifi_flags, ifi_change; and of the interface that a message of RTM_NEWNETCONF is about."""
_ACCEPT, _DROP = (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0)


def _only_losses() -> bytes:
    """Let through what is gone (an interface, an address, a route), what has gone down, and the forwarding of the whole host.

    An interface that has just been made is down too: the message of its birth says that everything has changed.
    """
    lowest = 0 if sys.byteorder == "little" else 3  # the byte of a word that IFF_UP is in
    return _program(
        (_LOAD_HALF, 0, 0, _TYPE),
        (_EQUAL, 13, 0, _half(_DELLINK)),
        (_EQUAL, 12, 0, _half(_DELADDR)),
        (_EQUAL, 11, 0, _half(_DELROUTE)),
        (_EQUAL, 3, 0, _half(_NEWLINK)),
        (_EQUAL, 0, 8, _half(_NEWNETCONF)),
        (_LOAD_WORD, 0, 0, _CONFIGURED),
        (_EQUAL, 7, 6, _EVERYTHING),
        (_LOAD_WORD, 0, 0, _CHANGED),
        (_EQUAL, 4, 0, _EVERYTHING),
        (_LOAD_BYTE, 0, 0, _CHANGED + lowest),
        (_ANY_BIT, 0, 2, 1),  # IFF_UP
        (_LOAD_BYTE, 0, 0, _FLAGS + lowest),
        (_ANY_BIT, 0, 1, 1),
        _DROP,
        _ACCEPT,
    )


def _only_of_others(ports: tuple[int, ...]) -> bytes:
    """Let through what was sent for other sockets than those."""
    tests = [(_EQUAL, len(ports) - place, 0, _word(port)) for place, port in enumerate(ports)]
    return _program((_LOAD_WORD, 0, 0, _SENDER), *tests, _ACCEPT, _DROP)


def _program(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("=HBBI", code, yes, no, operand) for code, yes, no, operand in instructions)


def _half(number: int) -> int:
    return socket.htons(number)


def _word(number: int) -> int:
    return socket.htonl(number)
