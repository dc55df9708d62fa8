"""docker-py, the library that compose v1, Ansible and many tools drive Docker with."""

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.engines import Engine

pytestmark = pytest.mark.kernel


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    opened = docker.DockerClient(base_url=f"unix://{engine.socket}")
    yield opened
    opened.close()


@pytest.fixture
def box(client: docker.DockerClient) -> Container:
    return client.containers.run("busybox", ["sleep", "100"], name="box", detach=True, ports={"80/tcp": ("127.0.0.1", 8080)})


def test_run_returns_the_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"


def test_a_failure_is_an_exception_with_the_exit_code(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ContainerError) as raised:
        client.containers.run("busybox", ["sh", "-c", "echo wrong >&2; exit 3"], remove=True)
    assert (raised.value.exit_status, raised.value.stderr) == (3, b"wrong\n")


def test_what_is_running(client: docker.DockerClient, box: Container) -> None:
    assert [container.name for container in client.containers.list()] == ["box"]
    box.reload()
    assert box.attrs["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert box.exec_run(["sh", "-c", "echo in; exit 4"]) == (4, b"in\n")
    assert [row[-1] for row in box.top()["Processes"]] == ["sleep 100"]


def test_networks_and_errors(client: docker.DockerClient, box: Container) -> None:
    network = client.networks.get("bridge")
    assert [container.name for container in network.containers] == ["box"]
    assert network.attrs["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nobody")
    with pytest.raises(docker.errors.APIError, match="already in use"):
        client.containers.create("busybox", name="box")


def test_events_and_the_end(client: docker.DockerClient, box: Container) -> None:
    events = client.events(decode=True, filters={"container": "box"})
    box.kill()
    assert [next(events)["Action"] for _ in range(2)] == ["kill", "die"]
    assert box.wait() == {"StatusCode": 137}
    box.remove()
    assert next(events)["Action"] == "destroy"
