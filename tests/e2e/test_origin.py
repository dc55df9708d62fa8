"""The note that this project was founded on, statement by statement: "Docker's four network modes".

Every statement holds for the docker command and for `linkspan`.
"""

import ipaddress
import json
from collections.abc import Iterator

import pytest

from tests.engines import LINKSPAN, Engine
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host

pytestmark = pytest.mark.kernel


@pytest.fixture(params=["docker", "linkspan"], autouse=True)
def client(request: pytest.FixtureRequest, engine: Engine) -> Iterator[None]:
    former = engine.client
    if request.param == "linkspan":
        engine.client = LINKSPAN
    yield
    engine.client = former


def links(text: str) -> list[str]:
    """Names of the interfaces in the output of `ip -o link` or busybox's `ip link`."""
    return [line.split(": ")[1].partition("@")[0] for line in text.splitlines() if line[:1].isdigit()]


def test_three_networks_exist_from_the_start(engine: Engine) -> None:
    rows = [line.split()[1:] for line in engine.docker("network", "ls").splitlines()[1:]]
    assert sorted(rows) == [["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "null", "local"]]


def test_docker0_exists_with_its_address(engine: Engine) -> None:
    lines = engine.host.sh("ip", "addr", "show", "docker0")
    assert "mtu 1500" in lines
    assert "inet 172.17.0.1/16 brd 172.17.255.255" in lines


def test_bridge_is_the_default(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert engine.inspect("box")["HostConfig"]["NetworkMode"] == "bridge"
    assert list(engine.inspect("box")["NetworkSettings"]["Networks"]) == ["bridge"]


def test_a_container_has_eth0_and_the_host_a_veth_on_the_bridge(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert sorted(links(engine.docker("exec", "box", "ip", "link"))) == ["eth0", "lo"]
    (port,) = json.loads(engine.host.sh("ip", "-j", "link", "show", "master", "docker0"))
    assert port["ifname"].startswith("veth")
    assert len(port["ifname"]) == len("veth") + 7


def test_its_address_is_of_docker0s_subnet_and_docker0_is_its_gateway(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert ipaddress.ip_address(engine.address("box")) in ipaddress.ip_network("172.17.0.0/16")
    assert f'"IPAddress": "{engine.address("box")}"' in engine.docker("inspect", "box")
    assert f"inet {engine.address('box')}/16 brd 172.17.255.255" in engine.docker("exec", "box", "ip", "addr", "show", "eth0")
    assert "default via 172.17.0.1 dev eth0" in engine.docker("exec", "box", "ip", "route")


def test_containers_reach_each_other_over_the_bridge(engine: Engine) -> None:
    engine.serve("web")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert engine.page(f"http://{engine.address('web')}/", container="box") == "web"


def test_containers_reach_the_outside_through_nat(engine: Engine, neighbour: Host) -> None:
    with neighbour.answering("0.0.0.0", 9000, b"hello") as callers:
        assert engine.docker("run", "--rm", "busybox", "timeout", "5", "nc", OUTSIDE_ADDRESS, "9000") == "hello"
    assert callers == [HOST_ADDRESS]


def test_the_host_reaches_containers_and_they_reach_it(engine: Engine) -> None:
    engine.serve("web")
    assert engine.page(f"http://{engine.address('web')}/") == "web"
    with engine.host.answering("172.17.0.1", 9001, b"host"):
        assert engine.docker("exec", "web", "timeout", "5", "nc", "172.17.0.1", "9001") == "host"


def test_a_published_port_takes_the_hosts_port_and_a_second_taker_is_refused(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "-p", "8080:80")
    assert b"web" in neighbour.ask_http(HOST_ADDRESS, 8080)
    refusal = engine.refused("run", "-d", "--name", "late", "-p", "8080:80", "busybox", "sleep", "100")
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in refusal
    assert "web" in refusal


def test_host_mode_has_no_isolation_of_its_own(engine: Engine) -> None:
    inside = engine.docker("run", "--rm", "--net=host", "busybox", "ip", "link")
    assert sorted(links(inside)) == sorted(links(engine.host.sh("ip", "-o", "link")))


def test_host_mode_competes_for_the_hosts_ports(engine: Engine) -> None:
    with engine.host.answering("0.0.0.0", 8081, b"taken"):
        refusal = engine.refused("run", "--rm", "--net=host", "busybox", "httpd", "-f", "-p", "8081")
    assert "Address already in use" in refusal


def test_container_mode_shares_address_ports_and_localhost(engine: Engine) -> None:
    engine.serve("web")
    joined = engine.docker("run", "--rm", "--net=container:web", "busybox", "ip", "addr", "show", "eth0")
    assert engine.address("web") in joined
    assert engine.docker("run", "--rm", "--net=container:web", "busybox", "timeout", "5", "wget", "-qO-", "127.0.0.1") == "web"
    refusal = engine.refused("run", "--rm", "--net=container:web", "busybox", "httpd", "-f", "-p", "80")
    assert "Address already in use" in refusal


def test_container_mode_shares_neither_files_nor_processes(engine: Engine) -> None:
    engine.serve("web")
    engine.docker("exec", "web", "touch", "/only-here")
    listing = engine.docker("run", "--rm", "--net=container:web", "busybox", "sh", "-c", "ls /; ps")
    assert "only-here" not in listing
    assert "httpd" not in listing


def test_none_has_only_lo(engine: Engine) -> None:
    assert links(engine.docker("run", "--rm", "--net=none", "busybox", "ip", "link")) == ["lo"]
    assert engine.docker("run", "--rm", "--net=none", "busybox", "ip", "route") == ""


def test_a_container_of_none_mode_can_be_wired_by_hand(engine: Engine) -> None:
    """What the note uses pipework for: the user builds the container's network."""
    engine.docker("run", "-d", "--name", "box", "--net=none", "busybox", "sleep", "100")
    pid = str(engine.inspect("box")["State"]["Pid"])
    engine.host.sh("ip", "link", "add", "byhand", "type", "veth", "peer", "name", "eth1", "netns", pid)
    engine.host.sh("ip", "addr", "add", "10.77.0.1/24", "dev", "byhand")
    engine.host.sh("ip", "link", "set", "byhand", "up")
    engine.host.sh("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "addr", "add", "10.77.0.2/24", "dev", "eth1")
    engine.host.sh("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "set", "eth1", "up")
    assert "1 packets received" in engine.docker("exec", "box", "ping", "-c", "1", "-W", "3", "10.77.0.1")
