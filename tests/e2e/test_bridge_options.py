"""What the options of bridge networks do on the host, by the real client."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host

pytestmark = pytest.mark.kernel

BRIDGE = "com.docker.network.bridge"
SECOND = "10.99.0.7"
"""Another address of the host's."""


@pytest.fixture
def create(engine: Engine) -> Iterator[Callable[..., str]]:
    """Makes the network `net` with options; returns its bridge."""

    def made(*flags: str, **options: str) -> str:
        given = [word for key, value in options.items() for word in ("-o", f"{key.replace('__', '.')}={value}")]
        engine.docker("network", "create", *flags, *given, "net")
        named = options.get("com__docker__network__bridge__name")
        return named or f"br-{engine.docker('network', 'inspect', '-f', '{{.Id}}', 'net')[:12]}"

    engine.host.sh("ip", "addr", "replace", f"{SECOND}/24", "dev", "eth0")
    yield made
    engine.remove_containers()
    engine.docker("network", "rm", "net")


def option(name: str, value: str) -> dict[str, str]:
    return {f"com__docker__network__{name.replace('.', '__')}": value}


def seen_outside(engine: Engine, neighbour: Host, name: str) -> str:
    """The address that a container has for the neighbour."""
    with neighbour.run(lambda: socket.create_server((OUTSIDE_ADDRESS, 9000))) as server:
        server.settimeout(5)
        with engine.inside(name).run(lambda: socket.create_connection((OUTSIDE_ADDRESS, 9000), 5)):
            accepted, caller = server.accept()
            accepted.close()
            return str(caller[0])


def own(engine: Engine, name: str) -> str:
    return str(engine.inspect(name)["NetworkSettings"]["Networks"]["net"]["IPAddress"])


def carried(host: Host, name: str) -> list[str]:
    found: list[dict[str, Any]] = json.loads(host.sh("ip", "-j", "-4", "addr", "show", name))
    return [f"{entry['local']}/{entry['prefixlen']}" for interface in found for entry in interface.get("addr_info", ())]


def test_host_binding_is_where_ports_are_published_that_name_no_address(
    engine: Engine, neighbour: Host, create: Callable[..., str]
) -> None:
    create("--ipv6", **option("bridge.host_binding_ipv4", HOST_ADDRESS))
    engine.serve("web", "--network", "net", "-p", "8080:80")
    assert engine.docker("port", "web") == f"80/tcp -> {HOST_ADDRESS}:8080"
    assert b"web" in neighbour.ask_http(HOST_ADDRESS, 8080)
    assert not neighbour.reaches(SECOND, 8080)


def test_host_ipv4_is_the_address_that_containers_have_outside(engine: Engine, neighbour: Host, create: Callable[..., str]) -> None:
    create(**option("host_ipv4", SECOND))
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sleep", "300")
    assert seen_outside(engine, neighbour, "box") == SECOND


def test_without_masquerading_containers_have_their_own(engine: Engine, neighbour: Host, create: Callable[..., str]) -> None:
    create("--subnet", "10.77.0.0/24", **option("bridge.enable_ip_masquerade", "false"))
    neighbour.sh("ip", "route", "replace", "10.77.0.0/24", "via", HOST_ADDRESS)
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sleep", "300")
    assert seen_outside(engine, neighbour, "box") == own(engine, "box")


@pytest.mark.parametrize(
    ("options", "open_ports"),
    [
        ({}, set()),
        (option("bridge.gateway_mode_ipv4", "routed"), {80}),
        (option("bridge.gateway_mode_ipv4", "nat-unprotected"), {80, 81}),
        (option("bridge.trusted_host_interfaces", "wlan0:eth0"), {80, 81}),
        (option("bridge.trusted_host_interfaces", "wlan0"), set()),
    ],
    ids=["nat", "routed", "nat-unprotected", "trusted", "another trusted"],
)
def test_what_of_a_container_is_reached_at_its_own_address(
    engine: Engine, neighbour: Host, create: Callable[..., str], options: dict[str, str], open_ports: set[int]
) -> None:
    create("--subnet", "10.77.0.0/24", **options)
    neighbour.sh("ip", "route", "replace", "10.77.0.0/24", "via", HOST_ADDRESS)
    script = "mkdir /www && httpd -p 81 -h /www && exec httpd -f -p 80 -h /www"
    engine.docker("run", "-d", "--name", "web", "--network", "net", "-p", "8080:80", "busybox", "sh", "-c", script)
    for port in (80, 81):
        engine.wait_listening("web", port)
    reached = {port for port in (80, 81) if answers(neighbour, own(engine, "web"), port)}
    assert reached == open_ports
    assert answers(neighbour, HOST_ADDRESS, 8080) == ("routed" not in options.values())


def answers(machine: Host, address: str, port: int) -> bool:
    def call() -> bool:
        try:
            socket.create_connection((address, port), 0.7).close()
        except OSError:
            return False
        return True

    return machine.run(call)


def test_inhibit_ipv4_leaves_the_bridge_without_an_address(engine: Engine, create: Callable[..., str]) -> None:
    bridge = create("--subnet", "10.77.0.0/24", **option("bridge.inhibit_ipv4", "true"))
    assert carried(engine.host, bridge) == []
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sleep", "300")
    assert "default via 10.77.0.1" in engine.docker("exec", "box", "ip", "route")
    assert engine.linkspan("doctor") == "Nothing is wrong."


def test_an_isolated_network_has_no_address_of_the_hosts_and_no_gateway(engine: Engine, create: Callable[..., str]) -> None:
    bridge = create("--internal", "--subnet", "10.77.0.0/24", **option("bridge.gateway_mode_ipv4", "isolated"))
    assert carried(engine.host, bridge) == []
    engine.serve("web", "--network", "net")
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sleep", "300")
    assert engine.page(f"http://{own(engine, 'web')}/", container="box") == "web"
    assert "default" not in engine.docker("exec", "box", "ip", "route")
    assert engine.linkspan("doctor") == "Nothing is wrong."


def test_without_icc_neighbours_reach_published_ports_alone(engine: Engine, create: Callable[..., str]) -> None:
    create(**option("bridge.enable_icc", "false"))
    engine.serve("web", "--network", "net", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sleep", "300")
    assert engine.page(f"http://{HOST_ADDRESS}:8080/", container="box") == "web"
    with pytest.raises(OSError, match=r"timed out|unreachable|No route"):
        engine.inside("box").run(lambda: socket.create_connection((own(engine, "web"), 80), 1))


def test_an_existing_bridge_is_used_and_stays(engine: Engine, neighbour: Host, create: Callable[..., str]) -> None:
    host = engine.host
    host.sh("ip", "link", "add", "theirs", "mtu", "1400", "type", "bridge")
    host.sh("ip", "addr", "add", "192.0.2.1/24", "dev", "theirs")
    create("--subnet", "10.77.0.0/24", **option("bridge.name", "theirs"))
    engine.serve("web", "--network", "net", "-p", "8080:80")
    assert b"web" in neighbour.ask_http(HOST_ADDRESS, 8080)
    assert set(carried(host, "theirs")) == {"192.0.2.1/24", "10.77.0.1/24"}
    engine.remove_containers()
    engine.docker("network", "rm", "net")
    assert "192.0.2.1/24" in carried(host, "theirs")
    host.sh("ip", "link", "del", "theirs")
    engine.docker("network", "create", "net")  # for the fixture
