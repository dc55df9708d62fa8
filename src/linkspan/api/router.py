"""Which handler answers which request."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from linkspan.api.call import Call

Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_VARIABLE = re.compile(r"\\{(\w+)(\\\*)?\\}")


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint. In `path`, `{id}` is one part, `{name*}` one or more of them."""

    method: str
    path: str
    handler: Handler
    streams: bool = False
    """Whether it ends when the client hangs up; everything else goes on to its end."""


class Router:
    """Finds routes by method and path; the first one that fits wins."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._variable: dict[str, list[tuple[re.Pattern[str], Route]]] = defaultdict(list)
        for route in routes:
            if "{" in route.path:
                self._variable[route.method].append((_pattern(route.path), route))
            else:
                self._fixed[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the variable parts of the (still quoted) path; None if there is none."""
        if route := self._fixed.get((method, path)):
            return route, {}
        for pattern, route in self._variable.get(method, ()):
            if match := pattern.fullmatch(path):
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_VARIABLE.sub(lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", re.escape(path)))
