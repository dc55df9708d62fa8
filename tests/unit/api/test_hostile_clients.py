"""Clients that dawdle, flood or send junk: each is bounded, and others are served meanwhile. Limits are those of the tests."""

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from linkspan.api.call import BODY_LIMIT
from linkspan.api.connections import Limits
from linkspan.engine.events import BACKLOG
from linkspan.engine.requests import LogQuery
from linkspan.runtime.logs import LogRecord
from tests.unit.api.client import PATIENCE, Client, RawClient, serving
from tests.unit.api.examples import VIEW
from tests.unit.api.fake_engine import FakeAttachment, FakeEngine

T = TypeVar("T")

SHORT = 0.2
"""Seconds of a limit that is to be met; the others stay long."""
PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
CREATE = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
LOAD = b"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"


def talk(folder: Path, limits: Limits, scenario: Callable[[Client, FakeEngine], Awaitable[T]], engine: FakeEngine | None = None) -> T:
    """Run a scenario with a server of these limits; afterwards it must still answer."""
    served = engine or FakeEngine(VIEW)

    async def run() -> T:
        async with serving(served, folder, limits) as client:
            result = await scenario(client, served)
            assert (await client.ask("GET", "/_ping")).status == 200
            return result

    return asyncio.run(run())


async def sent(client: Client, data: bytes) -> RawClient:
    raw = await client.connect()
    raw.writer.write(data)
    await raw.writer.drain()
    return raw


async def ended(raw: RawClient) -> bytes:
    """What comes until the server hangs up."""
    try:
        return await raw.rest()
    finally:
        await raw.close()


async def answer(raw: RawClient) -> bytes:
    """The head and the body of one answer."""
    head = await raw.head()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
    return head.encode() + await raw.exactly(length)


async def flood(raw: RawClient, piece: bytes) -> None:
    """Send until the server does not want any more."""
    with contextlib.suppress(ConnectionError):
        while True:
            raw.writer.write(piece)
            await raw.writer.drain()
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Slow: ",
        b"POST /containers/web/attach HTTP/1.1\r\nX-Slow: ",
        b"POST /exec/x/start HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_head_that_does_not_end_ends_the_connection(tmp_path: Path, start: bytes) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        return await ended(await sent(client, start))

    assert talk(tmp_path, Limits(head=SHORT), scenario) == b""


def test_a_head_that_comes_byte_by_byte_does_not_buy_time(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> None:
        raw = await sent(client, b"GET /_ping HTTP/1.1\r\nX-Slow: ")
        async with asyncio.timeout(PATIENCE):
            await flood(raw, b"a")
        await raw.close()

    talk(tmp_path, Limits(head=SHORT), scenario)


@pytest.mark.parametrize("rest", [b"", b"GET /_ping HTTP/1.1\r\nX-Slow: "])
def test_a_used_connection_is_not_kept_for_ever(tmp_path: Path, rest: bytes) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, PING)
        assert (await answer(raw)).endswith(b"OK")
        raw.writer.write(rest)
        return await ended(raw)

    assert talk(tmp_path, Limits(idle=SHORT), scenario) == b""


def test_a_stream_outlives_every_limit(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: FakeEngine) -> bytes:
        raw = await sent(client, b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await raw.head()
        began = time.monotonic()
        while time.monotonic() < began + 3 * SHORT:
            assert (await client.ask("GET", "/_ping")).status == 200
        engine.events.publish("container", "start", "1", {})
        async with asyncio.timeout(PATIENCE):
            found = await raw.reader.readuntil(b"}\n")
        await raw.close()
        return found

    assert b'"start"' in talk(tmp_path, Limits(head=SHORT, body=SHORT, silence=SHORT, idle=SHORT), scenario)


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
def test_a_body_that_does_not_end_is_answered_408(tmp_path: Path, framing: bytes) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, CREATE + framing)
        found = await answer(raw)
        await raw.close()
        return found

    found = talk(tmp_path, Limits(body=SHORT), scenario)
    assert found.startswith(b"HTTP/1.1 408")
    assert b"did not arrive" in found


def test_a_body_without_end_is_answered_413(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, CREATE + b"Transfer-Encoding: chunked\r\n\r\n")
        sending = asyncio.create_task(flood(raw, b"10000\r\n" + b"a" * 0x10000 + b"\r\n"))
        found = await answer(raw)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await raw.close()
        return found

    assert talk(tmp_path, Limits(), scenario).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 10**18])
def test_a_huge_body_is_refused_before_it_is_sent(tmp_path: Path, length: int) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, CREATE + b"Content-Length: %d\r\n\r\n" % length)
        found = await answer(raw)
        await raw.close()
        return found

    assert talk(tmp_path, Limits(), scenario).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"X-%d: 1\r\n" % number for number in range(10_000)),
        b"X-Long: " + b"a" * 10**6 + b"\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"\x00\xff: 1\r\n",
        b" folded: 1\r\n",
    ],
)
def test_heads_that_are_none_are_answered_400(tmp_path: Path, head: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await client.connect()
        with contextlib.suppress(ConnectionError):
            raw.writer.write(b"POST /containers/create HTTP/1.1\r\nHost: d\r\n" + head + b"\r\n")
            await raw.writer.drain()
        with contextlib.suppress(ConnectionError):
            return await ended(raw)
        return b"HTTP/1.0 400 {}"  # it hung up while the head was still coming

    found = talk(tmp_path, Limits(head=SHORT, body=SHORT), scenario)
    assert found[:5] + found[8:12] == b"HTTP/ 400"
    assert isinstance(json.loads(found[found.index(b"{") :]), dict)
    assert "Traceback" not in caplog.text


def test_an_archive_that_stops_coming_is_answered_408(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, LOAD + b"1\r\na\r\n")
        found = await answer(raw)
        await raw.close()
        return found

    found = talk(tmp_path, Limits(silence=SHORT), scenario)
    assert found.startswith(b"HTTP/1.1 408")
    assert b"nothing of the body arrived" in found


def test_an_archive_that_comes_slowly_is_taken(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: FakeEngine) -> bool:
        raw = await sent(client, LOAD)
        began, pieces = time.monotonic(), 0
        while time.monotonic() < began + 5 * SHORT:
            raw.writer.write(b"1\r\na\r\n")
            pieces += 1
            while len(engine.images.received) < pieces:  # noqa: ASYNC110  the fake engine tells nobody
                await asyncio.sleep(0.001)
        raw.writer.write(b"0\r\n\r\n")
        head = await raw.head()
        await raw.close()
        assert head.startswith("HTTP/1.1 200")
        return len(engine.images.received) == pieces

    assert talk(tmp_path, Limits(silence=4 * SHORT, body=SHORT), scenario)


def test_an_endless_body_for_what_is_not_there_is_answered(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> bytes:
        raw = await sent(client, b"POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        found = await answer(raw)
        await raw.close()
        return found

    assert talk(tmp_path, Limits(silence=SHORT), scenario).startswith(b"HTTP/1.1 501")


def test_idle_connections_make_room_for_new_ones(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> tuple[int, int]:
        idle = [await client.connect() for _ in range(50)]
        statuses = {(await client.ask("GET", "/_ping")).status for _ in range(10)}
        closed = 0
        for raw in idle:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHORT if closed >= 43 else PATIENCE):
                    closed += await raw.reader.read(1) == b""
        for raw in idle:
            await raw.close()
        assert statuses == {200}
        return closed, len(idle)

    closed, opened = talk(tmp_path, Limits(connections=8), scenario)
    assert opened - 8 <= closed < opened


def test_a_client_too_many_is_told_so(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: FakeEngine) -> bytes:
        engine.streams.attachment = FakeAttachment()
        busy = [await sent(client, b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n") for _ in range(4)]
        for raw in busy:
            await raw.head()
        refused = await ended(await client.connect())
        for raw in busy:
            await raw.close()
        return refused

    async def patient(client: Client, engine: FakeEngine) -> bytes:
        refused = await scenario(client, engine)
        async with asyncio.timeout(PATIENCE):
            while (await client.ask("GET", "/_ping")).status == 503:  # noqa: ASYNC110  until the server has seen that the others are gone
                await asyncio.sleep(0)
        return refused

    refused = talk(tmp_path, Limits(connections=4), patient)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"too many connections" in refused


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async def scenario(client: Client, _: FakeEngine) -> list[int]:
        paths = ["/_ping", "/nope", "/containers/web/json", "/volumes/x"] * 25
        raw = await sent(client, b"".join(b"GET %s HTTP/1.1\r\nHost: d\r\n\r\n" % path.encode() for path in paths))
        statuses = [int((await answer(raw)).split(b" ")[1]) for _ in paths]
        await raw.close()
        return statuses

    assert talk(tmp_path, Limits(), scenario) == [200, 404, 200, 404] * 25


@pytest.mark.parametrize(
    "junk",
    [
        b"GET /containers/web/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + b"\x81\xff" * 50_000,
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n" + b"\0" * 300_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 1000,
        b"CONNECT d:80 HTTP/1.1\r\nHost: d\r\n\r\n" + b"x" * 300_000,
        b"GET http://elsewhere/_ping HTTP/1.1\r\nHost: d\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n",
        b"GET /%ff%00%0a?%ff=%ff&filters=%ff HTTP/1.1\r\nHost: d\r\n\r\n",
        b"GET /containers/\xff\xfe/json HTTP/1.1\r\nHost: d\r\n\r\n",
    ],
)
def test_junk_does_no_harm(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: Client, _: FakeEngine) -> None:
        raw = await client.connect()
        with contextlib.suppress(ConnectionError):
            raw.writer.write(junk)
            await raw.writer.drain()
            raw.writer.write_eof()
            await ended(raw)

    talk(tmp_path, Limits(head=SHORT, idle=SHORT), scenario)
    assert "Traceback" not in caplog.text


def test_a_listener_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: FakeEngine) -> int:
        raw = await sent(client, b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        await raw.head()
        for number in range(3 * BACKLOG):
            engine.events.publish("container", "start", str(number), {"label": "x" * 500})
            if number % 256 == 0:
                await asyncio.sleep(0)
        assert not engine.events._listeners
        received = b""
        async with asyncio.timeout(PATIENCE):
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received += await raw.reader.read(1 << 16)
        await raw.close()
        return len(received)

    assert 0 < talk(tmp_path, Limits(), scenario) < 3 * BACKLOG * 500


class EndlessLog:
    """A log without end; `read` records were taken."""

    def __init__(self) -> None:
        self.read = 0

    async def logs(self, ref: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        while True:
            self.read += 1
            yield LogRecord(1, b"x" * 1000, 1)


def test_a_log_goes_no_further_than_its_reader(tmp_path: Path) -> None:
    log = EndlessLog()

    async def scenario(client: Client, engine: FakeEngine) -> int:
        engine.streams.logs = log.logs  # type: ignore[method-assign]  # a fake of a fake
        raw = await sent(client, b"GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        await raw.head()
        before = -1
        while log.read != before:  # until everything on the way is full
            before = log.read
            for _ in range(10):
                assert (await client.ask("GET", "/_ping")).status == 200
        await raw.close()
        return log.read

    assert talk(tmp_path, Limits(), scenario) < 2000


def test_an_attachment_goes_no_further_than_its_reader(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: FakeEngine) -> int:
        attachment = engine.streams.attachment = FakeAttachment()
        for _ in range(5000):
            attachment.say(1, b"x" * 1000)
        raw = await client.connect()
        await raw.request("POST", "/containers/web/attach?stream=1&stdout=1")
        before = -1
        while (left := attachment.unsaid) != before:
            before = left
            for _ in range(10):
                assert (await client.ask("GET", "/_ping")).status == 200
        await raw.close()
        return left

    assert talk(tmp_path, Limits(), scenario) > 3000


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Memory": 5}}),
        ("GET", "/containers/nobody/json", None),
        ("GET", "/containers/web/logs", None),
        ("GET", "/containers/web/json", None),
    ],
)
def test_a_request_leaves_nothing_for_the_collector(tmp_path: Path, method: str, path: str, body: object) -> None:
    """Its body may be 16 MiB, and the collector may not run for long."""

    async def scenario(client: Client, engine: FakeEngine) -> int:
        await client.ask(method, path, body)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await client.ask(method, path, body)
            return gc.collect()
        finally:
            gc.enable()

    assert talk(tmp_path, Limits(), scenario) < 20
