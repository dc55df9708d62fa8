"""docker-py, as its users call it, against the server: what it sends and what it makes of the answers."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from linkspan.images.registry import Progress
from linkspan.runtime.logs import LogRecord
from tests.unit.api.client import serving
from tests.unit.api.examples import BORN, CONTAINER, IMAGE, VIEW
from tests.unit.api.fake_engine import FakeAttachment, FakeEngine

# docker-py leaves the sockets that it took over to the garbage collector: that is called within the test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class Process:
    """Speaks when the client tells it to, for only then the client has read the headers of the answer: docker-py loses the rest of the
    packet that they are in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, attachment: FakeAttachment) -> None:
        self._loop = loop
        self._attachment = attachment

    def say(self, *pieces: tuple[int, bytes]) -> None:
        for stream, data in pieces:
            self._loop.call_soon_threadsafe(self._attachment.say, stream, data)
        self._loop.call_soon_threadsafe(self._attachment.end)


@dataclass
class Docker:
    """Runs actions with a docker client in a thread of their own, while the server runs here."""

    folder: Path
    engine: FakeEngine

    def run(self, action: Callable[[Any, Process], Any]) -> Any:
        async def scenario() -> Any:
            attachment = FakeAttachment(echo=True)
            self.engine.execs.attachment = self.engine.streams.attachment = attachment
            process = Process(asyncio.get_running_loop(), attachment)
            async with serving(self.engine, self.folder) as server:
                return await asyncio.to_thread(self._call, f"unix://{server.path}", action, process)

        return asyncio.run(scenario())

    def _call(self, address: str, action: Callable[[Any, Process], Any], process: Process) -> Any:
        client = docker.DockerClient(base_url=address, timeout=5)
        try:
            return action(client, process)
        finally:
            client.close()
            gc.collect()


@pytest.fixture
def docker_py(tmp_path: Path) -> Docker:
    return Docker(tmp_path, FakeEngine(VIEW))


def test_containers_are_listed_and_read(docker_py: Docker) -> None:
    def action(client: Any, _: Process) -> tuple[str, str, list[str], Any]:
        (container,) = client.containers.list()
        return container.id, container.status, container.image.tags, container.ports

    expected = {"53/udp": None, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    assert docker_py.run(action) == (CONTAINER.id, "running", ["busybox:latest"], expected)


def test_a_container_is_created_with_ports_and_a_tmpfs(docker_py: Docker) -> None:
    docker_py.run(
        lambda client, _: client.containers.create("busybox", "sleep 1", ports={"80/tcp": 8080}, network_mode="bridge", tmpfs={"/t": ""})
    )
    (request,) = docker_py.engine.containers.created
    assert request.cmd == ("sleep", "1")
    assert [(binding.port.number, binding.first) for binding in request.network.requests] == [(80, 8080)]


def test_an_exec_gives_its_output_apart(docker_py: Docker) -> None:
    def action(client: Any, process: Process) -> Any:
        output = client.containers.get("web").exec_run(["cat"], stream=True, demux=True).output
        process.say((1, b"out"), (2, b"err"))
        return list(output)

    assert docker_py.run(action) == [(b"out", None), (None, b"err")]


def test_an_exec_can_be_talked_to(docker_py: Docker) -> None:
    def action(client: Any, _: Process) -> bytes:
        raw = client.containers.get("web").exec_run(["cat"], stdin=True, socket=True).output
        raw._sock.sendall(b"hello")
        received: bytes = raw._sock.recv(100)
        raw._sock.close()
        raw.close()
        return received

    assert docker_py.run(action) == b"\1\0\0\0\0\0\0\5hello"


def test_a_container_can_be_attached_to(docker_py: Docker) -> None:
    def action(client: Any, process: Process) -> bytes:
        output = client.containers.get("web").attach(stream=True)
        process.say((1, b"one "), (2, b"two"))
        return b"".join(output)

    assert docker_py.run(action) == b"one two"


def test_logs_are_read(docker_py: Docker) -> None:
    docker_py.engine.streams.records = (LogRecord(1, b"hello\n", BORN),)
    logs = docker_py.run(lambda client, _: client.containers.get("web").logs(timestamps=True))
    assert logs == b"2023-11-14T22:13:20.000000000Z hello\n"


def test_an_image_is_pulled(docker_py: Docker) -> None:
    docker_py.engine.images.steps = (Progress(status="Pulling"),)
    assert docker_py.run(lambda client, _: client.images.pull("busybox", "latest").id) == IMAGE.id


def test_what_is_missing_is_not_found(docker_py: Docker) -> None:
    with pytest.raises(docker.errors.NotFound, match="No such container: nobody"):
        docker_py.run(lambda client, _: client.containers.get("nobody"))


def test_info_version_and_networks_are_read(docker_py: Docker) -> None:
    def action(client: Any, _: Process) -> tuple[str, str, list[str]]:
        return client.info()["Name"], client.version()["ApiVersion"], [network.name for network in client.networks.list()]

    assert docker_py.run(action) == ("testhost", "1.51", ["bridge"])
