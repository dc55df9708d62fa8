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


def test_several_networks(client: docker.DockerClient) -> None:
    pool = docker.types.IPAMPool(subnet="10.7.0.0/24")
    front = client.networks.create("front", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    back = client.networks.create("back")
    try:
        box = client.containers.run("busybox", ["sleep", "100"], name="box", detach=True, network="front")
        back.connect(box, aliases=["db"])
        front.disconnect(box)
        front.connect(box, ipv4_address="10.7.0.77")
        box.reload()
        networks = box.attrs["NetworkSettings"]["Networks"]
        assert list(networks) == ["back", "front"]
        assert (networks["front"]["IPAddress"], networks["back"]["Aliases"]) == ("10.7.0.77", ["db"])
        front.reload()
        assert [member["Name"] for member in front.attrs["Containers"].values()] == ["box"]
        with pytest.raises(docker.errors.APIError, match="endpoint with name box already exists in network back"):
            back.connect(box)
        low = client.api.create_container(
            "busybox",
            ["true"],
            networking_config=client.api.create_networking_config({"back": client.api.create_endpoint_config(aliases=["x"])}),
        )
        assert list(client.api.inspect_container(low["Id"])["NetworkSettings"]["Networks"]) == ["back"]
    finally:
        for container in client.containers.list(all=True):
            container.remove(force=True)
        front.remove()
        back.remove()
