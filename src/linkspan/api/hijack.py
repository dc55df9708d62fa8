"""Raw connections: after an attach or an exec start, the connection carries the streams and no longer HTTP."""

import asyncio
import select
from collections import deque

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from linkspan.api.gate import Gate

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"

_READ_LIMIT = 256 << 10
"""Input that is kept for a container that does not read, before the client has to wait."""


class RawConnection(asyncio.Protocol):
    """A connection taken over from HTTP, with flow control both ways.

    The client may end its input and still read: only when it has hung up for good, `inner` learns of it, and ends the handler.
    """

    def __init__(self, transport: asyncio.Transport, inner: asyncio.Protocol, early: bytes) -> None:
        self._transport = transport
        self._inner = inner
        self._chunks = deque([early] if early else [])
        self._size = len(early)
        self._reading = True
        self._ended = self._lost = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._watch: select.epoll | None = None

    async def read(self) -> bytes:
        """Return some of the client's input, nothing at its end."""
        while not self._chunks and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if not self._reading and self._size < _READ_LIMIT:
            self._reading = True
            self._transport.resume_reading()
        return chunk

    async def write(self, data: bytes) -> None:
        """Send to the client; waits while it does not read. Raises ConnectionResetError if it has hung up."""
        if not self._lost:
            self._transport.write(data)
            await self._writable.wait()
        if self._lost:
            raise ConnectionResetError("the client has hung up")

    def close(self) -> None:
        """Send what is not sent yet, and end the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._changed.set()
        if self._reading and self._size >= _READ_LIMIT:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The input has ended; the connection stays, for the output."""
        self._ended = True
        self._changed.set()
        self._watch_for_hang_up()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._changed.set()
        self._writable.set()
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _watch_for_hang_up(self) -> None:
        """After the end of the input, asyncio looks at the socket no more, and a client that has gone would be kept for ever.

        epoll tells a unix socket whose other side is closed (EPOLLHUP, always reported) from one that only sends no more.
        """
        if self._watch is not None:
            return
        self._watch = select.epoll()
        self._watch.register(self._transport.get_extra_info("socket").fileno(), 0)
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._transport.abort)


class NoAnswer(web.StreamResponse):
    """What is returned when nothing is left to send: the connection was taken over, or the client has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002  aiohttp's signature
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002  aiohttp's signature
        return


async def take_over(request: web.Request, content_type: str) -> RawConnection:
    """Answer the request as Docker does, and return its connection. Raises ConnectionResetError if the client has hung up."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has hung up")
    await request.read()
    gate = transport.get_protocol()
    early, ended = gate.leave() if isinstance(gate, Gate) else (b"", False)
    connection = RawConnection(transport, request.protocol, early)
    transport.set_protocol(connection)
    if ended:
        connection.eof_received()
    await connection.write(_head(content_type, upgraded="Upgrade" in request.headers))
    return connection


def _head(content_type: str, *, upgraded: bool) -> bytes:
    if upgraded:
        lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {content_type}", "Connection: Upgrade", "Upgrade: tcp"]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW_STREAM}"]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def is_taken_over(request: web.Request) -> bool:
    """Whether the connection carries something else than HTTP by now."""
    return request.transport is not None and isinstance(request.transport.get_protocol(), RawConnection)


def open_gate(request: web.Request) -> None:
    """Let what follows a request be HTTP again, after an answer that was none of the above."""
    gate = request.transport.get_protocol() if request.transport is not None else None
    if isinstance(gate, Gate):
        gate.open()
