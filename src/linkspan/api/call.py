"""One request, as the handlers see it: typed access to its path, its query and its body."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from linkspan.api.connections import Limits
from linkspan.api.fields import Fields, parse_json, parse_object
from linkspan.api.filters import Filters, parse_filters
from linkspan.api.operations import Operations
from linkspan.api.times import parse_timestamp
from linkspan.api.versions import Version
from linkspan.errors import InvalidInput

if TYPE_CHECKING:
    from linkspan.engine.engine import Engine

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
CHUNK = 256 << 10
BODY_LIMIT = 16 << 20
"""Bytes of JSON: ten thousand published ports are 1 MiB. Archives are not limited."""
_MOST_DROPPED = 256 << 20
_FALSE = ("", "0", "no", "false", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to `engine`. Everything that reads raises InvalidInput, naming what is wrong."""

    engine: "Engine"
    request: web.Request
    version: Version
    operations: Operations
    limits: Limits = Limits()
    path: dict[str, str] = field(default_factory=dict)
    """The variable parts of the path."""

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return self.request.query.get(name, default)

    def texts(self, name: str) -> list[str]:
        """Return every value of a parameter that may be repeated."""
        return self.request.query.getall(name, [])

    def flag(self, name: str) -> bool:
        """Return a boolean parameter by Docker's rule: everything but 0, no, false and none is true."""
        return self.text(name).strip().lower() not in _FALSE

    def integer(self, name: str) -> int | None:
        """Return a whole number, None if it is not given."""
        text = self.text(name)
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise InvalidInput(f'invalid value for "{name}": {text!r} is not a whole number')
        return int(text)

    def time(self, name: str) -> int:
        """Return a time in nanoseconds since the epoch, 0 if it is not given."""
        return parse_timestamp(self.text(name), name)

    def filters(self) -> Filters:
        """Return the parameter `filters`."""
        return parse_filters(self.text("filters"))

    async def body(self) -> Fields:
        """Return the JSON object in the body; an absent body is an empty object."""
        if (self.request.content_length or 0) > BODY_LIMIT:
            raise web.HTTPRequestEntityTooLarge(BODY_LIMIT)
        try:
            async with asyncio.timeout(self.limits.body):
                content = await self.request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"the body did not arrive within {self.limits.body:g} seconds") from None
        given = self.request.headers.get("Content-Type")
        # Docker's rule. It also keeps web pages out of a TCP socket: a browser sends JSON to strangers only after asking first.
        if content and self.request.content_type != "application/json":
            raise InvalidInput(f"unsupported Content-Type header ({given or ''}): must be 'application/json'")
        return parse_object(content)

    async def content(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes, for as long as it goes on coming."""
        while True:
            try:
                async with asyncio.timeout(self.limits.silence):
                    piece = await self.request.content.read(CHUNK)
            except TimeoutError:
                raise web.HTTPRequestTimeout(text=f"nothing of the body arrived for {self.limits.silence:g} seconds") from None
            if not piece:
                return
            yield piece

    async def drop_body(self) -> None:
        """Read what is still coming, as far as that makes sense: a client that is sending would not see the answer."""
        dropped = 0
        with contextlib.suppress(web.HTTPRequestTimeout):
            async for piece in self.content():
                dropped += len(piece)
                if dropped > _MOST_DROPPED:
                    return

    def credentials(self) -> Fields:
        """Return the header X-Registry-Auth; one that cannot be read is as none, as in Docker."""
        text = self.request.headers.get("X-Registry-Auth", "")
        try:
            value = parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"{}")
        except (ValueError, InvalidInput):
            value = {}
        return Fields(value if isinstance(value, dict) else {}, "X-Registry-Auth")
