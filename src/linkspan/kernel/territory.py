"""Where the host itself is, and where its routes lead, of every table and both families: what a new network must keep clear of.

Asking for all of it takes longer the more networks there are: each has an address and five routes. So it is asked for once, and
followed from then on: the kernel puts every change into a socket's queue before the change returns, and the queue is read before
each answer (rtnetlink(7), RTMGRP_*). Nobody is told of the routes that go with a device; so now and then it is asked for anew.
"""

import contextlib
import errno
import socket
import struct
import time
import weakref
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from typing import NamedTuple

from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_DELROUTE, RTM_GETADDR, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWROUTE
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from linkspan.kernel.netlink import RouteSocket, attributes, messages, number, translated
from linkspan.model.network import IPNetwork

_GROUPS = 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE."""
_CLONED = 0x200
_UNICAST, _LOCAL = 1, 2
_DESTINATION, _INTERFACE, _PRIORITY, _TABLE = 1, 4, 6, 15
_ADDRESS, _LOCAL_ADDRESS = 1, 2
_SHORTEST = 8
"""A route of a shorter prefix is a default route in all but name: VPNs put 0.0.0.0/1 and 128.0.0.0/1 beside the true one."""
_BUFFER = 2 << 20
_LARGEST = 1 << 16
_FRESH = 30.0
"""Seconds after which it is asked for anew."""


class Place(NamedTuple):
    """A subnet that the host uses: an address of its own, or where a route leads."""

    subnet: IPNetwork
    interface: int
    """The index of the interface; 0: of none, or of several."""
    table: int
    """The routing table; 0: it is an address."""
    priority: int = 0


class Territory:
    """Follows what the host uses. Belongs to the namespace that it was made in, and to the thread that uses it."""

    def __init__(self) -> None:
        self._places: defaultdict[int, set[Place]] = defaultdict(set)
        self._came: list[Place] = []
        self._went: list[Place] = []
        self._asked = -_FRESH
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self.close = weakref.finalize(self, self._news.close)
        """Follow no more; may be called twice, and is called when nobody asks any more."""
        with contextlib.suppress(PermissionError):
            self._news.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE
        self._news.bind((0, _GROUPS))

    def places(self, *, anew: bool = False) -> frozenset[Place]:
        """Return all that the host uses now; equivalent to `ip addr; ip route show table all`. Raises KernelError."""
        self._look(anew=anew)
        return frozenset(chain.from_iterable(self._places.values()))

    @property
    def fd(self) -> int:
        """A descriptor that can be read when something may have changed."""
        return self._news.fileno()

    def changes(self, *, anew: bool = False) -> tuple[list[Place], list[Place]]:
        """Return what has come, and what has gone, since it was last called. Raises KernelError."""
        self._look(anew=anew)
        changes = self._came, self._went
        self._came, self._went = [], []
        return changes

    def _look(self, *, anew: bool) -> None:
        with translated("look at the host's addresses and routes"):
            complete = self._follow()
            if anew or not complete or time.monotonic() - self._asked > _FRESH:
                self._asked = time.monotonic()
                self._replace(set(_everything()))

    def _follow(self) -> bool:
        """Read what has changed; returns whether the kernel could tell all of it."""
        complete = True
        while True:
            try:
                datagram = self._news.recv(_LARGEST)
            except BlockingIOError:
                return complete
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                complete = False
                continue
            for kind, body in messages(datagram):
                if (place := _place(kind, body)) is not None:
                    self._hear(kind, place)

    def _hear(self, kind: int, place: Place) -> None:
        if kind in (RTM_NEWADDR, RTM_NEWROUTE):
            self._add(place)
            return
        self._remove(place)
        if kind == RTM_DELADDR:
            self._left(place)

    def _left(self, address: Place) -> None:
        """An interface that has lost its last address has lost its routes before, if it went with it: nobody is told of those."""
        family = [place for place in self._places[address.interface] if place.subnet.version == address.subnet.version]
        if all(place.table for place in family):
            for place in family:
                self._remove(place)
        if not self._places[address.interface]:
            del self._places[address.interface]

    def _replace(self, present: set[Place]) -> None:
        known = set(chain.from_iterable(self._places.values()))
        for place in present - known:
            self._add(place)
        for place in known - present:
            self._remove(place)

    def _add(self, place: Place) -> None:
        if place not in self._places[place.interface]:
            self._places[place.interface].add(place)
            self._came.append(place)

    def _remove(self, place: Place) -> None:
        if place in self._places[place.interface]:
            self._places[place.interface].discard(place)
            self._went.append(place)


def _everything() -> Iterator[Place]:
    with RouteSocket() as asking:
        for family in (socket.AF_INET, socket.AF_INET6):
            for kind, asked, question in ((RTM_NEWADDR, RTM_GETADDR, ifaddrmsg()), (RTM_NEWROUTE, RTM_GETROUTE, rtmsg())):
                question["family"] = family
                yield from filter(None, (_place(kind, body) for body in asking.dump_raw(asked, question)))


def _place(kind: int, body: bytes) -> Place | None:
    """Return what a message tells of an address or a route, None if that is no matter to networks."""
    read = _READERS.get(kind)
    with contextlib.suppress(struct.error, ValueError):
        place = read(body) if read else None
        if place is not None and _matters(place.subnet):
            return place
    return None


def _matters(subnet: IPNetwork) -> bool:
    """Whether it is neither a default route, also in disguise, nor of addresses that no network can have."""
    first = subnet.network_address
    return subnet.prefixlen >= _SHORTEST and not (first.is_link_local or first.is_multicast or first.is_loopback)


def _route(body: bytes) -> Place | None:
    family, length, _, _, table, _, _, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
    if kind not in (_UNICAST, _LOCAL) or flags & _CLONED or family not in (socket.AF_INET, socket.AF_INET6):
        return None  # what leads nowhere (blackhole) is in nobody's way
    found = attributes(body, 12)
    if _DESTINATION not in found:
        return None  # a default route
    subnet = _subnet(found[_DESTINATION], length)
    return Place(subnet, number(found.get(_INTERFACE)), number(found.get(_TABLE)) or table, number(found.get(_PRIORITY)))


def _address(body: bytes) -> Place | None:
    family, _, _, _, index = struct.unpack_from("=BBBBI", body)
    found = attributes(body, 8)
    own = found.get(_LOCAL_ADDRESS) or found.get(_ADDRESS)
    if own is None or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return Place(_subnet(own, 8 * len(own)), index, 0)


def _subnet(packed: bytes, length: int) -> IPNetwork:
    return IPv4Network((packed, length)) if len(packed) == 4 else IPv6Network((packed, length))


_READERS = {RTM_NEWROUTE: _route, RTM_DELROUTE: _route, RTM_NEWADDR: _address, RTM_DELADDR: _address}
