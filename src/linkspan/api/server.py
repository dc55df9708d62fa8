"""The HTTP server: versions, headers, errors, and what becomes of a request when its client or the engine goes."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from aiohttp import web

from linkspan.api import container_streams, containers, description, dns, doctor, execs, images, missing, networks, system
from linkspan.api.answers import answer, refusal
from linkspan.api.call import BODY_LIMIT, Call
from linkspan.api.connections import HEADERS, Connection, Connections, Limits
from linkspan.api.gate import Gate
from linkspan.api.hijack import NoAnswer, is_taken_over, open_gate
from linkspan.api.listen import Listener, bind, close_all
from linkspan.api.operations import Operations
from linkspan.api.router import Route, Router
from linkspan.api.versions import CURRENT, Version, served
from linkspan.errors import EngineError

if TYPE_CHECKING:
    from linkspan.engine.engine import Engine

logger = logging.getLogger(__name__)

AT_ONCE = 32
"""Connections that asyncio takes from the kernel's queue before it looks at them, and some may make room for others."""
LAST_WORDS = 2.0
"""Seconds that the output of an ended container gets to reach its clients when the engine stops."""
GRACE = 15.0
"""Seconds that operations have to end when the engine stops."""

# The missing ones are last: what is there wins over their patterns.
ROUTES = (
    *system.ROUTES,
    *containers.ROUTES,
    *container_streams.ROUTES,
    *execs.ROUTES,
    *networks.ROUTES,
    *images.ROUTES,
    *description.ROUTES,
    *dns.ROUTES,
    *doctor.ROUTES,
    *missing.ROUTES,
)


class Server:
    """Serves an engine on any number of sockets."""

    def __init__(self, engine: "Engine", limits: Limits = Limits()) -> None:
        self._engine = engine
        self._limits = limits
        self._connections = Connections(limits)
        self._router = Router(ROUTES)
        self._operations = Operations()
        self._streams: dict[asyncio.Task[object], str] = {}
        """What is followed: the id or name of a container as the request has it, empty for others."""
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._runner: web.AppRunner | None = None

    async def serve(self, sockets: Sequence[str]) -> None:
        """Serve the API on every one of these addresses, or on none.

        Raises Conflict if an engine is being served at one of them, InvalidInput or KernelError if one cannot be.
        """
        try:
            for address in sockets:
                self._listeners += bind(address, self._engine.config.group)
        except EngineError:
            close_all(self._listeners)
            self._listeners.clear()
            raise
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", r"/{path:[\s\S]*}", self._handle)
        application.on_response_prepare.append(_add_headers)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        for listener in self._listeners:
            self._servers.append(await _listen(listener.socket, self._connection))

    def _connection(self) -> Gate:
        manager = cast("web.Server", self._runner and self._runner.server)
        return Gate(Connection(manager, self._connections))

    async def close(self) -> None:
        """Take no more requests, end the streams, let operations finish; may be called when nothing is served."""
        for server in self._servers:
            server.close()
        close_all(self._listeners)
        self._listeners.clear()
        await self._end_streams()
        await self._operations.drain(GRACE)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _end_streams(self) -> None:
        """End what is followed. Who has been told how a container ended still gets the rest of its output: it would miss it unknowingly."""
        ending = set()
        for task, ref in tuple(self._streams.items()):
            if ref and not self._engine.streams.go_on(ref):
                ending.add(task)
            else:
                task.cancel()
        if ending:
            _, late = await asyncio.wait(ending, timeout=LAST_WORDS)
            for task in late:
                task.cancel()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._connections.begins(request.protocol)
        try:
            return await self._answer_or_refuse(request)
        finally:
            self._connections.ended(request.protocol)

    async def _answer_or_refuse(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._answer(request)
        except EngineError as error:
            response = refusal(error)
        except ConnectionError:
            return NoAnswer()
        except web.HTTPException as error:
            response = answer({"message": error.text or error.reason}, error.status)
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            if is_taken_over(request):
                return NoAnswer()
            response = answer({"message": str(error) or type(error).__name__}, 500)
        if not isinstance(response, NoAnswer):
            open_gate(request)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked, path = Version.split(request.rel_url.raw_path)
        version = served(asked) if asked else CURRENT
        found = self._router.find(request.method, path)
        if found is None:
            return answer({"message": "page not found"}, 404)
        route, variables = found
        call = Call(engine=self._engine, request=request, version=version, operations=self._operations, limits=self._limits, path=variables)
        if route.streams:
            return await self._follow(route, call)
        return await self._operations.finish(_run(route, call))

    async def _follow(self, route: Route, call: Call) -> web.StreamResponse:
        task = call.request.task
        self._streams[task] = call.path.get("id", "") if "/containers/" in call.request.path else ""
        try:
            return await route.handler(call)
        finally:
            self._streams.pop(task, None)


async def _listen(listening: socket.socket, connection: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    create = loop.create_unix_server if listening.family == socket.AF_UNIX else loop.create_server
    server = await create(connection, sock=listening, backlog=AT_ONCE)
    listening.listen(socket.SOMAXCONN)
    return server


async def _run(route: Route, call: Call) -> web.StreamResponse:
    return await route.handler(call)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001  aiohttp's signature
    response.headers.update(HEADERS)
