"""A container cannot take another's MAC or address on its bridge: real frames, written by hand in its namespace."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from linkspan.config import load
from linkspan.engine.engine import UNGUARDED, open_engine
from linkspan.engine.purge import purge
from linkspan.engine.requests import CreateRequest
from linkspan.kernel import nft
from linkspan.model.container import NetworkConfig, NetworkMode
from tests.engines import Engine
from tests.frames import ARP, BROADCAST, IPV4, IPV6, QINQ, UNKNOWN, VLAN, arp, arriving, frame, sending, udp
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel

GATEWAY = "172.17.0.1"
STRANGER = "02:00:00:00:00:99"
ALLOWED = "anti-spoofing=false"


@pytest.fixture(params=["0", "1"], ids=["br_netfilter off", "br_netfilter on"])
def bridged(host: Host, request: pytest.FixtureRequest) -> None:
    """Whether frames between two ports of a bridge meet the ruleset as well."""
    host.sh("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={request.param}")


class Bridge:
    """A forger, its victim, and a bystander who is impersonated, all on one bridge."""

    def __init__(self, engine: Engine, *flags: str) -> None:
        self.engine = engine
        engine.docker("run", "-d", "--name", "forger", "--privileged", *flags, "busybox", "sleep", "300")
        for name in ("victim", "bystander"):
            engine.docker("run", "-d", "--name", name, "busybox", "sleep", "300")
        self.forger, self.victim, self.bystander = map(self._identity, ("forger", "victim", "bystander"))

    def _identity(self, name: str) -> tuple[str, str]:
        found = self.engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]
        return found["MacAddress"], found["IPAddress"]

    def forgeries(self) -> dict[str, Callable[[bytes], bytes]]:
        """By name, what makes a forged frame that carries a token."""
        (own, ip), (victim, victim_ip), (other, other_ip) = self.forger, self.victim, self.bystander
        honest = udp(ip, victim_ip)
        return {
            "somebody's MAC": lambda token: frame(victim, other, IPV4, udp(ip, victim_ip, token)),
            "nobody's MAC": lambda token: frame(victim, STRANGER, IPV4, udp(ip, victim_ip, token)),
            "somebody's address": lambda token: frame(victim, own, IPV4, udp(other_ip, victim_ip, token)),
            "somebody's MAC and address": lambda token: frame(victim, other, IPV4, udp(other_ip, victim_ip, token)),
            "the gateway's address": lambda token: frame(victim, own, IPV4, udp(GATEWAY, victim_ip, token)),
            "an address of the outside": lambda token: frame(victim, own, IPV4, udp("192.0.2.1", victim_ip, token)),
            "no address": lambda token: frame(BROADCAST, own, IPV4, udp("0.0.0.0", "255.255.255.255", token)),
            "ARP answer with somebody's address": lambda token: frame(
                victim, own, ARP, arp(2, (own, other_ip), (victim, victim_ip)) + token
            ),
            "ARP answer with the gateway's address": lambda token: frame(
                victim, own, ARP, arp(2, (own, GATEWAY), (victim, victim_ip)) + token
            ),
            "ARP answer with somebody's MAC": lambda token: frame(victim, own, ARP, arp(2, (other, ip), (victim, victim_ip)) + token),
            "ARP request with somebody's address": lambda token: frame(
                BROADCAST, own, ARP, arp(1, (own, other_ip), (BROADCAST, victim_ip)) + token
            ),
            "ARP in a frame of somebody's MAC": lambda token: frame(victim, other, ARP, arp(2, (own, ip), (victim, victim_ip)) + token),
            "ARP of other sizes": lambda token: frame(
                victim, own, ARP, arp(2, (own, ip), (victim, victim_ip), sizes=(1, IPV4, 8, 4)) + token
            ),
            "IPv6": lambda token: frame("33:33:00:00:00:01", own, IPV6, b"\x60" + bytes(39) + token),
            "somebody's address in a VLAN": lambda token: frame(
                victim, own, VLAN, b"\0\5" + IPV4.to_bytes(2) + udp(other_ip, victim_ip, token)
            ),
            "a VLAN": lambda token: frame(victim, own, VLAN, b"\0\5" + IPV4.to_bytes(2) + udp(ip, victim_ip, token)),
            "a VLAN in a VLAN": lambda token: frame(
                victim, own, QINQ, b"\0\5" + VLAN.to_bytes(2) + b"\0\6" + IPV4.to_bytes(2) + honest + token
            ),
            "spanning tree": lambda token: frame("01:80:c2:00:00:00", own, 38, b"\x42\x42\x03" + bytes(35) + token),
            "another protocol": lambda token: frame(victim, own, UNKNOWN, token),
            "a packet that ends early": lambda token: frame(victim, own, IPV4, token),
        }

    def arrived(self) -> set[str]:
        """Send every forgery from the forger; return the names of those that the victim's interface saw."""
        forgeries = self.forgeries()
        tokens = {name: os.urandom(12) for name in forgeries}
        last = os.urandom(12)
        (own, ip), (victim, victim_ip) = self.forger, self.victim
        frames = [make(tokens[name]) for name, make in forgeries.items()] + [frame(victim, own, IPV4, udp(ip, victim_ip, last))]
        return arriving(self.engine.inside("victim"), sending(self.engine.inside("forger"), frames), tokens, last)


@pytest.mark.usefixtures("bridged")
def test_no_forged_frame_arrives(new_engine: Callable[..., Engine]) -> None:
    bridge = Bridge(new_engine())
    assert bridge.arrived() == set()
    known = bridge.engine.docker("exec", "victim", "cat", "/proc/net/arp").splitlines()[1:]
    assert {line.split()[0] for line in known if bridge.forger[0] in line} <= {bridge.forger[1]}


def test_what_is_allowed_to_forge_is_seen(new_engine: Callable[..., Engine]) -> None:
    """The counter-test of the one above: without the guard, the victim's interface sees these frames."""
    bridge = Bridge(new_engine(), "--security-opt", ALLOWED)
    missing = set(bridge.forgeries()) - bridge.arrived()
    assert missing <= {"a packet that ends early", "IPv6"}  # br_netfilter drops them, where it is on: they are no right packets


def test_the_bridge_learns_nothing_from_forged_frames(new_engine: Callable[..., Engine]) -> None:
    """Frames to 01:80:c2:00:00:0x go another way through the bridge, which learns their sender's place as well."""
    bridge = Bridge(new_engine())
    (own, ip), (victim, victim_ip), (other, _) = bridge.forger, bridge.victim, bridge.bystander
    last = os.urandom(12)
    frames = [frame(f"01:80:c2:00:00:{number:02x}", other, UNKNOWN, b"") for number in range(16)]
    frames += [frame(BROADCAST, STRANGER, UNKNOWN, b""), frame(victim, own, IPV4, udp(ip, victim_ip, last))]
    arriving(bridge.engine.inside("victim"), sending(bridge.engine.inside("forger"), frames), {}, last)
    table = bridge.engine.host.sh("bridge", "fdb", "show", "br", "docker0").splitlines()
    assert STRANGER not in str(table)
    port = next(line.split()[2] for line in table if line.startswith(own))
    assert not [line for line in table if line.startswith(other) and line.split()[2] == port]


def test_second_addresses_and_other_macs_are_cut_off(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--privileged", "busybox", "sleep", "300")
    engine.docker("run", "-d", "--name", "free", "--privileged", "--security-opt", ALLOWED, "busybox", "sleep", "300")
    for name, address, reached in (("box", "172.17.9.1", False), ("free", "172.17.9.2", True)):
        engine.docker("exec", name, "ip", "addr", "add", f"{address}/16", "dev", "eth0")
        assert answers_ping(engine, name, "-I", address, GATEWAY) is reached
        # Not at once: while it still asks for the gateway's MAC on behalf of the other address, nobody answers.
        until(partial(answers_ping, engine, name, GATEWAY), what="its own address still works")
        assert (engine.try_docker("exec", name, "arping", "-c", "1", "-w", "1", "-s", address, GATEWAY).status == 0) is reached
    engine.docker("exec", "box", "ip", "link", "set", "eth0", "address", STRANGER)
    assert not answers_ping(engine, "box", GATEWAY)


def test_the_guard_follows_containers_and_engines(engine: Engine) -> None:
    """No entry outlives its endpoint; a container that others share the network of keeps its own; another engine has the same."""

    def owners() -> list[str]:
        return [text for text in engine.host.sh("nft", "list", "set", "bridge", "linkspan", "owners").split('"') if text[:4] == "veth"]

    until(lambda: owners() == [], what="the former containers' entries go with their interfaces")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "300")
    engine.docker("run", "-d", "--name", "member", "--net=container:box", "busybox", "sleep", "300")
    assert len(owners()) == 1
    engine.docker("stop", "-t", "0", "box")
    assert answers_ping(engine, "member", GATEWAY)
    before = engine.host.sh("nft", "list", "table", "bridge", "linkspan")
    engine.restart()
    assert engine.host.sh("nft", "list", "table", "bridge", "linkspan") == before
    assert answers_ping(engine, "member", GATEWAY)
    engine.docker("rm", "-f", "member", "box")
    until(lambda: owners() == [], what="the former containers' entries go with their interfaces")


def test_other_bridges_of_the_host_are_left_alone(engine: Engine, neighbour: Host) -> None:
    """The table sees every bridge's frames; it may drop those of our ports only."""
    host = engine.host
    host.sh("ip", "link", "add", "br9", "up", "type", "bridge")
    try:
        host.sh("ip", "link", "add", "left", "up", "master", "br9", "type", "veth", "peer", "name", "port9", "netns", neighbour.path)
        host.sh("ip", "addr", "add", "192.0.2.1/24", "dev", "br9")
        neighbour.sh("ip", "addr", "add", "192.0.2.2/24", "dev", "port9")
        neighbour.sh("ip", "link", "set", "port9", "address", STRANGER, "up")
        neighbour.sh("busybox", "ping", "-c", "1", "-W", "5", "192.0.2.1")
    finally:
        host.sh("ip", "link", "del", "left")
        host.sh("ip", "link", "del", "br9")


def test_the_option_is_true_or_false(engine: Engine) -> None:
    refusal = engine.refused("run", "--rm", "--security-opt", "anti-spoofing=maybe", "busybox", "true")
    assert 'invalid --security-opt "anti-spoofing=maybe": anti-spoofing is true or false' in refusal
    engine.docker("run", "--rm", "--security-opt", "anti-spoofing=true", "busybox", "true")


def test_purge_leaves_no_rule(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.stop()
    engine.linkspan("daemon", *roots(engine), "--purge")
    assert engine.host.sh("nft", "list", "ruleset") == ""
    engine.start()


def test_a_kernel_without_nftables_for_bridges(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything else works, and what is missing is said once. The engine runs in this process: such a kernel cannot be made."""
    monkeypatch.setattr(nft.Firewall, "sees_frames", property(lambda _: False))
    (tmp_path / "daemon.json").write_text("{}")
    places = (("--data-root", "data"), ("--exec-root", "run"), ("--config-file", "daemon.json"))
    config = load([word for flag, name in places for word in (flag, str(tmp_path / name))])

    async def life() -> None:
        engine = await open_engine(config)
        try:
            process = CreateRequest(
                image="busybox", name="box", cmd=("sleep", "100"), network=NetworkConfig(mode=NetworkMode(kind="bridge"))
            )
            await engine.containers.create(process)
            await engine.lifecycle.start("box")
            assert UNGUARDED in (await engine.system.info()).warnings
            await engine.lifecycle.remove("box", force=True)
        finally:
            await engine.close()

    host.run(lambda: asyncio.run(life()))
    assert host.sh("nft", "list", "tables") == "table inet linkspan\n"
    assert [record.message for record in caplog.records].count(UNGUARDED) == 1
    host.run(lambda: purge(config))


def answers_ping(engine: Engine, name: str, *target: str) -> bool:
    return engine.try_docker("exec", name, "ping", "-c", "1", "-W", "1", *target).status == 0


def roots(engine: Engine) -> tuple[str, ...]:
    return ("--data-root", str(engine.folder / "data"), "--exec-root", str(engine.folder / "run"))
