"""Clients that take much, with an engine that may have few files open: others are served, and nothing that they sent stands in its log."""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.requests import LOG_LINE, resident
from tests.engines import LINKSPAN, Connection, Engine
from tests.hosts import Host, until

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


def inotify_instances(engine: Engine) -> int:
    found = 0
    for descriptor in Path(f"/proc/{engine.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += "inotify" in str(descriptor.readlink())
    return found


def flood(client: socket.socket, chunk: bytes) -> None:
    """Send without end, until somebody closes the connection."""
    with contextlib.suppress(OSError):
        while True:
            client.sendall(chunk)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data root of 32 MiB."""
    disk = tmp_path / "small" / "data"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("path", ["/images/load", "/images/create?fromSrc=-&repo=endless"])
def test_an_archive_without_end_stops_at_the_disks_reserve(small_disk: Path, host: Host, tmp_path: Path, path: str) -> None:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with Engine(host, tmp_path / "small") as engine, contextlib.ExitStack() as stack:
        client = connected(engine, stack, f"POST {path} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
        sending = threading.Thread(target=flood, args=(client, chunk))
        sending.start()
        answer = client.recv(4096)
        client.shutdown(socket.SHUT_RDWR)
        sending.join()
        assert answer.startswith(b"HTTP/1.1 500")
        assert b"no space left" in answer.lower()
        until(lambda: not list((small_disk / "images" / "tmp").iterdir()), what="what was received is removed")
        assert engine.docker("run", "--rm", "busybox", "echo", "room") == "room"


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
        assert inotify_instances(engine) == 1
        engine.docker("kill", "-s", "USR1", "talks")
        for follower in followers:
            said = b""
            while b"0\r\n\r\n" not in said:
                piece = follower.recv(4096)
                assert piece, said
                said += piece
            assert b"told\n" in said


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


LARGE = {"Image": "busybox", "Labels": {str(number): "x" * 100 for number in range(2000)}, "HostConfig": {"Memory": 5}}
REQUESTS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/containers/json?all=1&size=1", None),
    ("GET", "/containers/box/json", None),
    ("GET", "/containers/nobody/json", None),
    ("POST", "/containers/create", LARGE),
    ("POST", "/containers/box/exec", {"Cmd": ["true"]}),
    ("GET", "/containers/box/logs?stdout=1", None),
    ("POST", "/images/load", None),
    ("GET", "/events?until=1", None),
)


def many(engine: Engine, times: int) -> None:
    """Send every request that often, and as often attach to a container that does not run, and hang up."""
    with contextlib.closing(Connection(engine.socket)) as connection:
        for _ in range(times):
            for method, path, body in REQUESTS:
                connection.request(method, path, json.dumps(body).encode() if body else b"", {"Content-Type": "application/json"})
                connection.getresponse().read()
            with contextlib.ExitStack() as stack:
                connected(engine, stack, "POST /containers/box/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n").recv(1)


def test_thousands_of_requests_leave_nothing_behind(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox", "true")
    many(engine, 150)
    size, files = resident(engine.pid), len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))
    many(engine, 450)
    assert resident(engine.pid) - size < 6 << 20
    until(lambda: len(list(Path(f"/proc/{engine.pid}/fd").iterdir())) <= files, what="every file is closed again")
