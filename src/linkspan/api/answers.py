"""Answers: JSON, errors as Docker words and numbers them, and streams."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TypeVar

from aiohttp import web

from linkspan.errors import (
    AddressInUse,
    Conflict,
    EngineError,
    Exhausted,
    Forbidden,
    InvalidInput,
    NotFound,
    NotModified,
    Unsupported,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

JSON = "application/json"

_STATUS: dict[type[BaseException], int] = {
    NotModified: 304,
    InvalidInput: 400,
    Forbidden: 403,
    AddressInUse: 403,
    NotFound: 404,
    Conflict: 409,
    Unsupported: 501,
    Exhausted: 503,
}


def encode(value: object) -> bytes:
    """Return the value as JSON and a newline, as Go's encoder writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace") + b"\n"


def answer(value: object, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=encode(value), content_type=JSON)


def empty(status: int = 204) -> web.Response:
    """Return an answer without a body."""
    return web.Response(status=status)


def refusal(error: EngineError) -> web.Response:
    """Return an expected failure as Docker does. The server calls this; handlers never catch."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if status == 304:
        return empty(status)
    return answer({"message": str(error)}, status)


async def stream(
    request: web.Request,
    pieces: AsyncGenerator[bytes, None],
    content_type: str,
    *,
    at_once: bool = False,
    failure: Callable[[str], bytes] | None = None,
) -> web.StreamResponse:
    """Send the pieces as they come, until they end or the client hangs up.

    The headers wait for the first piece, so that what fails before it gets its proper status; not so with `at_once`, for clients
    that take the headers as a sign that they are listening: the pieces must not fail at their beginning then. What fails later is
    told by `failure`; without that the connection breaks off, so that nobody takes the half for the whole.
    """
    first = asyncio.ensure_future(anext(pieces, None))
    try:
        if at_once:
            await asyncio.sleep(0)  # one step: whatever `pieces` subscribes to is subscribed to when the client sees the headers
        else:
            await asyncio.wait((first,))
            first.result()
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        await _send(request, response, _from(first, pieces), failure)
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await pieces.aclose()
    return response


async def _from(first: "asyncio.Future[bytes | None]", pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    piece = await first
    if piece is None:
        return
    yield piece
    async for piece in pieces:
        yield piece


async def _send(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes], failure: Callable[[str], bytes] | None
) -> None:
    try:
        async for piece in pieces:
            await response.write(piece)
    except ConnectionError:
        raise
    except EngineError as error:
        logger.info("%s %s broke off: %s", request.method, request.path, error)
        message = str(error)
    except Exception as error:
        logger.exception("%s %s broke off", request.method, request.path)
        message = str(error)
    else:
        return
    if failure is not None:
        await response.write(failure(message))
    elif request.transport is not None:
        request.transport.abort()


def failure_line(message: str) -> bytes:
    """Return the last line of a JSON stream that ends in an error (Docker's jsonmessage)."""
    return encode({"errorDetail": {"message": message}, "error": message})


async def lines(values: AsyncIterator[T], render: Callable[[T], Mapping[str, object]]) -> AsyncGenerator[bytes, None]:
    """Yield each value as a line of JSON."""
    try:
        async for value in values:
            yield encode(render(value))
    finally:
        await close(values)


async def close(iterator: AsyncIterator[object]) -> None:
    """End an async generator now, and not when it is collected: it may hold a subscription, a file, a process."""
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()
