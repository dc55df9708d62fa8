"""Published ports: every form of -p, who may reach them, and who holds them."""

import socket
from collections.abc import Callable

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel


def ports(engine: Engine, name: str) -> list[str]:
    return engine.docker("port", name).splitlines()


def test_a_published_port_works_from_everywhere(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert b"web" in neighbour.ask_http(HOST_ADDRESS, 8080)
    for url in ("http://127.0.0.1:8080/", f"http://{HOST_ADDRESS}:8080/", "http://172.17.0.1:8080/"):
        assert engine.page(url) == "web", f"from the host: {url}"
    for url in (f"http://{HOST_ADDRESS}:8080/", "http://172.17.0.1:8080/"):
        assert engine.page(url, container="box") == "web", f"from another container: {url}"
        assert engine.page(url, container="web") == "web", f"from the container itself: {url}"


def test_the_source_address_is_kept(engine: Engine, neighbour: Host) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-vv")
    engine.wait_listening("web", 80)
    neighbour.ask_http(HOST_ADDRESS, 8080)
    until(lambda: OUTSIDE_ADDRESS in engine.try_docker("logs", "web").err, what="the server logs the caller")


def test_a_port_published_on_loopback_is_unreachable_for_everybody_else(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "-p", "127.0.0.1:8080:80")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert engine.page("http://127.0.0.1:8080/") == "web"
    assert not neighbour.reaches(HOST_ADDRESS, 8080)
    neighbour.sh("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    neighbour.sh("ip", "route", "add", "table", "7", "127.0.0.1", "via", HOST_ADDRESS)
    neighbour.sh("ip", "rule", "add", "pref", "0", "to", "127.0.0.1", "dport", "8080", "lookup", "7")
    neighbour.sh("ip", "rule", "del", "pref", "0", "lookup", "local")
    neighbour.sh("ip", "rule", "add", "pref", "1", "lookup", "local")
    try:
        assert not neighbour.reaches("127.0.0.1", 8080)
    finally:
        neighbour.sh("ip", "rule", "del", "pref", "0")
        neighbour.sh("ip", "rule", "del", "pref", "1")
        neighbour.sh("ip", "rule", "add", "pref", "0", "lookup", "local")
        neighbour.sh("ip", "route", "flush", "table", "7")
    done = engine.try_docker("exec", "box", "timeout", "2", "wget", "-qO-", f"http://{HOST_ADDRESS}:8080/")
    assert done.status != 0


def test_a_neighbour_reaches_no_unpublished_port_by_routing(engine: Engine, neighbour: Host) -> None:
    engine.serve("web", "-p", "127.0.0.1:8080:80")
    neighbour.sh("ip", "route", "add", "172.17.0.0/16", "via", HOST_ADDRESS)
    try:
        assert not neighbour.reaches(engine.address("web"), 80)
    finally:
        neighbour.sh("ip", "route", "del", "172.17.0.0/16")


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("8080:80", "80/tcp -> 0.0.0.0:8080"),
        ("8080:80/udp", "80/udp -> 0.0.0.0:8080"),
        ("127.0.0.1:8080:80", "80/tcp -> 127.0.0.1:8080"),
        (f"{HOST_ADDRESS}:8080:80", f"80/tcp -> {HOST_ADDRESS}:8080"),
        ("published=8080,target=80", "80/tcp -> 0.0.0.0:8080"),
        ("8000-8010:80", "80/tcp -> 0.0.0.0:8000"),
    ],
)
def test_forms_of_publish(engine: Engine, spec: str, shown: str) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", spec, "busybox", "sleep", "100")
    assert ports(engine, "web") == [shown]


@pytest.mark.parametrize("spec", ["80", "127.0.0.1::80", "0:80"])
def test_a_port_without_a_number_is_chosen(engine: Engine, spec: str) -> None:
    engine.serve("web", "-p", spec)
    (shown,) = ports(engine, "web")
    number = int(shown.rpartition(":")[2])
    assert number > 1024
    assert engine.page(f"http://127.0.0.1:{number}/") == "web"


def test_a_range_is_published_pairwise(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8000-8002:9000-9002", "busybox", "sleep", "100")
    assert sorted(ports(engine, "web")) == [f"{9000 + i}/tcp -> 0.0.0.0:{8000 + i}" for i in range(3)]


def test_publish_all_takes_every_exposed_port(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "53/udp", "busybox", "sleep", "100")
    assert sorted(line.partition(" ")[0] for line in ports(engine, "web")) == ["53/udp", "80/tcp"]


def test_udp_is_published_too(engine: Engine, neighbour: Host) -> None:
    engine.docker("run", "-d", "--name", "clock", "-p", "8080:80/udp", "busybox", "sleep", "100")
    with engine.inside("clock").answering("0.0.0.0", 80, b"hello", "udp"):
        assert neighbour.ask(HOST_ADDRESS, 8080, "udp") == b"hello"
        assert engine.host.ask("127.0.0.1", 8080, "udp") == b"hello"


def test_a_caller_by_udp_reaches_the_container_of_today(engine: Engine, neighbour: Host) -> None:
    """The kernel remembers where a conversation went: also to nobody, before there was a container, and to one that is gone."""

    def call(caller: socket.socket) -> bytes:
        caller.sendto(b"?", (HOST_ADDRESS, 8080))
        try:
            return caller.recv(10)
        except OSError:  # nobody answers, or an ICMP message says so
            return b""

    with neighbour.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as caller:
        caller.settimeout(0.2)
        assert call(caller) == b""
        for name in ("first", "second"):
            engine.docker("run", "-d", "--name", name, "-p", "8080:80/udp", "busybox", "sleep", "100")
            with engine.inside(name).answering("0.0.0.0", 80, name.encode(), "udp"):
                caller.settimeout(5)
                assert call(caller) == name.encode()
                assert call(caller) == name.encode()
            engine.docker("rm", "-f", name)
        caller.settimeout(0.2)
        assert call(caller) == b""


def test_a_port_of_a_process_is_refused_and_the_process_named(engine: Engine) -> None:
    server = engine.host.spawn("busybox", "httpd", "-f", "-p", "8080")
    until(lambda: ":8080" in engine.host.sh("ss", "-Htln"))
    refusal = engine.refused("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "100")
    assert f"failed to bind host port 0.0.0.0:8080/tcp: address already in use (by busybox (pid {server.pid}))" in refusal
    assert engine.inspect("web")["State"]["Status"] == "created"
    server.kill()
    server.wait()
    engine.docker("start", "web")


def test_a_published_port_stays_reserved(engine: Engine) -> None:
    engine.serve("web", "-p", "8080:80")
    with pytest.raises(OSError, match="Address already in use"), engine.host.answering("0.0.0.0", 8080, b"thief"):
        pass
    with pytest.raises(OSError, match="Address already in use"), engine.host.answering("127.0.0.1", 8080, b"thief"):
        pass
    engine.docker("stop", "-t", "0", "web")
    with engine.host.answering("0.0.0.0", 8080, b"now"):
        pass


def test_a_stopped_containers_port_can_be_taken_at_once(engine: Engine) -> None:
    engine.serve("first", "-p", "8080:80")
    engine.docker("kill", "first")
    engine.serve("second", "-p", "8080:80")
    assert engine.page("http://127.0.0.1:8080/") == "second"


def test_any_and_one_address_clash_both_ways(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "one", "-p", "127.0.0.1:8080:80", "busybox", "sleep", "100")
    text = "Bind for 0.0.0.0:8080 failed: port is already allocated"
    assert text in engine.refused("run", "-d", "-p", "8080:80", "busybox", "sleep", "100")
    engine.docker("run", "-d", "-p", "8080:80/udp", "busybox", "sleep", "100")
    engine.docker("run", "-d", "-p", f"{HOST_ADDRESS}:8080:80", "busybox", "sleep", "100")


def test_an_address_that_the_host_lacks_is_refused(engine: Engine) -> None:
    refusal = engine.refused("run", "-d", "-p", "192.0.2.1:8080:80", "busybox", "sleep", "100")
    assert "cannot assign requested address" in refusal


def test_an_ipv6_address_for_a_container_without_ipv6_gets_a_clear_word(engine: Engine) -> None:
    words = "cannot publish 80/tcp on ::1: the container has no IPv6 address to lead it to"
    assert words in engine.refused("run", "-d", "-p", "[::1]:8080:80", "busybox", "sleep", "100")
    assert words in engine.try_linkspan("run", "-d", "-p", "::1:8080:80", "busybox", "sleep", "100").err


def test_a_thousand_ports_in_one_container(engine: Engine) -> None:
    engine.serve("web", "-p", "20000-20999:8000-8999", port=8500)
    assert engine.page("http://127.0.0.1:20500/") == "web"
    assert len(ports(engine, "web")) == 1000


def test_the_daemons_ip_is_the_default_address(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--ip", "127.0.0.1")
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "100")
    assert ports(engine, "web") == ["80/tcp -> 127.0.0.1:8080"]
