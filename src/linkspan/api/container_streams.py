"""/containers/{id}/attach, logs, wait, resize: what connects a client with a container."""

import re
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from linkspan.api.answers import JSON, close, encode, stream
from linkspan.api.call import Call
from linkspan.api.conversation import Input, converse
from linkspan.api.detach import DetachKeys
from linkspan.api.framing import frame
from linkspan.api.hijack import MULTIPLEXED_STREAM, RAW_STREAM, NoAnswer, take_over
from linkspan.api.joining import joined
from linkspan.api.router import Route
from linkspan.api.times import rfc3339_fixed
from linkspan.api.versions import Version
from linkspan.api.wire_containers import wait_answer
from linkspan.engine.requests import AttachRequest, LogQuery, WaitResult
from linkspan.errors import InvalidInput
from linkspan.runtime.logs import LogRecord

_COUNT = re.compile(r"[0-9]{1,18}")
_MULTIPLEXED = Version(1, 42)
"""Since then the content type says whether a stream is framed."""
_WAIT_CONDITIONS = Version(1, 30)
"""Since then a wait has conditions, and its headers are sent at once."""


def stream_type(version: Version, *, tty: bool) -> str:
    """Return the content type of a container's streams."""
    return RAW_STREAM if tty or version < _MULTIPLEXED else MULTIPLEXED_STREAM


async def attach(call: Call) -> web.StreamResponse:
    """POST /containers/{id}/attach"""
    asked = AttachRequest(
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        logs=call.flag("logs"),
        stream=call.flag("stream"),
    )
    container = call.engine.containers.inspect(call.path["id"]).container
    process = container.spec.process
    keys = DetachKeys(call.text("detachKeys"))
    attachment = await call.engine.streams.attach(container.id, asked)
    given = Input(
        wanted=asked.stdin and asked.stream and process.open_stdin,
        ends_with_client=process.stdin_once,
        detach_keys=keys if process.tty else None,
    )
    try:
        connection = await take_over(call.request, stream_type(call.version, tty=process.tty))
    except ConnectionError:
        await attachment.close()
        raise
    if await converse(connection, attachment, given, framed=not process.tty):
        call.engine.events.container(container, "detach")
    return NoAnswer()


async def logs(call: Call) -> web.StreamResponse:
    """GET /containers/{id}/logs"""
    query = LogQuery(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        tail=_tail(call.text("tail")),
        since=call.time("since"),
        until=call.time("until"),
    )
    container = call.engine.containers.inspect(call.path["id"]).container
    if not (query.stdout or query.stderr):
        raise InvalidInput("Bad parameters: you must choose at least one stream")
    tty = container.spec.process.tty
    records = call.engine.streams.logs(container.id, query)
    pieces = _log_pieces(records, framed=not tty, timestamps=call.flag("timestamps"), details=call.flag("details"))
    return await stream(call.request, joined(pieces), stream_type(call.version, tty=tty), at_once=True)


async def wait(call: Call) -> web.StreamResponse:
    """POST /containers/{id}/wait; the headers tell the client that the wait is registered."""
    modern = call.version >= _WAIT_CONDITIONS
    waiting = call.engine.lifecycle.waiter(call.path["id"], call.text("condition") if modern else "")

    async def pieces() -> AsyncGenerator[bytes, None]:
        result: WaitResult = await waiting
        yield encode(wait_answer(result))

    try:
        return await stream(call.request, pieces(), JSON, at_once=modern)
    finally:
        waiting.cancel()


async def resize(call: Call) -> web.Response:
    """POST /containers/{id}/resize"""
    await call.engine.streams.resize(call.path["id"], *terminal_size(call))
    return web.Response()


def terminal_size(call: Call) -> tuple[int, int]:
    """Return height and width out of the query; raises InvalidInput."""
    height, width = call.integer("h") or 0, call.integer("w") or 0
    if not (0 <= height <= 65535 and 0 <= width <= 65535):
        raise InvalidInput(f"invalid terminal size {height}x{width}")
    return height, width


def _tail(text: str) -> int | None:
    """As Docker, take everything that is not a number for `all`."""
    return int(text) if _COUNT.fullmatch(text) else None


async def _log_pieces(records: AsyncIterator[LogRecord], *, framed: bool, timestamps: bool, details: bool) -> AsyncGenerator[bytes, None]:
    try:
        async for record in records:
            line = b" " + record.data if details else record.data  # the details of a record come first, and there are none
            if timestamps:
                line = f"{rfc3339_fixed(record.time)} ".encode() + line
            yield frame(record.stream, line) if framed else line
    finally:
        await close(records)


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach, streams=True),
    Route("GET", "/containers/{id}/logs", logs, streams=True),
    Route("POST", "/containers/{id}/wait", wait, streams=True),
    Route("POST", "/containers/{id}/resize", resize),
)
