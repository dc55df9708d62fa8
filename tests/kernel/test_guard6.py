"""What a container on a network with IPv6 may send: its own address, and nothing about others'."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import pytest

from linkspan.plan import guard
from linkspan.plan.guard import link_local
from tests import frames6
from tests.frames import IPV6, arriving, frame, sending
from tests.frames6 import ALL_NODES, advertisement, behind_options, icmp6, router_advertisement, solicitation, udp6
from tests.lans import Box, Lans

pytestmark = pytest.mark.kernel

EVERYBODY = "33:33:00:00:00:01"
STRANGER = "02:00:00:00:00:99"


class Scene:
    """A forger, its victim and a bystander on one bridge, and their addresses."""

    def __init__(self, lans: Lans) -> None:
        network = lans.network("a")
        self.lans = lans
        self.forger, self.victim, self.bystander = (lans.box(name, network) for name in ("forger", "victim", "stander"))
        pool = network.pool(6)
        assert pool is not None
        self.gateway = str(pool.gateway)

    def sending(self, packets: list[bytes], mac: str = "") -> Callable[[], None]:
        own = mac or self.forger.endpoint.mac
        return sending(self.forger.machine, [frame(EVERYBODY, own, IPV6, packet) for packet in packets])

    def arrives(self, packets: Mapping[str, Callable[[bytes], bytes]], mac: str = "") -> set[str]:
        """Return which of the packets, each made with a token, the victim sees."""
        tokens = {name: os.urandom(12) for name in packets}
        last = os.urandom(12)
        frames = [frame(EVERYBODY, mac or self.forger.endpoint.mac, IPV6, make(tokens[name])) for name, make in packets.items()]
        frames.append(frame(EVERYBODY, self.forger.endpoint.mac, IPV6, udp6(own(self.forger), ALL_NODES, last)))
        return arriving(self.victim.machine, sending(self.forger.machine, frames), tokens, last)


def own(box: Box) -> str:
    return str(box.address(6))


def on_link(box: Box) -> str:
    return str(link_local(box.endpoint.mac))


@pytest.fixture(params=[False, True], ids=["", "br_netfilter"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Lans(tmp_path_factory.mktemp("s"), filtered=request.param) as lans:
        yield Scene(lans)


def forgeries(scene: Scene) -> dict[str, Callable[[bytes], bytes]]:
    me, link, other, mac = own(scene.forger), on_link(scene.forger), own(scene.bystander), scene.forger.endpoint.mac
    echo = partial(icmp6, kind=128)
    return {
        "somebody's address": lambda token: udp6(other, ALL_NODES, token),
        "somebody's address of the link": lambda token: udp6(on_link(scene.bystander), ALL_NODES, token),
        "the gateway's address": lambda token: udp6(scene.gateway, ALL_NODES, token),
        "an address of the outside": lambda token: udp6("2001:db8::1", ALL_NODES, token),
        "no address": lambda token: udp6("::", ALL_NODES, token),
        "the loopback's address": lambda token: udp6("::1", ALL_NODES, token),
        "ping without an address": lambda token: echo("::", ALL_NODES, content=bytes(4) + token),
        "an advertisement of somebody's address": lambda token: advertisement(me, ALL_NODES, other, mac, token),
        "the same from the address of the link": lambda token: advertisement(link, ALL_NODES, other, mac, token),
        "an advertisement of the gateway's address": lambda token: advertisement(me, ALL_NODES, scene.gateway, mac, token),
        "the same behind options": lambda token: behind_options(advertisement(me, ALL_NODES, scene.gateway, mac, token)),
        "an advertisement without an address": lambda token: advertisement("::", ALL_NODES, me, mac, token),
        "a question in somebody's name": lambda token: solicitation(other, ALL_NODES, own(scene.victim), token),
        "a router's advertisement": lambda token: router_advertisement(link, ALL_NODES, token),
        "the same behind options, and again": lambda token: behind_options(router_advertisement(link, ALL_NODES, token)),
        "a redirect": lambda token: icmp6(link, ALL_NODES, frames6.REDIRECT, bytes(36) + token),
    }


def honest(scene: Scene) -> dict[str, Callable[[bytes], bytes]]:
    me, link, mac = own(scene.forger), on_link(scene.forger), scene.forger.endpoint.mac
    return {
        "its address": lambda token: udp6(me, ALL_NODES, token),
        "its address of the link": lambda token: udp6(link, ALL_NODES, token),
        "an advertisement of its address": lambda token: advertisement(me, ALL_NODES, me, mac, token),
        "an advertisement of that of the link": lambda token: advertisement(link, ALL_NODES, link, mac, token),
        "a question": lambda token: solicitation(me, ALL_NODES, own(scene.victim), token),
        "the question whether somebody has its address": lambda token: solicitation("::", ALL_NODES, me, token),
        "a call for routers": lambda token: icmp6("::", ALL_NODES, frames6.ROUTER_SOLICITATION, bytes(4) + token),
    }


def test_nothing_in_somebodys_name_and_nothing_of_a_router_passes(scene: Scene) -> None:
    assert scene.arrives(forgeries(scene)) == set()


def test_what_its_own_addresses_send_passes(scene: Scene) -> None:
    packets = honest(scene)
    assert scene.arrives(packets) == set(packets)
    assert scene.arrives(packets, mac=STRANGER) == set()
    assert scene.arrives(packets, mac=scene.bystander.endpoint.mac) == set()


def test_a_container_without_ipv6_sends_none(scene: Scene) -> None:
    scene.lans.rules.apply(guard.owner_removal(scene.victim.endpoint) + guard.owner(replace(scene.victim.endpoint, address6=None)))
    packet = udp6(own(scene.victim), ALL_NODES, b"token-of-victim")
    quiet = sending(scene.victim.machine, [frame(EVERYBODY, scene.victim.endpoint.mac, IPV6, packet)])

    def both() -> None:
        quiet()
        scene.sending([udp6(own(scene.forger), ALL_NODES, b"last-of-forger")])()

    seen = arriving(scene.bystander.machine, both, {"IPv6": b"token-of-victim"}, b"last-of-forger")
    assert seen == set()


def test_who_may_send_everything_does(scene: Scene) -> None:
    scene.lans.rules.apply(guard.owner(replace(scene.forger.endpoint, guarded=False)))
    packets = forgeries(scene)
    assert scene.arrives(packets) == set(packets), "so that the other test could see them"


def test_neighbours_find_each_other(scene: Scene) -> None:
    scene.forger.machine.sh("busybox", "ping", "-6", "-c1", "-W5", own(scene.victim))
    scene.victim.machine.sh("busybox", "ping", "-6", "-c1", "-W5", scene.gateway)
