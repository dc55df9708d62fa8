"""The small parts: filters, detach keys, routes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from linkspan.api.call import Call
from linkspan.api.detach import DetachKeys
from linkspan.api.filters import parse_filters
from linkspan.api.framing import frame
from linkspan.api.joining import LIMIT, joined
from linkspan.api.router import Route, Router
from linkspan.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ("{}", {}),
        ('{"name":{"a":true,"b":false}}', {"name": ("a",)}),
        ('{"label":["a=b","c"]}', {"label": ("a=b", "c")}),
    ],
)
def test_filters(text: str, filters: dict[str, Any]) -> None:
    assert parse_filters(text) == filters


@pytest.mark.parametrize("text", ["{", "[]", '{"a":1}', '{"a":"b"}', '{"a":[1]}', '{"a":{"b":1}}', "NaN"])
def test_wrong_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_filters(text)


@pytest.mark.parametrize(
    ("keys", "typed", "passed", "detached"),
    [
        ("", b"ls\x10\x11rest", b"ls", True),
        ("", b"\x10x\x10\x10\x11", b"\x10x\x10", True),
        ("", b"\x10", b"", False),
        ("a,b", b"aab", b"a", True),
        ("ctrl-@,ctrl-[,ctrl-\\", b"\x00\x1b\x1c", b"", True),
        ("ctrl-p,ctrl-q", b"pq", b"pq", False),
    ],
)
def test_detach_keys(keys: str, typed: bytes, passed: bytes, detached: bool) -> None:
    assert DetachKeys(keys).feed(typed) == (passed, detached)
    bytewise = DetachKeys(keys)
    got = [bytewise.feed(bytes([byte])) for byte in typed[: len(typed) - len(b"rest") * (b"rest" in typed)]]
    assert (b"".join(data for data, _ in got), got[-1][1]) == (passed, detached)


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-é", "é"])
def test_wrong_detach_keys_are_refused(keys: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid detach keys"):
        DetachKeys(keys)


def test_a_frame_says_stream_and_length() -> None:
    assert frame(2, b"abc") == b"\2\0\0\0\0\0\0\3abc"


async def _handler(_: Call) -> web.StreamResponse:
    raise NotImplementedError


def test_routes_are_found_by_method_and_unquoted_parts() -> None:
    named, fixed, deep = (Route("GET", path, _handler) for path in ("/a/{id}/json", "/a/b/json", "/images/{name*}/json"))
    router = Router((named, fixed, deep))
    assert router.find("GET", "/a/b/json") == (fixed, {})
    assert router.find("GET", "/a/x%2Fy/json") == (named, {"id": "x/y"})
    assert router.find("GET", "/images/host:5000/a/b/json") == (deep, {"name": "host:5000/a/b"})
    assert router.find("GET", "/a/x/y/json") is None
    assert router.find("GET", "/axb/json") is None
    assert router.find("POST", "/a/b/json") is None


def test_pieces_that_come_together_go_together() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"
        await asyncio.sleep(0)
        yield b"c"

    async def scenario() -> list[bytes]:
        return [piece async for piece in joined(pieces())]

    assert asyncio.run(scenario()) == [b"ab", b"c"]


def test_no_more_is_collected_than_the_limit() -> None:
    made = 0

    async def pieces() -> AsyncGenerator[bytes, None]:
        nonlocal made
        for _ in range(100):
            made += LIMIT
            yield b"x" * LIMIT

    async def scenario() -> int:
        stream = joined(pieces())
        await anext(stream)
        before = made
        await stream.aclose()
        return before

    assert asyncio.run(scenario()) <= 2 * LIMIT


def test_a_failure_comes_after_the_pieces_before_it() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise InvalidInput("no more")

    async def scenario() -> list[bytes]:
        stream = joined(pieces())
        got = [await anext(stream)]
        with pytest.raises(InvalidInput, match="no more"):
            await anext(stream)
        return got

    assert asyncio.run(scenario()) == [b"a"]


def test_what_is_left_early_is_closed() -> None:
    left = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            left.append(True)

    async def scenario() -> None:
        stream = joined(pieces())
        await anext(stream)
        await stream.aclose()

    asyncio.run(scenario())
    assert left == [True]
