"""The server: versions, headers, errors, sockets, and what becomes of work whose client hangs up."""

import asyncio
import grp
import io
import logging
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from linkspan.api import listen
from linkspan.api.server import ROUTES, Server
from linkspan.errors import Conflict, EngineError, InvalidInput, NotFound, NotModified
from linkspan.model.finding import Finding, Level, Report
from tests.unit.api.client import PATIENCE, Answer, serving
from tests.unit.api.examples import CONTAINER, VIEW
from tests.unit.api.fake_engine import FakeEngine


def ask(
    folder: Path, method: str, path: str, body: Any = None, engine: FakeEngine | None = None, *, data: Any = None, kind: str = ""
) -> Answer:
    """Ask a fresh server; `kind` is the content type of `data`."""
    headers = {"Content-Type": kind} if kind else {}

    async def scenario() -> Answer:
        async with serving(engine or FakeEngine(VIEW), folder) as client:
            return await client.ask(method, path, body, data, **headers)

    return asyncio.run(scenario())


def test_every_answer_carries_dockers_headers(tmp_path: Path) -> None:
    for path in ("/_ping", "/v1.41/info", "/no/such/thing", "/v9.9/info"):
        headers = ask(tmp_path, "GET", path).headers
        assert headers["Api-Version"] == "1.51"
        assert headers["Docker-Experimental"] == "false"
        assert headers["Ostype"] == "linux"
        assert headers["Server"].startswith("linkspan/")


def test_the_doctors_report_is_told(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    finding = Finding(kind="mtu", what="too large", why="packets get lost", remedy="--mtu=1400")
    note = replace(finding, kind="runtime", level=Level.NOTE)
    engine.upkeep.report = Report(findings=(finding, note))
    told = ask(tmp_path, "GET", "/linkspan/doctor", engine=engine).json
    assert (told["Healthy"], told["Engine"], told["Mended"]) == (False, True, [])
    assert told["Findings"][0] == {
        "Level": "problem",
        "Kind": "mtu",
        "What": "too large",
        "Why": "packets get lost",
        "Remedy": "--mtu=1400",
        "Repairable": False,
    }
    engine.upkeep.report = Report(findings=(note,))
    told = ask(tmp_path, "POST", "/linkspan/repair", engine=engine).json
    assert (told["Healthy"], told["Mended"]) == (True, ["the interface veth1 is gone: make the interface anew"])


def test_ping_answers_get_and_head(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/_ping").body == b"OK"
    answer = ask(tmp_path, "HEAD", "/_ping")
    assert (answer.status, answer.body, answer.headers["Builder-Version"]) == (200, b"", "1")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
        (
            "1.23",
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
    ],
)
def test_a_version_that_is_not_served_is_refused(tmp_path: Path, version: str, message: str) -> None:
    answer = ask(tmp_path, "GET", f"/v{version}/containers/json")
    assert (answer.status, answer.json) == (400, {"message": message})


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.51"])
def test_a_path_works_with_and_without_a_version(tmp_path: Path, prefix: str) -> None:
    assert ask(tmp_path, "GET", f"{prefix}/containers/web/json").json["Id"] == CONTAINER.id


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("POST", "/containers/json"), ("GET", "/v1/info"), ("GET", "/")])
def test_an_unknown_route_is_not_found(tmp_path: Path, method: str, path: str) -> None:
    answer = ask(tmp_path, method, path)
    assert (answer.status, answer.json) == (404, {"message": "page not found"})


@pytest.mark.parametrize(
    ("error", "status"),
    [(InvalidInput("x"), 400), (NotFound("x"), 404), (Conflict("x"), 409), (EngineError("x"), 500), (ValueError("x"), 500)],
)
def test_failures_have_dockers_status_and_form(tmp_path: Path, error: Exception, status: int) -> None:
    engine = FakeEngine(VIEW)
    engine.containers.failure = error
    answer = ask(tmp_path, "POST", "/containers/create", {"Image": "busybox"}, engine)
    assert (answer.status, answer.json) == (status, {"message": "x"})


def test_a_bug_is_logged_with_its_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine(VIEW)
    engine.containers.failure = ValueError("a bug")
    ask(tmp_path, "POST", "/containers/create", {"Image": "busybox"}, engine)
    assert "Traceback" in caplog.text


def test_not_modified_has_no_body(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    engine.lifecycle.failure = NotModified("it runs")
    answer = ask(tmp_path, "POST", "/containers/web/start", engine=engine)
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        (
            "POST",
            "/build?dockerfile=Dockerfile",
            "linkspan does not build images: build with buildah or docker and `linkspan load` the result",
        ),
        ("POST", "/session", "does not build"),
        ("POST", "/grpc", "does not build"),
        ("POST", "/commit?container=web", "buildah"),
        ("POST", "/auth", "credentials"),
        ("GET", "/containers/web/stats?stream=1", "does not measure"),
        ("HEAD", "/containers/web/archive?path=/etc", ""),
        ("PUT", "/containers/web/archive?path=/etc", "does not copy"),
        ("GET", "/containers/web/export", "does not export"),
        ("GET", "/containers/web/attach/ws", "websockets"),
        ("POST", "/swarm/init", "swarm"),
        ("GET", "/services", "swarm"),
        ("GET", "/secrets/x", "swarm"),
        ("GET", "/plugins", "plugins"),
        ("POST", "/volumes/create", "volumes"),
        ("GET", "/distribution/docker.io/library/busybox/json", "registries"),
    ],
)
def test_what_linkspan_does_not_have_says_so(tmp_path: Path, method: str, path: str, words: str) -> None:
    answer = ask(tmp_path, method, path, data=b"x" * 300_000 if method in ("POST", "PUT") else None)
    assert answer.status == 501
    assert words in answer.body.decode()


def test_there_are_no_volumes(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/volumes").json == {"Volumes": [], "Warnings": None}
    assert ask(tmp_path, "GET", "/volumes/data").status == 404


def test_no_two_routes_are_the_same() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"{", "application/json", "invalid JSON"),
        (b"[]", "application/json", "invalid JSON: an object is wanted"),
        (b"\xff", "application/json", "invalid JSON"),
        (b"", "", "config cannot be empty in order to create a container"),
        (b"{}", "application/json", "config cannot be empty in order to create a container"),
        (b'{"Image": "x"}', "text/plain", "must be 'application/json'"),
    ],
)
def test_a_bad_body_is_refused(tmp_path: Path, data: bytes, kind: str, message: str) -> None:
    answer = ask(tmp_path, "POST", "/containers/create", data=data, kind=kind)
    assert answer.status == 400
    assert message in answer.json["message"]


def test_a_body_without_end_is_refused(tmp_path: Path) -> None:
    body = io.BytesIO(b'{"Image": "' + b"x" * (17 << 20) + b'"}')
    answer = ask(tmp_path, "POST", "/containers/create", data=body, kind="application/json")
    assert answer.status == 413
    assert "message" in answer.json


def test_parameters_of_the_query_are_parsed(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    ask(tmp_path, "GET", '/containers/json?all=1&limit=3&size=True&filters={"name":{"x":true},"label":["a=b"]}', engine=engine)
    assert engine.containers.listed == {"all": True, "limit": 3, "filters": {"name": ("x",), "label": ("a=b",)}}
    assert engine.containers.measured_ids == [VIEW.container.id]


@pytest.mark.parametrize("query", ["limit=many", "filters={", 'filters={"name":3}', "filters=[]"])
def test_a_bad_parameter_is_refused(tmp_path: Path, query: str) -> None:
    assert ask(tmp_path, "GET", f"/containers/json?{query}").status == 400


def test_a_quoted_name_reaches_the_engine_whole(tmp_path: Path) -> None:
    engine = FakeEngine(VIEW)
    assert ask(tmp_path, "POST", "/containers/..%2Fa%0Ab/stop?t=5&signal=INT", engine=engine).status == 204
    assert engine.lifecycle.calls == [("stop", "../a\nb", 5, "INT")]


def test_a_start_goes_on_when_its_client_hangs_up(tmp_path: Path) -> None:
    async def scenario() -> list[tuple[Any, ...]]:
        engine = FakeEngine(VIEW)
        engine.lifecycle.slow = asyncio.Event()
        async with serving(engine, tmp_path) as client:
            raw = await client.connect()
            raw.send_request("POST", "/containers/web/start", upgrade=False)
            await engine.lifecycle.begun.wait()
            await raw.close()
            engine.lifecycle.slow.set()
            async with asyncio.timeout(PATIENCE):
                await engine.lifecycle.done.wait()
        return engine.lifecycle.calls

    assert asyncio.run(scenario()) == [("start", "web")]


def test_a_stop_of_the_server_lets_operations_finish(tmp_path: Path) -> None:
    async def scenario() -> list[tuple[Any, ...]]:
        engine = FakeEngine(VIEW)
        engine.lifecycle.slow = asyncio.Event()
        async with serving(engine, tmp_path) as client:
            raw = await client.connect()
            raw.send_request("POST", "/containers/web/start", upgrade=False)
            await engine.lifecycle.begun.wait()
            asyncio.get_running_loop().call_soon(engine.lifecycle.slow.set)
        await raw.close()
        return engine.lifecycle.calls

    assert asyncio.run(scenario()) == [("start", "web")]


def test_a_stop_of_the_server_ends_streams_at_once(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        async with serving(FakeEngine(VIEW), tmp_path) as client:
            raw = await client.connect()
            raw.send_request("GET", "/events", upgrade=False)
            await raw.head()
        async with asyncio.timeout(PATIENCE):
            rest = await raw.rest()
        await raw.close()
        return rest

    assert asyncio.run(scenario()) == b""


def test_the_socket_is_for_root_and_its_group(tmp_path: Path) -> None:
    async def scenario() -> int:
        previous = os.umask(0)
        try:
            async with serving(FakeEngine(VIEW), tmp_path) as client:
                return stat.S_IMODE(client.path.stat().st_mode)
        finally:
            os.umask(previous)

    assert asyncio.run(scenario()) == 0o660
    assert not (tmp_path / "s").exists()


def test_a_socket_that_a_killed_engine_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    assert ask(tmp_path, "GET", "/_ping").status == 200


def test_a_socket_that_is_served_is_left_alone(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with serving(FakeEngine(VIEW), tmp_path) as client:
            other = Server(cast("Any", FakeEngine(VIEW)))
            with pytest.raises(Conflict, match="an engine is being served there already"):
                await other.serve([f"unix://{tmp_path}/other", f"unix://{client.path}"])
            assert not (tmp_path / "other").exists()
            await other.close()
            return (await client.ask("GET", "/_ping")).status

    assert asyncio.run(scenario()) == 200


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(Conflict, match="not a socket"):
        ask(tmp_path, "GET", "/_ping")
    assert (tmp_path / "s").read_text() == "precious"


def test_tcp_is_served_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = Server(cast("Any", FakeEngine(VIEW)))
        await server.serve([f"tcp://127.0.0.1:{port}"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /_ping HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        await server.close()
        return answer

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(scenario()).endswith(b"OK")
    assert "unprotected" in caplog.text


@pytest.mark.parametrize("address", ["fd://", "tcp://127.0.0.1:99999", "http://x", "tcp://no.such.host.invalid:1"])
def test_an_address_that_cannot_be_served_is_refused(address: str) -> None:
    async def scenario() -> None:
        server = Server(cast("Any", FakeEngine(VIEW)))
        with pytest.raises(InvalidInput):
            await server.serve([address])
        await server.close()

    asyncio.run(scenario())


def test_the_socket_is_roots_alone_until_it_is_the_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no moment at which others could connect: the mode that the file is born with is narrower than the one it gets."""
    modes: list[int] = []

    def seen(path: Path, uid: int, gid: int) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        real(path, uid, gid)

    real = os.chown
    monkeypatch.setattr(os, "chown", seen)
    previous = os.umask(0)
    try:
        [listener] = listen.bind(f"unix://{tmp_path / 's'}", grp.getgrgid(os.getgid()).gr_name)
    finally:
        os.umask(previous)
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
    listener.close()
