"""One request, as the handlers see it: typed access to its path, its query and its body."""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

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
_FALSE = ("", "0", "no", "false", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to `engine`. Everything that reads raises InvalidInput, naming what is wrong."""

    engine: "Engine"
    request: web.Request
    version: Version
    operations: Operations
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
        content = await self.request.read()
        given = self.request.headers.get("Content-Type")
        # Docker's rule. It also keeps web pages out of a TCP socket: a browser sends JSON to strangers only after asking first.
        if content and self.request.content_type != "application/json":
            raise InvalidInput(f"unsupported Content-Type header ({given or ''}): must be 'application/json'")
        return parse_object(content)

    def content(self) -> AsyncIterator[bytes]:
        """Return the body as it comes."""
        return self.request.content.iter_chunked(CHUNK)

    def credentials(self) -> Fields:
        """Return the header X-Registry-Auth; one that cannot be read is as none, as in Docker."""
        text = self.request.headers.get("X-Registry-Auth", "")
        try:
            value = parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"{}")
        except (ValueError, InvalidInput):
            value = {}
        return Fields(value if isinstance(value, dict) else {}, "X-Registry-Auth")
