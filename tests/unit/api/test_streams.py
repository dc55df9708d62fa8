"""Streams over HTTP: logs, events, wait, the progress of images, archives."""

import asyncio
import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linkspan.engine.requests import LogQuery, WaitResult
from linkspan.errors import EngineError, NotFound
from linkspan.images.registry import Progress, RegistryAuth
from linkspan.runtime.logs import LogRecord
from tests.unit.api.client import PATIENCE, Answer, serving
from tests.unit.api.examples import BORN, CONTAINER, IMAGE, VIEW
from tests.unit.api.fake_engine import FakeEngine

TERMINAL = replace(VIEW, container=replace(CONTAINER, spec=replace(CONTAINER.spec, process=replace(CONTAINER.spec.process, tty=True))))


def ask(folder: Path, engine: FakeEngine, method: str, path: str, **more: Any) -> Answer:
    async def scenario() -> Answer:
        async with serving(engine, folder) as client:
            return await client.ask(method, path, **more)

    return asyncio.run(scenario())


def with_log(*records: LogRecord, terminal: bool = False) -> FakeEngine:
    engine = FakeEngine(TERMINAL if terminal else VIEW)
    engine.streams.records = records
    return engine


def test_a_log_is_framed_by_stream(tmp_path: Path) -> None:
    engine = with_log(LogRecord(1, b"out\n", BORN), LogRecord(2, b"err\n", BORN))
    answer = ask(tmp_path, engine, "GET", "/containers/web/logs?stdout=1&stderr=1")
    assert answer.body == b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
    assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"


def test_the_log_of_a_terminal_is_raw(tmp_path: Path) -> None:
    answer = ask(tmp_path, with_log(LogRecord(1, b"out\r\n", BORN), terminal=True), "GET", "/containers/web/logs?stdout=1")
    assert (answer.body, answer.headers["Content-Type"]) == (b"out\r\n", "application/vnd.docker.raw-stream")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("timestamps=1", b"2023-11-14T22:13:20.000000000Z x\n"),
        ("details=1", b" x\n"),
        ("timestamps=1&details=1", b"2023-11-14T22:13:20.000000000Z  x\n"),
    ],
)
def test_lines_of_a_log_have_the_time_and_details_before_them(tmp_path: Path, options: str, line: bytes) -> None:
    engine = with_log(LogRecord(1, b"x\n", BORN), terminal=True)
    assert ask(tmp_path, engine, "GET", f"/containers/web/logs?stdout=1&{options}").body == line


def test_a_log_query_is_parsed(tmp_path: Path) -> None:
    engine = with_log()
    ask(tmp_path, engine, "GET", "/containers/web/logs?stdout=1&tail=7&since=1.5&until=1700000000")
    ask(tmp_path, engine, "GET", "/containers/web/logs?stderr=1&tail=all")
    assert engine.streams.queries == [
        LogQuery(stdout=True, tail=7, since=1_500_000_000, until=1_700_000_000 * 10**9),
        LogQuery(stderr=True),
    ]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/containers/web/logs", 400, "Bad parameters: you must choose at least one stream"),
        ("/containers/missing/logs?stdout=1", 404, "No such container: missing"),
        ("/containers/web/logs?stdout=1&since=yesterday", 400, "since"),
    ],
)
def test_a_log_that_cannot_be_read_has_a_proper_status(tmp_path: Path, path: str, status: int, message: str) -> None:
    answer = ask(tmp_path, with_log(), "GET", path)
    assert answer.status == status
    assert message in answer.json["message"]


def test_who_stops_following_a_log_ends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        engine = with_log(LogRecord(1, b"x\n", BORN))
        async with serving(engine, tmp_path) as client:
            raw = await client.connect()
            raw.send_request("GET", "/containers/web/logs?stdout=1&follow=1", upgrade=False)
            await raw.head()
            await raw.close()
            async with asyncio.timeout(PATIENCE):
                await engine.streams.left.wait()

    asyncio.run(scenario())


def test_events_that_happen_after_the_headers_are_not_missed(tmp_path: Path) -> None:
    async def scenario() -> dict[str, Any]:
        engine = FakeEngine(VIEW)
        async with serving(engine, tmp_path) as client, client.session.get("http://d/v1.51/events") as stream:
            engine.events.publish("container", "start", CONTAINER.id, {"image": "busybox", "name": "web"})
            async with asyncio.timeout(PATIENCE):
                line: dict[str, Any] = json.loads(await stream.content.readline())
            return line

    line = asyncio.run(scenario())
    assert line.pop("timeNano") // 10**9 == line.pop("time")
    assert line == {
        "status": "start",
        "id": CONTAINER.id,
        "from": "busybox",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": CONTAINER.id, "Attributes": {"image": "busybox", "name": "web"}},
        "scope": "local",
    }


def test_events_of_the_past_are_filtered_and_end(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.events.publish("container", "start", "one", {})
    engine.events.publish("network", "connect", "two", {})
    soon = time.time_ns() // 1_000_000 + 5
    until = f"{soon // 1000}.{soon % 1000:03d}"
    answer = ask(tmp_path, engine, "GET", f'/events?since=1&until={until}&filters={{"type":["network"]}}')
    assert [(line["Action"], line["Actor"]["ID"]) for line in answer.lines] == [("connect", "two")]
    assert "status" not in answer.lines[0]


def test_events_cannot_end_before_they_begin(tmp_path: Path) -> None:
    answer = ask(tmp_path, FakeEngine(VIEW), "GET", "/events?since=5&until=4")
    assert answer.json == {"message": "`since` time (5) cannot be after `until` time (4)"}


def test_a_wait_sends_its_headers_when_it_is_registered(tmp_path: Path) -> None:
    async def scenario() -> Any:
        engine = FakeEngine(VIEW)
        async with serving(engine, tmp_path) as client, client.session.post("http://d/containers/web/wait?condition=next-exit") as waiting:
            assert engine.lifecycle.calls == [("wait", "web", "next-exit")]
            assert engine.lifecycle.ended is not None
            engine.lifecycle.ended.set_result(WaitResult(exit_code=3))
            async with asyncio.timeout(PATIENCE):
                return await waiting.json()

    assert asyncio.run(scenario()) == {"StatusCode": 3}


def test_a_wait_tells_why_a_container_did_not_start(tmp_path: Path) -> None:
    async def scenario() -> Any:
        engine = FakeEngine(VIEW)
        async with serving(engine, tmp_path) as client, client.session.post("http://d/containers/web/wait") as waiting:
            assert engine.lifecycle.ended is not None
            engine.lifecycle.ended.set_result(WaitResult(exit_code=127, error="not found"))
            return await waiting.json()

    assert asyncio.run(scenario()) == {"StatusCode": 127, "Error": {"Message": "not found"}}


def test_a_wait_whose_client_hangs_up_is_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        engine = FakeEngine(VIEW)
        async with serving(engine, tmp_path) as client:
            raw = await client.connect()
            raw.send_request("POST", "/containers/web/wait", upgrade=False)
            await raw.head()
            assert engine.lifecycle.ended is not None
            gone = asyncio.Event()
            engine.lifecycle.ended.add_done_callback(lambda _: gone.set())
            await raw.close()
            async with asyncio.timeout(PATIENCE):
                await gone.wait()
            assert engine.lifecycle.ended.cancelled()

    asyncio.run(scenario())


def test_a_wait_for_nobody_is_not_found(tmp_path: Path) -> None:
    assert ask(tmp_path, FakeEngine(VIEW), "POST", "/containers/missing/wait").status == 404


def test_a_pull_tells_how_far_it_is(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.images.steps = (
        Progress(status="Pulling from library/busybox", id="latest"),
        Progress(status="Downloading", id="0123", current=500_000, total=1_000_000),
        Progress(status="Status: Downloaded newer image for busybox:latest"),
    )
    credentials = base64.urlsafe_b64encode(b'{"username": "me", "password": "secret"}').decode().rstrip("=")
    answer = ask(
        tmp_path, engine, "POST", "/images/create?fromImage=busybox&tag=latest&platform=linux/amd64", **{"X-Registry-Auth": credentials}
    )
    assert answer.lines == [
        {"status": "Pulling from library/busybox", "id": "latest", "progressDetail": {}},
        {
            "status": "Downloading",
            "id": "0123",
            "progressDetail": {"current": 500000, "total": 1000000},
            "progress": f"[{'=' * 25}>{' ' * 25}]    500kB/1MB",
        },
        {"status": "Status: Downloaded newer image for busybox:latest"},
    ]
    assert engine.images.pulled == [("busybox:latest", "linux/amd64", RegistryAuth(username="me", password="secret"))]


def test_a_pull_by_digest_names_the_digest(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    ask(tmp_path, engine, "POST", f"/images/create?fromImage=busybox&tag={IMAGE.id}", **{"X-Registry-Auth": "not base64!"})
    assert engine.images.pulled == [(f"busybox@{IMAGE.id}", "", None)]


def test_a_pull_that_fails_before_it_began_has_a_proper_status(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.images.failure = NotFound("manifest unknown")
    answer = ask(tmp_path, engine, "POST", "/images/create?fromImage=nope")
    assert (answer.status, answer.json) == (404, {"message": "manifest unknown"})


@pytest.mark.parametrize("error", [EngineError("connection reset"), ValueError("connection reset")])
def test_a_pull_that_fails_later_says_so_in_its_last_line(tmp_path: Path, error: Exception) -> None:
    engine = FakeEngine(VIEW)
    engine.images.steps = (Progress(status="Pulling"),)
    engine.images.failure = error
    answer = ask(tmp_path, engine, "POST", "/images/create?fromImage=busybox")
    assert answer.status == 200
    assert answer.lines[-1] == {"errorDetail": {"message": "connection reset"}, "error": "connection reset"}


def test_an_archive_is_loaded_as_it_comes(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    answer = ask(tmp_path, engine, "POST", "/images/load?quiet=1", data=b"tar" * 100_000, **{"Content-Type": "application/x-tar"})
    assert answer.lines == [{"stream": "Loaded image: busybox:latest\n"}]
    assert engine.images.received == b"tar" * 100_000


def test_a_saved_archive_is_whole_or_visibly_broken(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.images.archive = (b"one", b"two")
    answer = ask(tmp_path, engine, "GET", "/images/get?names=a&names=b")
    assert (answer.body, answer.headers["Content-Type"]) == (b"onetwo", "application/x-tar")

    async def scenario() -> bytes:
        engine.images.failure = EngineError("disk full")
        async with serving(engine, tmp_path) as client:
            raw = await client.connect()
            raw.send_request("GET", "/images/busybox/get", upgrade=False)
            await raw.head()
            rest = await raw.rest()
            await raw.close()
            return rest

    assert b"\r\n0\r\n" not in asyncio.run(scenario())


def test_images_are_shown_and_removed_by_names_with_slashes(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    assert ask(tmp_path, engine, "GET", "/images/busybox:latest/json").json["Id"] == IMAGE.id
    removed = ask(tmp_path, engine, "DELETE", "/images/localhost:5000/team/app:1").json
    assert removed == [{"Untagged": "localhost:5000/team/app:1"}, {"Deleted": IMAGE.id}]
    assert ask(tmp_path, engine, "GET", "/images/a/b/json").status == 404
