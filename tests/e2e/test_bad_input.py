"""Bad input: a clear message, the right status, nothing half-made left, the engine alive."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import Engine

pytestmark = pytest.mark.kernel

CREATE = "/v1.41/containers/create"


@pytest.fixture(autouse=True)
def nothing_is_left(engine: Engine) -> Iterator[None]:
    yield
    assert engine.docker("ps", "-aq") == ""
    assert list((engine.folder / "data" / "containers").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "config cannot be empty in order to create a container"),
        (b"{", 400, ""),
        (b"[]", 400, ""),
        (b'"x"', 400, ""),
        (b"\xff\xfe", 400, ""),
        (b'{"Image": 7}', 400, "Image"),
        (b'{"Image": "busybox", "Cmd": {"a": 1}}', 400, "Cmd"),
        (b'{"Image": "busybox", "HostConfig": []}', 400, "HostConfig"),
        (b'{"Image": "busybox", "HostConfig": {"PortBindings": {"0/tcp": [{"HostPort": "80"}]}}}', 400, "invalid port specification"),
        (b'{"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "65536"}]}}}', 400, ""),
        (b'{"Image": "busybox", "HostConfig": {"NetworkMode": "container:"}}', 400, "invalid container format container:<name|id>"),
        (b'{"Image": "nope:missing"}', 404, "No such image: nope:missing"),
        (b'{"Image": "busybox", "HostConfig": {"Memory": 1000}}', 400, "Minimum memory limit allowed is 6MB"),
        (b'{"Image": "busybox", "HostConfig": {"CapAdd": ["NOPE"]}}', 400, "NOPE"),
    ],
)
def test_create(engine: Engine, body: bytes, status: int, text: str) -> None:
    answered, message = engine.api("POST", CREATE, raw=body)
    assert (answered, text in message["message"]) == (status, True), message


@pytest.mark.parametrize("name", ["a/b", "..", "a%0Ab", "x" * 300, "-x"])
def test_names(engine: Engine, name: str) -> None:
    status, message = engine.api("POST", f"{CREATE}?name={name}", {"Image": "busybox", "Cmd": ["true"]})
    assert status == 400
    assert "Invalid container name" in message["message"]


@pytest.mark.parametrize("path", ["/containers/nobody/json", "/images/nope/json", "/networks/nowhere", "/exec/none/json", "/no/such/page"])
def test_what_is_not_there(engine: Engine, path: str) -> None:
    status, message = engine.api("GET", path)
    assert status == 404
    assert message["message"]


@pytest.mark.parametrize(("version", "status"), [("1.23", 400), ("1.99", 400), ("1.24", 200), ("1.51", 200)])
def test_versions(engine: Engine, version: str, status: int) -> None:
    assert engine.api("GET", f"/v{version}/info")[0] == status


def test_docker_build_is_refused_in_one_sentence(engine: Engine) -> None:
    status, message = engine.api("POST", "/build", raw=b"")
    assert status == 501
    assert "does not build images" in message["message"]


def test_predefined_networks_cannot_be_made_or_removed(engine: Engine) -> None:
    assert "bridge is a pre-defined network and cannot be removed" in engine.refused("network", "rm", "bridge")
    assert "operation is not permitted on predefined host network" in engine.refused("network", "create", "host")


@pytest.mark.parametrize(
    "junk", [b"\x00" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"POST /containers/create HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"x" * 100000]
)
def test_junk_on_the_socket(engine: Engine, junk: bytes) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection, contextlib.suppress(OSError):
        connection.settimeout(2)
        connection.connect(str(engine.socket))
        connection.sendall(junk)
        connection.recv(4096)
    assert engine.api("GET", "/_ping") == (200, "OK")


def test_an_image_that_lost_its_files(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    images = engine.folder / "data" / "images"
    shutil.rmtree(images / "roots")
    for blob in images.rglob("blobs/sha256/*"):
        blob.write_bytes(b"")
    done = engine.try_docker("run", "--rm", "busybox", "true")
    assert done.status == 125
    assert "cannot unpack image" in done.err
    assert "pull or load it again" in done.err
    engine.docker("version")
    assert engine.docker("ps", "-aq") == ""


def test_a_runtime_that_fails(new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    fake = tmp_path / "runc"
    fake.write_text("#!/bin/sh\ncase $* in *--version*) echo runc version 1.0; exit 0;; esac\necho out of order >&2\nexit 1\n")
    fake.chmod(0o755)
    engine = new_engine("--default-runtime", str(fake))
    assert "out of order" in engine.refused("run", "-d", "--name", "box", "-p", "8080:80", "busybox", "true")
    assert engine.inspect("box")["State"]["Status"] == "created"
    assert "veth" not in engine.host.sh("ip", "link")
    assert "8080" not in engine.host.sh("ss", "-Htln") + engine.host.sh("nft", "list", "table", "inet", "linkspan")
    fake.write_text('#!/bin/sh\nexec runc "$@"\n')  # what it has left can be cleared away when it works again


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data root of 24 MiB."""
    disk = tmp_path / "e" / "data"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.try_docker("run", "--name", "filler", "busybox", "dd", "if=/dev/zero", "of=/fill", "bs=64k")
    refusal = engine.refused("run", "--name", "late", "busybox", "true").lower()
    assert "no space left" in refusal or "disk is full" in refusal
    engine.docker("rm", "filler")
    assert engine.docker("run", "--rm", "busybox", "echo", "room again") == "room again"
