"""The engine with a clock on every function: `python -m bench.spans FILE ARGUMENTS…` is `linkspan daemon ARGUMENTS…`.

Nothing in the product knows of it: all modules are imported, and each function and method of theirs is replaced by one that notes when it
ran. A coroutine notes when it runs and, apart from that, when it waits for something that is none of ours. What was noted is written to
FILE when the engine ends, as [kind, name, start, end, request], times in ns of CLOCK_MONOTONIC:

call      a function ran, or a coroutine until it had to wait
wait      a coroutine waited
request   a request was handled
"""

import asyncio
import functools
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from pathlib import Path
from time import monotonic_ns
from typing import Any

from aiohttp import web

import linkspan

LEAST = 30_000
"""What takes less, in ns, is part of its caller."""
LEFT_OUT = ("linkspan.cli", "linkspan.__main__")
LOOP = "the event loop and aiohttp"

Noted = tuple[str, str, int, int, str]
NOTED: list[Noted] = []
REQUEST: ContextVar[str] = ContextVar("request", default="")
_WAITS = [False]
"""Whether a coroutine of ours has just begun to wait: those around it wait for the same, and do not count it again."""


def note(kind: str, name: str, start: int, end: int) -> None:
    if end - start >= LEAST:
        NOTED.append((kind, name, start, end, REQUEST.get()))


def clocked(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function that does the same and notes when."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            return await Driven(function(*args, **kwargs), name)

        return waiting

    @functools.wraps(function)
    def calling(*args: Any, **kwargs: Any) -> Any:
        start = monotonic_ns()
        try:
            return function(*args, **kwargs)
        finally:
            note("call", name, start, monotonic_ns())

    return calling


class Driven(Awaitable[Any]):
    """A coroutine, run step by step."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self._coroutine = coroutine
        self._name = name

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            _WAITS[0] = False
            start = monotonic_ns()
            try:
                wanted = step(value)
            except StopIteration as end:
                return end.value
            finally:
                stopped = monotonic_ns()
                note("call", self._name, start, stopped)
            innermost, _WAITS[0] = not _WAITS[0], True
            try:
                value = yield wanted
                step = self._coroutine.send
            except BaseException as error:  # noqa: BLE001  it is thrown on, into the coroutine
                value, step = error, self._coroutine.throw
            if innermost:
                note("wait", self._name, stopped, monotonic_ns())


def everywhere() -> None:
    """Put a clock on all functions of all modules of linkspan."""
    names = [found.name for found in pkgutil.walk_packages(linkspan.__path__, "linkspan.") if not found.name.startswith(LEFT_OUT)]
    modules = [importlib.import_module(name) for name in names]
    replaced: dict[Any, Any] = {}
    for module in modules:
        for name, value in tuple(vars(module).items()):
            if inspect.isclass(value) and value.__module__ == module.__name__:
                _methods(value)
            elif _wanted(value) and value.__module__ == module.__name__:
                replaced[value] = clocked(value, f"{module.__name__}.{name}")
    for module in modules:
        for name, value in tuple(vars(module).items()):
            if inspect.isfunction(value) and value in replaced:
                setattr(module, name, replaced[value])


def _methods(kind: type) -> None:
    for name, value in tuple(vars(kind).items()):
        holder = type(value) if isinstance(value, staticmethod | classmethod) else None
        function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if _wanted(function) and not (name.startswith("__") and name.endswith("__")):
            made = clocked(function, f"{kind.__module__}.{kind.__qualname__}.{name}")
            setattr(kind, name, holder(made) if holder else made)


def _wanted(value: object) -> bool:
    """Functions and coroutines; what runs piece by piece (generators, context managers) is part of its caller."""
    if not inspect.isfunction(value) or hasattr(value, "__wrapped__"):
        return False
    return not (inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value))


def requests() -> None:
    """Note every request, and everything that the event loop does besides."""
    handle = web.Application._handle  # noqa: SLF001  the one place that every request passes

    async def handling(self: web.Application, request: web.Request) -> web.StreamResponse:
        REQUEST.set(f"{request.method} {request.path}")
        start = monotonic_ns()
        try:
            return await handle(self, request)
        finally:
            NOTED.append(("request", REQUEST.get(), start, monotonic_ns(), ""))

    web.Application._handle = handling  # type: ignore[method-assign]  # noqa: SLF001
    turn = asyncio.Handle._run  # noqa: SLF001  one step of anything
    asyncio.Handle._run = clocked(turn, LOOP)  # type: ignore[method-assign]  # noqa: SLF001


def main() -> int:
    everywhere()
    requests()
    from linkspan import daemon  # noqa: PLC0415  after its parts have their clocks

    try:
        return daemon.main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(NOTED))


if __name__ == "__main__":
    sys.exit(main())
