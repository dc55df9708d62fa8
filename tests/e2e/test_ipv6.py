"""IPv6 by the real client: two families on one network, published ports in both, routed mode, what the host keeps."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host, join, until

pytestmark = pytest.mark.kernel

HOST6, OUTSIDE6 = "fd99::1", "fd99::2"
BRIDGED = "net.bridge.bridge-nf-call-ip6tables"
GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"


def page(machine: Host, address: str, port: int = 8080, timeout: float = 5) -> str:
    """What a web server answers, the last line of it; empty if nobody does."""

    def call() -> str:
        try:
            with socket.create_connection((address, port), timeout) as caller:
                caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                while part := caller.recv(4096):
                    answer += part
                return answer.decode().split()[-1]
        except OSError:
            return ""

    return machine.run(call)


@contextmanager
def holding(host: Host, address: str, port: int) -> Iterator[None]:
    """Some other program has the port."""
    server = host.run(lambda: socket.create_server((address, port), family=socket.AF_INET6))
    with server:
        yield


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Host]]:
    """A host with both families, a neighbour, and an engine with the networks of these tests."""
    folder = tmp_path_factory.mktemp("m")
    with Host(folder / "host.net") as host, Host(folder / "outside.net") as neighbour:
        join(host, neighbour)
        for each, address in ((host, HOST6), (neighbour, OUTSIDE6)):
            each.sh("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        neighbour.sh("ip", "route", "add", "fd00:5::/64", "via", HOST6)
        host.sh("sysctl", "-qw", f"{BRIDGED}=0")
        with Engine(host, folder / "e") as engine:
            engine.docker("network", "create", "--ipv6", "both")
            six = ("--ipv6", "--subnet", "fd00:5::/64")
            engine.docker("network", "create", *six, "-o", f"{GATEWAY_MODE}6=routed", "routed")
            engine.docker("network", "create", "--ipv6", "-o", "com.docker.network.enable_ipv4=false", "six")
            engine.docker("network", "create", "--ipv6", "--internal", "inner")
            yield engine, neighbour


def address6(engine: Engine, name: str) -> str:
    (network,) = engine.inspect(name)["NetworkSettings"]["Networks"].values()
    return str(network["GlobalIPv6Address"])


def bindings(engine: Engine, name: str, port: str = "80/tcp") -> list[tuple[str, str]]:
    return [(entry["HostIp"], entry["HostPort"]) for entry in engine.inspect(name)["NetworkSettings"]["Ports"][port]]


def test_a_port_is_published_in_both_families_under_one_number(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "both", "-p", "8080:80", "-p", "80")
    assert bindings(engine, "web")[0] == ("0.0.0.0", "8080")
    numbers = {number for _, number in bindings(engine, "web")}
    assert len(numbers) == 2
    assert sorted(bindings(engine, "web")) == sorted((host, number) for host in ("0.0.0.0", "::") for number in numbers)
    assert len(engine.docker("port", "web", "80/tcp").splitlines()) == 4
    assert "8080->80/tcp" in engine.docker("ps", "--format", "{{.Ports}}")
    for number in map(int, numbers):
        assert page(neighbour, HOST_ADDRESS, number) == page(neighbour, HOST6, number) == "web"
    assert [page(engine.host, address) for address in ("127.0.0.1", "::1", HOST6)] == ["web"] * 3


def test_a_port_of_one_address_answers_there_alone(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "both", "-p", f"[{HOST6}]:8081:80", "-p", "[::1]:8082:80", "-p", f"{HOST_ADDRESS}:8083:80")
    assert bindings(engine, "web") == [(HOST_ADDRESS, "8083"), ("::1", "8082"), (HOST6, "8081")]
    assert page(neighbour, HOST6, 8081) == "web"
    assert page(engine.host, "::1", 8082) == "web"
    assert page(neighbour, HOST6, 8082, timeout=0.5) == page(neighbour, HOST6, 8083, timeout=0.5) == ""


def test_ports_are_held_and_others_are_noticed_in_ipv6_too(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "--network", "both", "-p", "8080:80", "busybox", "sleep", "300")
    with pytest.raises(OSError, match="in use"), holding(engine.host, "::", 8080):
        pass
    with holding(engine.host, HOST6, 8090):
        refusal = engine.refused("run", "-d", "--network", "both", "-p", "8090:80", "busybox", "sleep", "300")
        assert "failed to bind host port [::]:8090/tcp: address already in use" in refusal
        assert "(pid " in refusal
        engine.docker("run", "-d", "--network", "both", "-p", "0.0.0.0:8090:80", "busybox", "sleep", "300")
    refusal = engine.refused("run", "-d", "--network", "both", "-p", "[::1]:8080:80", "busybox", "sleep", "300")
    assert "Bind for [::1]:8080 failed: port is already allocated (by container web)" in refusal


def test_containers_reach_the_outside_in_the_hosts_name(engine: Engine, neighbour: Host) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "both", "busybox", "sleep", "300")
    engine.docker("run", "-d", "--name", "locked", "--network", "inner", "busybox", "sleep", "300")
    with neighbour.run(lambda: socket.create_server(("::", 9000), family=socket.AF_INET6)) as server:
        server.settimeout(5)
        with engine.inside("box").run(lambda: socket.create_connection((OUTSIDE6, 9000), 5)):
            accepted, caller = server.accept()
            accepted.close()
            assert caller[0] == HOST6
        with pytest.raises(OSError, match="unreachable"):
            engine.inside("locked").run(lambda: socket.create_connection((OUTSIDE6, 9000), 5))


def test_neighbours_of_one_network_reach_each_other_and_published_ports(engine: Engine) -> None:
    engine.serve("web", "--network", "both", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "box", "--network", "both", "busybox", "sleep", "300")
    for url in (f"http://[{address6(engine, 'web')}]/", f"http://[{HOST6}]:8080/"):
        assert engine.page(url, container="box") == "web"


def test_a_routed_network_opens_its_published_ports_at_the_containers_address(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "routed", "-p", "8080:80", "--expose", "81")
    own = address6(engine, "web")
    assert bindings(engine, "web") == [("0.0.0.0", "8080"), ("::", "")]
    assert page(neighbour, own, 80) == "web"
    assert page(neighbour, HOST_ADDRESS) == "web"
    assert page(neighbour, own, 81, timeout=0.5) == page(neighbour, HOST6, timeout=0.5) == ""
    neighbour.sh("busybox", "ping", "-6", "-c1", "-W5", own)
    with holding(engine.host, "::", 8080):
        pass  # nothing of the host's is taken


def test_a_network_of_ipv6_alone(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "six", "-p", "8080:80")
    assert bindings(engine, "web") == [("::", "8080")]
    assert page(neighbour, HOST6) == "web"
    assert "the container has no IPv4 address to lead it to" in engine.refused(
        "run", "--rm", "--network", "six", "-p", "127.0.0.1:8081:80", "busybox", "true"
    )


def test_an_internal_network_publishes_nothing_and_says_nothing(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "inner", "-p", "8080:80")
    assert page(engine.host, address6(engine, "web"), 80) == "web"
    assert page(neighbour, HOST6, timeout=0.5) == page(neighbour, HOST_ADDRESS, timeout=0.5) == ""


def test_a_killed_engine_leaves_ports_open_and_the_next_one_takes_them_over(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "--network", "both", "-p", "8080:80")
    engine.kill()
    assert page(neighbour, HOST6) == "web"
    engine.start()
    assert page(neighbour, HOST6) == page(neighbour, HOST_ADDRESS) == "web"
    engine.docker("rm", "-f", "web")
    assert page(neighbour, HOST6, timeout=0.5) == ""


BREAKS: dict[str, Callable[[Engine, str], None]] = {
    "the ruleset flushed": lambda engine, _: _sh(engine, "nft", "flush", "ruleset"),
    "a map flushed": lambda engine, _: _sh(engine, "nft", "flush", "map", "inet", "linkspan", "published6-anywhere"),
    "the owners flushed": lambda engine, _: _sh(engine, "nft", "flush", "set", "bridge", "linkspan", "owners6"),
    "the bridge's address removed": lambda engine, bridge: _sh(engine, "ip", "-6", "addr", "flush", "dev", bridge, "scope", "global"),
    "the route removed": lambda engine, bridge: _sh(engine, "ip", "-6", "route", "flush", "root", "fd00::/8", "dev", bridge),
    "the bridge down and up": lambda engine, bridge: _sh(engine, "ip", "link", "set", bridge, "down"),
    "forwarding off": lambda engine, _: _sh(engine, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=0"),
    "IPv6 switched off on the bridge": lambda engine, bridge: _sh(engine, "sysctl", "-qw", f"net.ipv6.conf.{bridge}.disable_ipv6=1"),
}


def _sh(engine: Engine, *command: str) -> None:
    engine.host.sh(*command)


@pytest.mark.parametrize("broken", BREAKS)
def test_what_others_break_is_mended(engine: Engine, neighbour: Host, broken: str) -> None:
    engine.serve("web", "--network", "both", "-p", "8080:80")
    bridge = f"br-{engine.docker('network', 'inspect', '-f', '{{.Id}}', 'both')[:12]}"
    assert page(neighbour, HOST6) == "web"
    BREAKS[broken](engine, bridge)
    until(lambda: page(neighbour, HOST6, timeout=0.5) == "web", within=20, what="it is mended")
    until(lambda: page(engine.host, "::1", timeout=0.5) == "web", what="the host's loopback too")
    assert engine.linkspan("doctor") == "Nothing is wrong."


def test_forwarding_of_ipv6_comes_with_the_first_network_that_needs_it(host: Host, new_engine: Callable[..., Engine]) -> None:
    key = "net.ipv6.conf.all.forwarding"
    host.sh("sysctl", "-qw", f"{key}=0")
    engine = new_engine()
    assert host.sh("sysctl", "-n", key) == "0\n"
    engine.docker("network", "create", "--ipv6", "both")
    assert host.sh("sysctl", "-n", key) == "1\n"
    assert json.loads(engine.docker("network", "inspect", "both"))[0]["EnableIPv6"] is True


def test_br_netfilter_in_the_way(engine: Engine, neighbour: Host) -> None:
    """Where bridged packets meet the rules, all is the same but for ::1."""
    engine.host.sh("sysctl", "-qw", f"{BRIDGED}=1", "net.bridge.bridge-nf-call-iptables=1")
    try:
        engine.serve("web", "--network", "both", "-p", "8080:80")
        assert page(neighbour, HOST6) == page(engine.host, HOST6) == page(engine.host, "127.0.0.1") == "web"
        assert engine.page(f"http://[{HOST6}]:8080/", container="web") == "web"
    finally:
        engine.host.sh("sysctl", "-qw", f"{BRIDGED}=0", "net.bridge.bridge-nf-call-iptables=0")
