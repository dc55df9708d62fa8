"""The door of a connection: bytes that a client sends right behind a request to take the connection over are not HTTP.

aiohttp parses what arrives as HTTP, whatever its handlers do later. A client that does not wait for the answer to an attach or
an exec start, and sends the container's input at once, would have it parsed as the next request. So the first request of every
connection passes here: if it asks for the connection, what follows it is kept until the handler has decided. (The clients known
to us open a connection of its own for that, or wait for the answer.)
"""

import asyncio
import re
from typing import cast

from aiohttp import web

_HEAD_LIMIT = 64 << 10
_BODY_LIMIT = 64 << 10
_KEEP_LIMIT = 64 << 10
"""Early bytes that are kept before the client has to wait."""

_METHOD = b"POST /"
_REQUEST = re.compile(rb"POST (?:/v[0-9.]+)?/(?:containers/[^/? ]+/attach|exec/[^/? ]+/start)(?:\?[^ ]*)? HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,7})[ \t]*\r\n", re.IGNORECASE)


class Gate(asyncio.Protocol):
    """Stands in for `inner`, aiohttp's protocol, until it is known what the first request wants."""

    def __init__(self, inner: web.RequestHandler) -> None:
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._kept = b""
        self._passed = False
        self._paused = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._kept += data
        if self._passed:
            self._limit()
            return
        length = request_length(self._kept)
        if length == 0:
            self.open()
        elif length is not None and len(self._kept) >= length:
            request, self._kept = self._kept[:length], self._kept[length:]
            self._passed = True
            self._inner.data_received(request)

    def eof_received(self) -> bool:
        """Keep the connection open for the answer: the input may end before the answer begins."""
        self._ended = True
        return self._passed

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def open(self) -> None:
        """Leave the connection to aiohttp for good."""
        kept, ended = self.leave()
        if self._transport is None:
            return
        self._transport.set_protocol(self._inner)
        if kept:
            self._inner.data_received(kept)
        if ended:
            self._inner.close()  # once it has answered

    def leave(self) -> tuple[bytes, bool]:
        """Return what came behind the request, and whether that was the end of it; whoever asks is the next protocol."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        kept, self._kept = self._kept, b""
        return kept, self._ended

    def _limit(self) -> None:
        if len(self._kept) > _KEEP_LIMIT and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()


def request_length(start: bytes) -> int | None:
    """Return the length of the request at the start of a connection if it asks for the connection.

    0: it does not, or its length cannot be told. None: more bytes are needed.
    """
    head, complete, _ = start.partition(b"\r\n\r\n")
    if start[: len(_METHOD)] != _METHOD[: len(start)] or len(head) > _HEAD_LIMIT:
        return 0
    if not complete:
        return None
    head += b"\r\n"
    if not _REQUEST.match(head) or b"\r\ntransfer-encoding:" in head.lower():
        return 0
    given = _LENGTH.search(head)
    length = int(given[1]) if given else 0
    return len(head) + 2 + length if length <= _BODY_LIMIT else 0
