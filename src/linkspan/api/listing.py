"""The list of containers as JSON. Scripts ask for it all the time, so what has not changed is not rendered again."""

import json
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from linkspan.api.wire_containers import container_line, status_text
from linkspan.engine.views import ContainerView

_rendered: WeakKeyDictionary[ContainerView, bytes] = WeakKeyDictionary()
"""A line without its beginning, which tells how long the container has been up. A view stays the same as long as nothing changes."""


def container_lines(views: Iterable[ContainerView], now: int) -> bytes:
    """Return the answer of GET /containers/json without sizes; `now` in nanoseconds."""
    return b"[" + b",".join(_line(view, now) for view in views) + b"]\n"


def _line(view: ContainerView, now: int) -> bytes:
    rest = _rendered.get(view)
    if rest is None:
        line = container_line(view, now, size=False)
        del line["Status"]
        rest = _rendered[view] = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode(errors="replace").removeprefix(b"{")
    return b'{"Status":"%s",%s' % (status_text(view.container, now).encode(), rest)
