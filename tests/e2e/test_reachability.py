"""What cannot be reached: containers from elsewhere but by published ports, and the host's loopback from containers.

Real packets, written by hand; the interface that must not see them is watched until a last, allowed one arrives there.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engines import Engine
from tests.frames import IPV4, arriving, frame, icmp, packet, sending, tcp, udp
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, join

pytestmark = pytest.mark.kernel

SYN, SYN_ACK, ACK, RST = 0x02, 0x12, 0x10, 0x04
BRIDGE = "172.17.0.1"
OTHER = ("192.168.50.1", "192.168.50.2")
"""Addresses of the host and of somebody on another bridge of it."""


def mac_of(host: Host, interface: str) -> str:
    return str(json.loads(host.sh("ip", "-j", "link", "show", interface))[0]["address"])


class Stranger:
    """Somebody from whose interface packets come to the host: `own` is its address, `host` that of the host there."""

    def __init__(self, machine: Host, engine: Engine, interface: str, addresses: tuple[str, str]) -> None:
        self.machine = machine
        self.host, self.own = addresses
        self._macs = mac_of(engine.host, interface), mac_of(machine, "eth0")

    def frames(self, packets: list[bytes]) -> list[bytes]:
        return [frame(*self._macs, IPV4, each) for each in packets]


@pytest.fixture(params=["a neighbour of the host", "somebody on another bridge of the host"])
def stranger(request: pytest.FixtureRequest, engine: Engine, neighbour: Host, tmp_path: Path) -> Iterator[Stranger]:
    if request.param == "a neighbour of the host":
        yield Stranger(neighbour, engine, "eth0", (HOST_ADDRESS, OUTSIDE_ADDRESS))
        return
    host = engine.host
    with Host(tmp_path / "other.net") as other:
        join(host, other, left_address=f"{OTHER[0]}/24", right_address=f"{OTHER[1]}/24", interface="port9")
        other.sh("ip", "link", "set", "port9", "name", "eth0")
        host.sh("ip", "addr", "flush", "dev", "port9")
        host.sh("ip", "link", "add", "br9", "up", "type", "bridge")
        host.sh("ip", "link", "set", "port9", "master", "br9")
        host.sh("ip", "addr", "add", f"{OTHER[0]}/24", "dev", "br9")
        try:
            yield Stranger(other, engine, "br9", OTHER)
        finally:
            host.sh("ip", "link", "del", "br9")


def intrusions(stranger: Stranger, target: str, port: int) -> Mapping[str, Callable[[bytes], bytes]]:
    """Packets to a container's own address, by name; each carries a token."""
    way = (stranger.own, target)
    return {
        "UDP": lambda token: udp(*way, token, (7, port)),
        "a connection": lambda token: tcp((7, port), SYN, way, token),
        "an answer": lambda token: tcp((80, port), SYN_ACK, way, token),
        "the middle of a connection": lambda token: tcp((7, port), ACK, way, token),
        "a reset": lambda token: tcp((7, port), RST, way, token),
        "a segment with no sense": lambda token: tcp((7, port), 0x3F, way, token),
        "ping": lambda token: icmp(way, 8, 0, token),
        "a ping's answer": lambda token: icmp(way, 0, 0, token),
        "an error about nothing": lambda token: icmp(way, 3, 4, udp(target, stranger.own, token)),
        "a redirect": lambda token: icmp(way, 5, 1, tcp((port, 7), ACK, (target, stranger.own), token)),
        "another protocol": lambda token: packet(*way, 47, token),
        "a fragment": lambda token: fragment(packet(*way, 17, token)),
        "in another container's name": lambda token: udp("172.17.0.200", target, token, (7, port)),
        "in the bridge's name": lambda token: udp(BRIDGE, target, token, (7, port)),
        "from 127.0.0.1": lambda token: udp("127.0.0.1", target, token, (7, port)),
        "to 127.0.0.1": lambda token: tcp((7, 8080), SYN, (stranger.own, "127.0.0.1"), token),
        "to a port published on loopback": lambda token: tcp((7, 8080), SYN, (stranger.own, stranger.host), token),
        "to the bridge's address": lambda token: tcp((7, 8080), SYN, (stranger.own, BRIDGE), token),
    }


def fragment(whole: bytes) -> bytes:
    """The packet as the second part of a larger one."""
    head = whole[:6] + b"\x00\x10" + whole[8:10] + b"\0\0" + whole[12:20]
    total = sum(int.from_bytes(head[place : place + 2]) for place in range(0, 20, 2))
    return head[:10] + (~(total % 0xFFFF) & 0xFFFF).to_bytes(2) + head[12:] + whole[20:]


def test_only_published_ports_are_reached_from_elsewhere(engine: Engine, stranger: Stranger) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "127.0.0.1:8080:80", "-p", "7000:7000/udp", "busybox", "sleep", "300")
    made = intrusions(stranger, engine.address("web"), 80)
    tokens = {name: os.urandom(12) for name in made}
    last = os.urandom(12)
    packets = [make(tokens[name]) for name, make in made.items()] + [udp(stranger.own, stranger.host, last, (7, 7000))]
    send = sending(stranger.machine, stranger.frames(packets))
    assert arriving(engine.inside("web"), send, tokens, last) == set()


def test_an_open_connection_is_no_way_in(engine: Engine, neighbour: Host) -> None:
    """A container talks to the neighbour, the host to a published port: whoever knows their ports still cannot join in."""
    stranger = Stranger(neighbour, engine, "eth0", (HOST_ADDRESS, OUTSIDE_ADDRESS))
    engine.serve("web", "-p", "127.0.0.1:8080:80", "-p", "7000:7000/udp")
    web, inside = engine.address("web"), engine.inside("web")
    with (
        neighbour.answering("0.0.0.0", 9000, b"hello"),
        inside.run(lambda: socket.create_connection((OUTSIDE_ADDRESS, 9000), 5)) as talking,
        engine.host.run(lambda: socket.create_connection(("127.0.0.1", 8080), 5)) as called,
    ):
        assert talking.recv(10) == b"hello"
        own, caller = talking.getsockname()[1], called.getsockname()[1]
        made = {
            "its own connection": tcp((9000, own), ACK, (OUTSIDE_ADDRESS, web), b"token-1"),
            "its own connection, reset": tcp((9000, own), RST, (OUTSIDE_ADDRESS, web), b"token-2"),
            "the host's connection": tcp((caller, 80), ACK, (OUTSIDE_ADDRESS, web), b"token-3"),
            "an error about it": icmp((OUTSIDE_ADDRESS, web), 3, 1, tcp((80, caller), ACK, (web, OUTSIDE_ADDRESS), b"token-4")),
        }
        tokens = {name: f"token-{number}".encode() for number, name in enumerate(made, 1)}
        packets = [*made.values(), udp(OUTSIDE_ADDRESS, HOST_ADDRESS, b"last-token", (7, 7000))]
        assert arriving(inside, sending(neighbour, stranger.frames(packets)), tokens, b"last-token") == set()


def heard_on_the_host(engine: Engine, name: str, packets: list[bytes], last: bytes) -> list[bytes]:
    """Send packets from a container to the host; return what a server on every address of the host hears up to `last`."""
    own = str(engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["MacAddress"])
    frames = [frame(mac_of(engine.host, "docker0"), own, IPV4, each) for each in packets]

    def listen() -> list[bytes]:
        heard: list[bytes] = []
        deadline = time.monotonic() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("0.0.0.0", 9999))
            server.settimeout(10)
            sending(engine.inside(name), frames)()
            while last not in heard:
                assert time.monotonic() < deadline, "the last packet did not arrive"
                heard.append(server.recv(100))
        return heard

    return engine.host.run(listen)


def test_a_container_reaches_nothing_on_the_hosts_loopback(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--repair=false")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "300")
    own = engine.address("box")
    ports = (9, 9999)
    packets = [udp(source, target, b"evil", ports) for source in (own, "127.0.0.1", BRIDGE) for target in ("127.0.0.1", "127.9.9.9")]
    packets.append(udp(own, BRIDGE, b"last", ports))
    assert heard_on_the_host(engine, "box", packets, b"last") == [b"last"]
    engine.host.sh("nft", "flush", "chain", "inet", "linkspan", "loopback-guard")
    heard = heard_on_the_host(engine, "box", packets, b"last")
    assert heard == [b"evil", b"evil", b"last"], "without the chain they arrive, so that this test could see them"


def test_a_container_reaches_no_port_published_on_loopback(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "127.0.0.1:8080:80", "-p", "127.0.0.1:8080:80/udp", "busybox", "sleep", "300")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "300")
    (own, ip), (web, web_ip) = (
        (found["MacAddress"], found["IPAddress"])
        for found in (engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"] for name in ("box", "web"))
    )
    targets = ("127.0.0.1", BRIDGE, HOST_ADDRESS)
    tokens = {f"{kind} to {target}": os.urandom(12) for kind in ("UDP", "TCP") for target in targets}
    packets = [udp(ip, target, tokens[f"UDP to {target}"], (9, 8080)) for target in targets]
    packets += [tcp((9, 8080), SYN, (ip, target), tokens[f"TCP to {target}"]) for target in targets]
    frames = [frame(mac_of(engine.host, "docker0"), own, IPV4, each) for each in packets]
    frames.append(frame(web, own, IPV4, udp(ip, web_ip, b"last-token")))
    assert arriving(engine.inside("web"), sending(engine.inside("box"), frames), tokens, b"last-token") == set()


def test_udp_that_was_answered_once_stays_one_conversation(engine: Engine, neighbour: Host) -> None:
    """What the neighbour may send back on a container's UDP conversation does not open other ports of the container."""
    engine.docker("run", "-d", "--name", "box", "-p", "7000:7000/udp", "busybox", "sleep", "300")
    inside, box = engine.inside("box"), engine.address("box")
    with neighbour.answering("0.0.0.0", 9001, b"hello", "udp"), inside.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as own:
        own.settimeout(5)
        own.sendto(b"?", (OUTSIDE_ADDRESS, 9001))
        assert own.recv(10) == b"hello"
        port = own.getsockname()[1]
        stranger = Stranger(neighbour, engine, "eth0", (HOST_ADDRESS, OUTSIDE_ADDRESS))
        packets = [
            udp(OUTSIDE_ADDRESS, HOST_ADDRESS, b"token-1", (9001, port + 1)),
            udp(OUTSIDE_ADDRESS, HOST_ADDRESS, b"token-2", (9002, port)),
            udp(OUTSIDE_ADDRESS, box, b"token-3", (9001, port)),
            udp(OUTSIDE_ADDRESS, HOST_ADDRESS, b"last-token", (7, 7000)),
        ]
        tokens = {name: name.encode() for name in ("token-1", "token-2", "token-3")}
        assert arriving(inside, sending(neighbour, stranger.frames(packets)), tokens, b"last-token") == set()
