"""Clients that take much, with an engine that may have few files open: others are served, and nothing that they sent stands in its log."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.requests import LOG_LINE
from tests.engines import LINKSPAN, Engine
from tests.hosts import Host

pytestmark = pytest.mark.kernel

FILES = 512
PATIENCE = 30.0
FORGED = "x\n2026-01-01 00:00:00,000 INFO forged\r\x1b[2J\u202e"


@pytest.fixture
def poor(host: Host, tmp_path: Path) -> Iterator[Engine]:
    """An engine that may have 512 files open, of which its shell gave it 300."""
    engine = Engine(host, tmp_path / "e")
    engine.program = ("prlimit", f"--nofile=300:{FILES}", *LINKSPAN)
    with engine:
        yield engine


def connected(engine: Engine, stack: contextlib.ExitStack, request: str = "") -> socket.socket:
    made = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
    made.settimeout(PATIENCE)
    made.connect(str(engine.socket))
    made.sendall(request.encode())
    return made


def test_idle_connections_use_up_nothing(poor: Engine) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(1500):
            connected(poor, stack, "" if number % 2 else "GET /_ping HT")
        assert poor.docker("run", "--rm", "busybox", "echo", "served") == "served"
    assert "Too many open files" not in poor.log


def test_a_container_has_the_limit_that_the_engine_was_started_with(poor: Engine) -> None:
    assert poor.docker("run", "--rm", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn") == f"300\n{FILES}"
    assert poor.docker("run", "--rm", "--ulimit", "nofile=100:200", "busybox", "sh", "-c", "ulimit -Sn") == "100"
    poor.docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    assert poor.docker("exec", "box", "sh", "-c", "ulimit -Sn") == "300"


def test_five_hundred_follow_logs_at_once(engine: Engine) -> None:
    """Each has its own log: one inotify instance for each would be more than a user gets."""
    engine.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "trap 'echo told; exit 0' USR1; while :; do sleep 0.1; done")
    with contextlib.ExitStack() as stack:
        request = "GET /containers/talks/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n"
        followers = [connected(engine, stack, request) for _ in range(500)]
        for follower in followers:
            assert follower.recv(4096).startswith(b"HTTP/1.1 200")
        engine.docker("kill", "-s", "USR1", "talks")
        for follower in followers:
            said = b""
            while b"0\r\n\r\n" not in said:
                piece = follower.recv(4096)
                assert piece, said
                said += piece
            assert b"told\n" in said
    inotify = [link for link in Path(f"/proc/{engine.pid}/fd").iterdir() if "inotify" in str(link.resolve())]
    assert len(inotify) <= 1


def test_nothing_that_a_client_sends_forges_a_line_of_the_log(host: Host, tmp_path: Path) -> None:
    with Engine(host, tmp_path / "log", "--log-level", "debug") as engine:
        quoted = "".join(f"%{byte:02x}" for byte in FORGED.encode())
        body = {"Image": "busybox", "Cmd": ["sleep", "600"], "Labels": {FORGED: FORGED}, "Env": [f"A={FORGED}"], "Hostname": "box"}
        status, made = engine.api("POST", "/containers/create?name=box", body)
        assert status == 201, made
        assert engine.api("POST", "/containers/box/start")[0] == 204
        engine.api("POST", "/containers/box/exec", {"Cmd": ["sh", "-c", FORGED], "User": FORGED})
        status, made = engine.api("POST", "/containers/box/exec", {"Cmd": [FORGED]})
        engine.api("POST", f"/exec/{made['Id']}/start", {"Detach": True})
        engine.api("POST", "/containers/create?name=bad", {"Image": "busybox", "Cmd": [FORGED]})
        engine.api("POST", "/containers/bad/start")
        for path in (f"/{quoted}", f"/containers/{quoted}/json", f"/images/{quoted}/json", f"/containers/json?filters={quoted}"):
            engine.api("GET", path)
        for path in (
            f"/containers/box/rename?name={quoted}",
            f"/images/create?fromImage={quoted}",
            f"/containers/box/kill?signal={quoted}",
        ):
            engine.api("POST", path)
        for head in (f"GET / HTTP/1.1\r\nX: {FORGED}\r\n\r\n", f"{FORGED}\r\n\r\n"):
            with contextlib.ExitStack() as stack:
                connected(engine, stack, head).recv(4096)
        assert "exec_create" in engine.log
        wrong = [line for line in engine.log.rstrip("\n").split("\n") if not LOG_LINE.fullmatch(line) or not line.isprintable()]
        assert wrong == []
