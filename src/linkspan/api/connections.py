"""Connections: how many there may be, and how long one may be silent when it is its turn to speak."""

import asyncio
import json
import logging
from dataclasses import dataclass

from aiohttp import web

from linkspan import __version__
from linkspan.api.answers import answer
from linkspan.api.versions import CURRENT

logger = logging.getLogger(__name__)

HEADERS = {
    "Api-Version": str(CURRENT),
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"linkspan/{__version__} (linux)",
}
"""Those of every answer."""
LINE_LIMIT = 64 << 10
"""Bytes of a request line or a header: filters and credentials are in them."""
_BUSY = json.dumps({"message": "too many connections: every one of them is in use"}).encode() + b"\n"
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of patience and room, in seconds. Streams that go on for ever are none of it: they end with their client."""

    head: float = 30.0
    """From the connection to the end of the first request's head; clients that wait for something connect later."""
    body: float = 60.0
    """For a body of JSON as a whole."""
    silence: float = 300.0
    """Between two pieces of an archive that a client sends: a slow one that makes progress may take for ever."""
    idle: float = 300.0
    """From the end of a request to the end of the next one's head."""
    connections: int = 4096
    """At most. When one more comes, the one that has been idle longest goes; if none is idle, the new one is refused."""


class Connection(web.RequestHandler):
    """aiohttp's connection, which its `connections` know."""

    def __init__(self, manager: web.Server, connections: "Connections") -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), max_line_size=LINE_LIMIT, max_field_size=LINE_LIMIT)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request as everything else is answered; that somebody sends junk is no error of ours."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        words = " ".join((message or "this is no HTTP request").split())
        logger.info("a request is refused: %s", words)
        refusal = answer({"message": words}, status)
        refusal.headers.update(HEADERS)
        refusal.force_close()
        return refusal

    def refuse(self) -> None:
        """Say that there are too many of them, and hang up."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(_REFUSAL % (len(_BUSY), _BUSY))
        self.force_close()


class Connections:
    """Those that are open. Used on the event loop only."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        """The one that has been idle longest is first."""
        self._busy: set[Connection] = set()

    def opened(self, connection: Connection) -> None:
        """A client has connected, and is expected to ask for something."""
        if len(self._idle) + len(self._busy) >= self._limits.connections:
            if not self._idle:
                connection.refuse()
                return
            longest = next(iter(self._idle))
            self.lost(longest)  # now: several may come before the loop closes it
            longest.force_close()
        self._wait(connection, self._limits.head)

    def begins(self, connection: asyncio.BaseProtocol) -> None:
        """The head of a request has arrived."""
        if isinstance(connection, Connection) and (timer := self._idle.pop(connection, None)):
            timer.cancel()
            self._busy.add(connection)

    def ended(self, connection: asyncio.BaseProtocol) -> None:
        """A request has its answer."""
        if isinstance(connection, Connection) and connection in self._busy:
            self._busy.discard(connection)
            self._wait(connection, self._limits.idle)

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""
        self._busy.discard(connection)
        if timer := self._idle.pop(connection, None):
            timer.cancel()

    def _wait(self, connection: Connection, seconds: float) -> None:
        self._idle[connection] = asyncio.get_running_loop().call_later(seconds, connection.force_close)
