"""A client that hangs up in the middle of anything leaves it done or undone, and the next one can go on."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients import Crowd, box, published
from tests.engines import Engine
from tests.hosts import until
from tests.kernel.imagestores import LAYER, docker_archive, tar_of_files
from tests.leaks import settled
from tests.registries import REGISTRY, Registry

pytestmark = pytest.mark.kernel

ARCHIVE = docker_archive(["loaded:1"], LAYER)
ROOT = tar_of_files({"a": b"a" * 200_000})
WAYS = ("at once", "in the body", "with the answer")


def hang_up(engine: Engine, way: str, method: str, path: str, body: bytes = b"", *headers: str) -> None:
    """Send a request, or half of it, and be gone."""

    async def main() -> None:
        async with Crowd(engine.socket) as crowd:
            kind = "Content-Type: application/json"
            head = "\n".join([f"{method} {path} HTTP/1.1", "Host: engine", kind, f"Content-Length: {len(body)}", *headers])
            sent = body[: len(body) // 2] if way == "in the body" else body
            await crowd.leave(head, sent, listen=way == "with the answer")

    asyncio.run(main())


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, engine: Engine) -> Iterator[str]:
    yield request.param
    assert settled(engine) == []
    assert "Traceback" not in engine.log


def status(engine: Engine, name: str = "box") -> str:
    """The container's status, empty if it is gone."""
    code, found = engine.api("GET", f"/containers/{name}/json")
    return str(found["State"]["Status"]) if code == 200 else ""


def test_of_a_create(engine: Engine, way: str) -> None:
    hang_up(engine, way, "POST", "/containers/create?name=box", json.dumps(published(8080)).encode())
    assert settled(engine) == []
    if way == "in the body":
        assert status(engine) == ""
    if status(engine) == "":
        assert engine.api("POST", "/containers/create?name=box", published(8080))[0] in (201, 409)
    engine.docker("start", "box")


@pytest.mark.parametrize(
    ("before", "action", "afterwards"),
    [
        ("created", "start", {"created", "running"}),
        ("running", "stop?t=0", {"running", "exited"}),
        ("running", "kill", {"running", "exited"}),
        ("running", "restart?t=0", {"running"}),
        ("running", "pause", {"running", "paused"}),
        ("running", "rename?name=box2", {"running", ""}),
        ("running", "wait", {"running"}),
        ("running", "logs?follow=1&stdout=1", {"running"}),
    ],
)
@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]], indirect=True)
def test_of_a_container(engine: Engine, way: str, before: str, action: str, afterwards: set[str]) -> None:
    engine.api("POST", "/containers/create?name=box", published(8080))
    if before == "running":
        engine.docker("start", "box")
    method = "GET" if action.startswith("logs") else "POST"
    if action in ("wait", "logs?follow=1&stdout=1"):
        hang_up(engine, "at once", method, f"/containers/box/{action}")
    else:
        hang_up(engine, way, method, f"/containers/box/{action}")
    until(lambda: status(engine) in afterwards, what="it is done or undone")
    assert settled(engine) == []
    hang_up(engine, way, "DELETE", "/containers/box?force=1")
    engine.api("DELETE", "/containers/box?force=1")
    until(lambda: status(engine) == "", what="it can be removed")


def test_of_a_conversation(engine: Engine, way: str) -> None:
    engine.docker("run", "-d", "-i", "--name", "box", "busybox", "cat")
    upgrade = ("Connection: Upgrade", "Upgrade: tcp")
    made = engine.api("POST", "/containers/box/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True})[1]["Id"]
    hang_up(engine, way, "POST", f"/exec/{made}/start", b'{"Detach": false, "Tty": false}', *upgrade)
    hang_up(engine, "at once", "POST", "/containers/box/attach?stream=1&stdin=1&stdout=1", b"", *upgrade)
    hang_up(engine, way, "POST", "/containers/box/exec", b'{"Cmd": ["true"]}')
    assert status(engine) == "running"
    assert settled(engine) == []
    assert engine.docker("exec", "box", "echo", "still here") == "still here"


def test_of_images(engine: Engine, way: str, tmp_path: Path) -> None:
    Registry(engine.host, tmp_path / "registry").start()
    engine.docker("tag", "busybox", f"{REGISTRY}/one")
    engine.docker("push", "-q", f"{REGISTRY}/one")
    engine.docker("rmi", f"{REGISTRY}/one")
    before = engine.docker("images", "-q", "--no-trunc")
    requests = (
        ("POST", "/images/load", ARCHIVE),
        ("POST", "/images/create?fromSrc=-&repo=imported&tag=1", ROOT),
        ("POST", f"/images/create?fromImage={REGISTRY}/one&tag=latest", b""),
        ("GET", "/images/busybox/get", b""),
    )
    for method, path, body in requests:
        if body or way != "in the body":
            hang_up(engine, way, method, path, body)
            assert settled(engine) == []  # also nothing that is half done
    if way == "in the body":
        assert engine.docker("images", "-q", "--no-trunc") == before
    assert "loaded:1" in engine.api("POST", "/images/load", raw=ARCHIVE)[1].__str__()
    engine.docker("pull", "-q", f"{REGISTRY}/one")
    for name in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if not name.startswith("busybox:"):
            engine.docker("rmi", name)


def test_of_a_start_that_takes_long(new_engine: Callable[..., Engine]) -> None:
    """Many starts whose clients have gone: each is done or undone."""
    engine = new_engine()
    for number in range(12):
        engine.api("POST", f"/containers/create?name=c{number}", box())
    for number in range(12):
        hang_up(engine, "at once", "POST", f"/containers/c{number}/start")
    assert settled(engine) == []
    assert {status(engine, f"c{number}") for number in range(12)} <= {"created", "running"}
