"""Raw connections: what attach and exec start do to a connection, whatever the client does with its half of it."""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from linkspan.api.gate import request_length
from linkspan.engine.requests import AttachRequest
from linkspan.errors import Conflict, EngineError
from linkspan.model.container import Exec, Process
from tests.unit.api.client import PATIENCE, Client, RawClient, serving
from tests.unit.api.examples import CONTAINER, VIEW
from tests.unit.api.fake_engine import EXEC_ID, FakeAttachment, FakeEngine

T = TypeVar("T")

ATTACH = "/v1.51/containers/web/attach?stdin=1&stdout=1&stderr=1&stream=1"
START = f"/v1.51/exec/{EXEC_ID}/start"
NOT_DETACHED = json.dumps({"Detach": False, "Tty": False})


def with_process(**changes: object) -> FakeEngine:
    """An engine whose container's process is changed."""
    process = replace(CONTAINER.spec.process, **changes)  # type: ignore[arg-type]  # the tests name fields of Process
    return FakeEngine(replace(VIEW, container=replace(CONTAINER, spec=replace(CONTAINER.spec, process=process))))


def talk(folder: Path, engine: FakeEngine, attachment: FakeAttachment, talk: Callable[[Client, RawClient], Awaitable[T]]) -> T:
    """Run `talk` with a fresh connection to a server whose container and exec have this attachment; it must be closed afterwards."""

    async def scenario() -> T:
        engine.streams.attachment = engine.execs.attachment = attachment
        async with serving(engine, folder) as client:
            raw = await client.connect()
            try:
                return await talk(client, raw)
            finally:
                await raw.close()
                async with asyncio.timeout(PATIENCE):
                    await attachment.closed.wait()

    return asyncio.run(scenario())


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


async def run(folder: Path, engine: FakeEngine, path: str, body: str = "", *, upgrade: bool = True) -> tuple[str, bytes]:
    """Return the head and the rest of what a client gets that only listens."""
    async with serving(engine, folder) as client:
        raw = await client.connect()
        answer = await raw.request("POST", path, body, upgrade=upgrade), await raw.rest()
        await raw.close()
        return answer


def output(*pieces: tuple[int, bytes]) -> FakeAttachment:
    attachment = FakeAttachment(*pieces)
    attachment.end()
    return attachment


@pytest.mark.parametrize(
    ("tty", "version", "content_type"),
    [
        (False, "1.51", "application/vnd.docker.multiplexed-stream"),
        (False, "1.41", "application/vnd.docker.raw-stream"),
        (True, "1.51", "application/vnd.docker.raw-stream"),
    ],
)
def test_the_answer_to_an_upgrade_is_dockers(tmp_path: Path, tty: bool, version: str, content_type: str) -> None:
    async def scenario() -> str:
        engine = with_process(tty=tty)
        engine.streams.attachment = output()
        return (await run(tmp_path, engine, f"/v{version}/containers/web/attach?stream=1&stdout=1"))[0]

    expected = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    assert asyncio.run(scenario()) == expected


def test_a_client_that_asks_for_no_upgrade_gets_a_raw_200(tmp_path: Path) -> None:
    async def scenario() -> tuple[str, bytes]:
        engine = with_process(tty=True)
        engine.streams.attachment = output((1, b"hello"))
        return await run(tmp_path, engine, ATTACH, upgrade=False)

    expected = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
    assert asyncio.run(scenario()) == (expected, b"hello")


def test_output_is_framed_by_stream_and_raw_on_a_terminal(tmp_path: Path) -> None:
    async def scenario(*, tty: bool) -> bytes:
        engine = with_process(tty=tty)
        engine.streams.attachment = output((1, b"out"), (2, b"err"))
        return (await run(tmp_path, engine, ATTACH))[1]

    assert frames(asyncio.run(scenario(tty=False))) == [(1, b"out"), (2, b"err")]
    assert asyncio.run(scenario(tty=True)) == b"outerr"


def test_the_engine_learns_what_to_attach(tmp_path: Path) -> None:
    async def scenario() -> list[AttachRequest]:
        engine = FakeEngine(VIEW)
        engine.streams.attachment = output()
        await run(tmp_path, engine, "/containers/web/attach?logs=1&stderr=true&stream=1&stdin=0")
        return engine.streams.asked

    assert asyncio.run(scenario()) == [AttachRequest(stderr=True, logs=True, stream=True)]


def test_bytes_sent_right_behind_the_request_are_input(tmp_path: Path) -> None:
    async def scenario(_: Client, raw: RawClient) -> bytes:
        await raw.request("POST", ATTACH, early=b"POST /no HTTP/1.1\r\n\r\n")
        raw.writer.write(b" and more")
        return await raw.exactly(8 + 21 + 8 + 9)

    attachment = FakeAttachment(echo=True)
    received = talk(tmp_path, FakeEngine(VIEW), attachment, scenario)
    assert b"".join(data for _, data in frames(received)) == b"POST /no HTTP/1.1\r\n\r\n and more"


def test_early_input_with_its_end_reaches_an_exec_in_three_packets(tmp_path: Path) -> None:
    async def scenario(_: Client, raw: RawClient) -> list[tuple[int, bytes]]:
        raw.writer.write(f"POST {START} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n".encode())
        await raw.writer.drain()
        raw.writer.write(f"Content-Length: {len(NOT_DETACHED)}\r\n\r\n{NOT_DETACHED[:5]}".encode())
        await raw.writer.drain()
        raw.writer.write(NOT_DETACHED[5:].encode() + b"input")
        raw.writer.write_eof()
        await raw.head()
        return frames(await raw.rest())

    assert talk(tmp_path, FakeEngine(VIEW), FakeAttachment(echo=True), scenario) == [(1, b"input")]


def test_a_refused_attach_leaves_the_connection_to_http(tmp_path: Path) -> None:
    async def scenario() -> tuple[str, str]:
        async with serving(FakeEngine(VIEW), tmp_path) as client:
            raw = await client.connect()
            early = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
            first = await raw.request("POST", "/containers/missing/attach", early=early)
            rest = (await raw.rest()).decode()
            await raw.close()
            return first, rest

    first, rest = asyncio.run(scenario())
    assert first.startswith("HTTP/1.1 404")
    assert "200 OK" in rest
    assert rest.endswith("OK")


def test_an_attach_on_a_used_connection_works(tmp_path: Path) -> None:
    async def scenario(_: Client, raw: RawClient) -> bytes:
        raw.send_request("GET", "/_ping", upgrade=False)
        await raw.head()
        assert await raw.exactly(2) == b"OK"
        assert "101 UPGRADED" in await raw.request("POST", ATTACH)
        raw.writer.write(b"typed")
        return await raw.exactly(13)

    assert frames(talk(tmp_path, FakeEngine(VIEW), FakeAttachment(echo=True), scenario)) == [(1, b"typed")]


def test_the_end_of_the_clients_input_is_not_the_end_of_the_output(tmp_path: Path) -> None:
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> list[tuple[int, bytes]]:
        await raw.request("POST", ATTACH)
        raw.writer.write_eof()
        await attachment.stdin_closed.wait()
        attachment.say(1, b"still here")
        attachment.end()
        return frames(await raw.rest())

    assert talk(tmp_path, FakeEngine(VIEW), attachment, scenario) == [(1, b"still here")]


def test_a_client_without_input_may_end_it_at_once(tmp_path: Path) -> None:
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> list[tuple[int, bytes]]:
        await raw.request("POST", "/containers/web/attach?stdout=1&stream=1")
        raw.writer.write_eof()
        attachment.say(1, b"x")
        attachment.end()
        return frames(await raw.rest())

    assert talk(tmp_path, with_process(stdin_once=False), attachment, scenario) == [(1, b"x")]
    assert not attachment.stdin_closed.is_set()


def test_the_input_of_a_container_that_keeps_it_open_outlives_the_client(tmp_path: Path) -> None:
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> bytes:
        await raw.request("POST", ATTACH)
        raw.writer.write(b"hi")
        raw.writer.write_eof()
        return await raw.rest()

    assert talk(tmp_path, with_process(stdin_once=False), attachment, scenario) == b""
    assert attachment.written == b"hi"
    assert not attachment.stdin_closed.is_set()


def test_a_client_that_hangs_up_is_noticed_while_the_container_is_silent(tmp_path: Path) -> None:
    async def scenario(_: Client, raw: RawClient) -> None:
        await raw.request("POST", "/containers/web/attach?stdout=1&stream=1")

    talk(tmp_path, FakeEngine(VIEW), FakeAttachment(), scenario)  # waits until the attachment is closed


def test_a_client_that_ends_its_input_and_then_hangs_up_is_noticed_too(tmp_path: Path) -> None:
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> None:
        await raw.request("POST", ATTACH)
        raw.writer.write_eof()
        await attachment.stdin_closed.wait()

    talk(tmp_path, FakeEngine(VIEW), attachment, scenario)


def test_a_slow_reader_holds_the_output_back_and_loses_none_of_it(tmp_path: Path) -> None:
    pieces = [(1, bytes([number]) * 65536) for number in range(100)]

    async def scenario(_: Client, raw: RawClient) -> list[tuple[int, bytes]]:
        await raw.request("POST", ATTACH)
        return frames(await raw.rest())

    assert talk(tmp_path, FakeEngine(VIEW), output(*pieces), scenario) == pieces


def test_much_input_arrives_whole(tmp_path: Path) -> None:
    sent = bytes(range(256)) * 8192
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> None:
        await raw.request("POST", ATTACH, early=sent[:100_000])
        raw.writer.write(sent[100_000:])
        raw.writer.write_eof()
        await attachment.stdin_closed.wait()

    talk(tmp_path, FakeEngine(VIEW), attachment, scenario)
    assert attachment.written == sent


def test_detach_keys_end_the_conversation_and_not_the_process(tmp_path: Path) -> None:
    attachment = FakeAttachment()
    engine = with_process(tty=True)

    async def scenario(_: Client, raw: RawClient) -> bytes:
        await raw.request("POST", f"{ATTACH}&detachKeys=ctrl-a,x")
        raw.writer.write(b"ls\x01")
        raw.writer.write(b"xlost")
        return await raw.rest()

    assert talk(tmp_path, engine, attachment, scenario) == b""
    assert attachment.written == b"ls"
    assert not attachment.stdin_closed.is_set()


def test_wrong_detach_keys_are_refused(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, str]:
        async with serving(FakeEngine(VIEW), tmp_path) as client:
            answer = await client.ask("POST", "/containers/web/attach?detachKeys=shift-x")
            return answer.status, answer.json["message"]

    assert asyncio.run(scenario()) == (400, "Invalid detach keys (shift-x) provided")


def test_an_exec_that_cannot_run_says_so_in_its_output(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        engine = FakeEngine(VIEW)
        engine.execs.failure = EngineError("executable file not found in $PATH")
        return (await run(tmp_path, engine, START, NOT_DETACHED))[1]

    assert frames(asyncio.run(scenario())) == [(1, b"executable file not found in $PATH\r\n")]


def test_a_detached_exec_that_cannot_run_has_a_proper_status(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, str]:
        engine = FakeEngine(VIEW)
        engine.execs.failure = Conflict("exec command has already run")
        async with serving(engine, tmp_path) as client:
            answer = await client.ask("POST", START, {"Detach": True})
            return answer.status, answer.json["message"]

    assert asyncio.run(scenario()) == (409, "exec command has already run")


def test_a_detached_exec_is_answered_and_done(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, bytes, list[tuple[str, bool]]]:
        engine = FakeEngine(VIEW)
        async with serving(engine, tmp_path) as client:
            answer = await client.ask("POST", START, {"Detach": True})
            again = await client.ask("GET", "/_ping")
            assert again.status == 200
            return answer.status, answer.body, engine.execs.started

    assert asyncio.run(scenario()) == (200, b"", [(EXEC_ID, True)])


def test_input_of_an_exec_that_was_created_without_stdin_is_dropped(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.execs.exec = Exec(id=EXEC_ID, container=CONTAINER.id, process=Process(args=("cat",)))
    attachment = FakeAttachment()

    async def scenario(_: Client, raw: RawClient) -> None:
        await raw.request("POST", START, NOT_DETACHED, early=b"typed")

    talk(tmp_path, engine, attachment, scenario)
    assert attachment.written == b""


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (b"", None),
        (b"POS", None),
        (b"GET /containers/json HTTP/1.1\r\n", 0),
        (b"POST /containers/x/attach?stdin=1 HTTP/1.1\r\nHost: d\r\n", None),
        (b"POST /containers/x/attach?stdin=1 HTTP/1.1\r\nHost: d\r\n\r\nearly", 55),
        (b"POST /v1.41/exec/ab/start HTTP/1.1\r\ncontent-length: 7\r\n\r\n{", 64),
        (b"POST /exec/ab/start HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0),
        (b"POST /exec/ab/start HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", 0),
        (b"POST /containers/x/start HTTP/1.1\r\n\r\n", 0),
        (b"POST /containers/x/attach/y HTTP/1.1\r\n\r\n", 0),
        (b"POST /" + b"x" * 70_000, 0),
    ],
)
def test_the_length_of_a_request_for_the_connection(start: bytes, length: int | None) -> None:
    assert request_length(start) == length
