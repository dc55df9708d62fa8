"""Requests to the kernel about links, addresses and routes (rtnetlink).

pyroute2 writes and reads the messages; the socket is ours. pyroute2's own IPRoute opens one more socket and one event loop for
every thread that uses it, in the namespace of *that* thread. Here a socket belongs to the namespace that it was opened in,
whichever thread uses it.
"""

import contextlib
import errno
import logging
import os
import socket
import struct
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from pyroute2.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    nlmsg,
)
from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkError
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from linkspan.errors import EngineError, KernelError

logger = logging.getLogger(__name__)

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_LARGEST_ANSWER = 1 << 16
"""The kernel fills a dump's datagrams with up to 32 KiB."""


_PATIENCE = 60
"""Seconds after which a kernel that does not answer is given up. Deleting a thousand interfaces at once keeps it busy for some."""
_ATTEMPTS = 20
"""To get a list that did not change while the kernel told it."""


class _Interrupted(Exception):
    """Something changed while the kernel was telling: objects may be missing or told twice."""


class RouteSocket:
    """A netlink socket of the namespace that it was opened in. Any thread may use it, one at a time."""

    def __init__(self) -> None:
        self._marshal = MarshalRtnl()
        self._sequence = 0
        self._unread = False
        """Whether there may be answers to an earlier request that nobody wanted to the end."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        # So that a dump answers only what its request names: the addresses of one link, and not those of a thousand.
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _PATIENCE, 0))
        self._socket.bind((0, 0))
        self.close = weakref.finalize(self, self._socket.close)
        """Close the socket; may be called twice, and is called with the end of the thread that `host()` opened it for."""

    def change(self, kind: int, message: nlmsg, flags: int = 0) -> None:
        """Send a request that changes something and wait until it is done; raises NetlinkError if it is refused."""
        logger.debug("rtnetlink request %d: %s", kind, message)
        for _ in self._ask(kind, message, flags | NLM_F_ACK):
            pass

    def get(self, kind: int, message: nlmsg) -> nlmsg:
        """Return the one object that `message` names; raises NetlinkError, with ENODEV if there is none."""
        for answer in self._ask(kind, message):
            return answer
        raise OSError(errno.ENODATA, "the kernel named no object")

    def dump(self, kind: int, message: nlmsg) -> list[nlmsg]:
        """Return all objects that match `message`; raises NetlinkError, OSError if they change all the time."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_Interrupted):
                return list(self._ask(kind, message, NLM_F_DUMP))
        raise OSError(errno.EINTR, "it changes faster than the kernel tells it")

    def dump_raw(self, kind: int, message: nlmsg) -> list[bytes]:
        """Return the bodies of all objects that match `message`, as they came; raises as `dump`.

        For thousands of them: pyroute2 takes a quarter of a millisecond for each to take it apart.
        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_Interrupted):
                return [answer["body"] for answer in self._ask(kind, message, NLM_F_DUMP, _raw)]
        raise OSError(errno.EINTR, "it changes faster than the kernel tells it")

    def _ask(self, kind: int, message: nlmsg, flags: int = 0, parse: Callable[[bytes], Iterable[Any]] | None = None) -> Iterator[Any]:
        parse = parse or self._marshal.parse
        self._sequence += 1
        message["header"] = {"type": kind, "flags": flags | NLM_F_REQUEST, "sequence_number": self._sequence, "pid": 0}
        message.reset()
        message.encode()
        self._forget_unread()
        self._unread = True
        self._socket.send(message.data)
        interrupted = False
        while True:
            data = self._received()
            interrupted |= not data
            for answer in _parsed(parse, data):
                header = answer["header"]
                if header["sequence_number"] != self._sequence:
                    continue  # the rest of an answer that an earlier caller did not read to its end
                if header["error"] is not None:
                    raise header["error"]
                interrupted |= bool(header["flags"] & NLM_F_DUMP_INTR)
                if header["type"] in (NLMSG_ERROR, NLMSG_DONE):
                    self._unread = False
                    if interrupted and flags & NLM_F_DUMP == NLM_F_DUMP:
                        raise _Interrupted  # only now: as long as the kernel tells, it refuses to tell anything else
                    return
                yield answer
                if not header["flags"] & NLM_F_MULTI:
                    return

    def _received(self) -> bytes:
        """Wait for an answer; empty if the kernel had to drop some because earlier ones were not read."""
        try:
            return self._socket.recv(_LARGEST_ANSWER)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, f"the kernel did not answer for {_PATIENCE} s") from error
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return b""

    def _forget_unread(self) -> None:
        """Make room for an answer: one that finds the socket full is dropped, and would be waited for in vain."""
        while self._unread:
            try:
                self._socket.recv(_LARGEST_ANSWER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._unread = False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _parsed(parse: Callable[[bytes], Iterable[Any]], data: bytes) -> list[Any]:
    try:
        return list(parse(data))
    except (struct.error, ValueError, LookupError, TypeError, NetlinkDecodeError) as error:
        raise OSError(errno.EBADMSG, "the kernel's answer cannot be read") from error


def _raw(data: bytes) -> Iterator[dict[str, Any]]:
    """Take a datagram apart into messages, and their headers only; in the form that pyroute2 gives them."""
    offset = 0
    while offset < len(data):
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, offset)
        if not 16 <= length <= len(data) - offset:
            raise ValueError("a message of no length")
        body = data[offset + 16 : offset + length]
        code = struct.unpack_from("=i", body)[0] if kind in (NLMSG_ERROR, NLMSG_DONE) and len(body) >= 4 else 0
        error = NetlinkError(-code, os.strerror(-code)) if code else None
        yield {"header": {"type": kind, "flags": flags, "sequence_number": sequence, "error": error}, "body": body}
        offset += (length + 3) & ~3


def messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the body of each message in a datagram that nobody asked for; it ends where it cannot be read on."""
    offset = 0
    while offset + 16 <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, offset)
        if length < 16:
            return
        yield kind, datagram[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes behind the fixed part of a message (up to `offset`), or inside another one; of several of a kind the last."""
    found: dict[int, bytes] = {}
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def number(attribute: bytes | None) -> int:
    """Return the number in an attribute of four bytes, 0 if it is not there."""
    return int.from_bytes(attribute[:4], sys.byteorder) if attribute else 0


_thread = threading.local()


def host() -> RouteSocket:
    """Return the calling thread's socket, opened on first use in the namespace the thread is in then; it ends with the thread."""
    if not hasattr(_thread, "socket"):
        _thread.socket = RouteSocket()
    opened: RouteSocket = _thread.socket
    return opened


@contextlib.contextmanager
def translated(action: str, known: Mapping[int, EngineError | None] = MappingProxyType({})) -> Iterator[None]:
    """Turn a refusal into KernelError with the kernel's own words, or into what `known` has for its errno; None is success."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        code, words = (error.code, error.args[1]) if isinstance(error, NetlinkError) else (error.errno or errno.EIO, "")
        if code not in known:
            raise KernelError(action, code, "" if words == os.strerror(code) else words) from error
        if (ours := known[code]) is not None:
            raise ours from error
