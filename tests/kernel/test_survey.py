"""Looking at the host's interfaces, addresses and routes; and putting back what was lost."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import TypeVar

import pytest

from linkspan.errors import NotFound
from linkspan.kernel import address, link, neighbour, netns, nft, route, survey
from linkspan.model.network import IPAddress
from linkspan.plan import firewall
from tests.hosts import OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

T = TypeVar("T")
GATEWAY, ADDRESS = IPv4Address("172.17.0.1"), IPv4Interface("172.17.0.2/16")
GATEWAY6, ADDRESS6 = IPv6Address("fd00:17::1"), IPv6Interface("fd00:17::2/64")


@pytest.fixture
def wired(host: Host, tmp_path: Path) -> Iterator[Path]:
    """A namespace with eth0 on the host's bridge0, as a container has it; gives its file."""
    path = tmp_path / "box.net"
    host.sh("ip", "link", "add", "bridge0", "type", "bridge")
    host.sh("ip", "addr", "add", "172.17.0.1/16", "dev", "bridge0")
    host.sh("ip", "link", "set", "bridge0", "up")

    def wire() -> None:
        netns.create(path)
        link.create_veth("veth1", "bridge0", path, "eth0", mac="02:00:00:00:00:02")
        address.configure_inside(path, "eth0", [ADDRESS, ADDRESS6], [GATEWAY, GATEWAY6])
        link.open_port("veth1", isolated=True)

    host.run(wire)
    yield path
    netns.delete(path)


@pytest.fixture
def inside(host: Host, wired: Path) -> Callable[..., str]:
    return lambda *command: host.sh("nsenter", f"--net={wired}", *command)


def test_interfaces_are_found_as_they_are(host: Host, wired: Path) -> None:
    found = host.run(survey.links)
    bridge, port = found["bridge0"], found["veth1"]
    assert (bridge.kind, bridge.ours, bridge.up, bridge.mtu) == ("bridge", False, True, 1500)
    assert (port.kind, port.ours, port.up, port.master) == ("veth", True, True, bridge.index)
    assert (port.isolated, port.hairpin, port.doomed) == (True, False, False)
    host.sh("ip", "link", "set", "veth1", "down", "nomaster")
    port = host.run(survey.links)["veth1"]
    assert (port.up, port.master, port.isolated) == (False, 0, False)


def test_addresses_and_routes_are_found_by_their_interface(host: Host, wired: Path) -> None:
    index = host.run(survey.links)["bridge0"].index
    host.sh("ip", "route", "add", "default", "via", "172.17.0.9")
    host.sh("ip", "route", "add", "blackhole", "10.9.0.0/16")
    host.sh("ip", "addr", "add", "fd00:1::1/64", "dev", "bridge0")
    host.sh("ip", "route", "add", "default", "via", "fd00:1::9")
    found = [address for address in host.run(survey.addresses)[index] if not address.is_link_local]
    assert found == [IPv4Interface("172.17.0.1/16"), IPv6Interface("fd00:1::1/64")]
    assert host.run(survey.routes) == {(IPv4Network("172.17.0.0/16"), index), (IPv6Network("fd00:1::/64"), index)}
    assert host.run(survey.uplinks) == (index,)


def test_a_host_on_which_nothing_was_ever_up_has_no_routes(host: Host) -> None:
    assert host.run(lambda: netns.run_in_new(survey.routes)) == frozenset()
    assert host.run(lambda: netns.run_in_new(survey.uplinks)) == ()
    assert host.run(lambda: netns.run_in_new(lambda: route.connected_subnets(except_interface="lo"))) == ()


def test_an_interface_is_looked_at_in_its_namespace(host: Host, wired: Path, inside: Callable[..., str]) -> None:
    def look() -> object:
        return host.run(lambda: survey.inside(wired, "eth0"))

    state = host.run(lambda: survey.inside(wired, "eth0"))
    assert state is not None
    assert (state.up, state.mac) == (True, "02:00:00:00:00:02")
    assert [address for address in state.addresses if not address.is_link_local] == [ADDRESS, ADDRESS6]
    assert state.gateways == (GATEWAY, GATEWAY6)
    inside("ip", "addr", "flush", "dev", "eth0")
    state = host.run(lambda: survey.inside(wired, "eth0"))
    assert state is not None
    assert (state.addresses, GATEWAY in state.gateways) == ((), False)
    inside("ip", "link", "del", "eth0")
    assert look() is None
    with pytest.raises(NotFound):
        host.run(lambda: survey.inside(wired.with_name("none"), "eth0"))


def stated(host: Host, wired: Path) -> tuple[bool, set[object], set[object]]:
    """Return what eth0 has, but for the address that the kernel gives to every link, which comes by itself."""
    state = host.run(lambda: survey.inside(wired, "eth0"))
    assert state is not None
    return state.up, {address for address in state.addresses if not address.is_link_local}, set(state.gateways)


LOSSES = [
    ("addr", "flush", "dev", "eth0"),
    ("-6", "addr", "flush", "dev", "eth0", "scope", "global"),
    ("route", "del", "default"),
    ("-6", "route", "del", "default"),
    ("link", "set", "eth0", "down"),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_an_interface_has_lost_is_put_back(host: Host, wired: Path, inside: Callable[..., str], loss: tuple[str, ...]) -> None:
    before = stated(host, wired)
    inside("ip", *loss)
    assert stated(host, wired) != before
    for _ in range(2):
        host.run(lambda: address.restore_inside(wired, "eth0", [ADDRESS, ADDRESS6], [GATEWAY, GATEWAY6]))
        assert stated(host, wired) == before


def test_what_is_not_there_cannot_be_restored(host: Host, wired: Path) -> None:
    with pytest.raises(NotFound, match="eth9"):
        host.run(lambda: address.restore_inside(wired, "eth9", [ADDRESS]))
    with pytest.raises(NotFound, match="veth9"):
        host.run(lambda: link.plug("veth9", "bridge0"))
    with pytest.raises(NotFound, match="bridge9"):
        host.run(lambda: link.plug("veth1", "bridge9"))
    with pytest.raises(NotFound, match="bridge9"):
        host.run(lambda: route.add_connected("bridge9", IPv4Network("10.0.0.0/8"), GATEWAY))


def test_an_interface_is_plugged_in_again(host: Host, wired: Path) -> None:
    host.sh("ip", "link", "set", "veth1", "nomaster")
    for _ in range(2):
        host.run(lambda: link.plug("veth1", "bridge0"))
        assert host.run(survey.links)["veth1"].master == host.run(survey.links)["bridge0"].index


def test_a_connected_route_is_as_the_kernel_makes_it(host: Host, wired: Path) -> None:
    before = host.sh("ip", "route")
    host.sh("ip", "route", "del", "172.17.0.0/16")
    for _ in range(2):
        host.run(lambda: route.add_connected("bridge0", IPv4Network("172.17.0.0/16"), GATEWAY))
        assert host.sh("ip", "route") == before


def test_a_connected_route_of_the_other_family_too(host: Host, wired: Path) -> None:
    host.run(lambda: address.add("bridge0", IPv6Interface("fd00:17::1/64")))
    before = host.sh("ip", "-6", "route")
    host.sh("ip", "-6", "route", "del", "fd00:17::/64", "dev", "bridge0")
    for _ in range(2):
        host.run(lambda: route.add_connected("bridge0", IPv6Network("fd00:17::/64"), GATEWAY6))
        assert host.sh("ip", "-6", "route") == before


@pytest.mark.parametrize("gateways", [(GATEWAY, IPv4Address("172.17.0.9")), (GATEWAY6, IPv6Address("fd00:17::9"))])
def test_a_default_route_is_moved_and_taken_away(
    host: Host, wired: Path, inside: Callable[..., str], gateways: tuple[IPAddress, IPAddress]
) -> None:
    former, new = gateways

    def shown() -> list[str]:
        return inside("ip", f"-{new.version}", "route", "show", "default").splitlines()

    for _ in range(2):
        host.run(lambda: route.set_default_inside(wired, new.version, new, "eth0"))
        assert [line.split()[2] for line in shown()] == [str(new)]
    for _ in range(2):
        host.run(lambda: route.set_default_inside(wired, new.version, None, ""))
        assert shown() == []
    host.run(lambda: route.set_default_inside(wired, new.version, former, "eth0"))
    assert [line.split()[2] for line in shown()] == [str(former)]
    with pytest.raises(NotFound, match="eth9"):
        host.run(lambda: route.set_default_inside(wired, new.version, new, "eth9"))


def test_a_neighbour_of_the_other_family_is_forgotten(host: Host, wired: Path) -> None:
    host.sh("ip", "neigh", "add", "fd00:17::2", "lladdr", "02:00:00:00:00:99", "dev", "bridge0")
    for _ in range(2):
        host.run(lambda: neighbour.forget("bridge0", ADDRESS6.ip))
        assert "02:00:00:00:00:99" not in host.sh("ip", "neigh")


def test_a_neighbour_is_forgotten(host: Host, wired: Path) -> None:
    host.sh("ip", "neigh", "add", "172.17.0.2", "lladdr", "02:00:00:00:00:99", "dev", "bridge0")
    for _ in range(2):
        host.run(lambda: neighbour.forget("bridge0", ADDRESS.ip))
        assert "02:00:00:00:00:99" not in host.sh("ip", "neigh")
    with pytest.raises(NotFound, match="bridge9"):
        host.run(lambda: neighbour.forget("bridge9", ADDRESS.ip))


def test_a_namespace_is_bound_again_by_a_process_in_it(host: Host, wired: Path) -> None:
    process = host.spawn("nsenter", f"--net={wired}", "sleep", "100")
    identity = wired.stat().st_ino
    until(lambda: Path(f"/proc/{process.pid}/ns/net").stat().st_ino == identity, what="it is in the namespace")
    host.sh("umount", wired)
    assert not netns.exists(wired)
    assert netns.existing(wired.parent, [wired.name, "none"]) == frozenset()
    for _ in range(2):
        netns.bind(wired, process.pid)
        assert wired.stat().st_ino == identity
    assert netns.existing(wired.parent, [wired.name, "none"]) == {wired.name}


def test_the_namespace_of_an_ended_process_is_lost(host: Host, tmp_path: Path) -> None:
    process = host.spawn("true")
    process.wait()
    with pytest.raises(NotFound, match="has ended"):
        netns.bind(tmp_path / "box.net", process.pid)
    assert not (tmp_path / "box.net").exists()


def test_what_is_tried_on_scratch_has_no_effect_on_anybody(host: Host) -> None:
    scratch = host.run(nft.scratch)
    scratch.apply(firewall.ruleset())
    assert "chain forward" in scratch.dump()
    assert host.sh("nft", "list", "ruleset") == ""
    assert host.run(nft.Firewall).ruleset() == ""


class TestEgressMtu:
    def test_a_host_without_a_way_out_has_none(self, outside: Host, host: Host) -> None:
        assert host.run(survey.egress_mtu) is None

    def test_it_is_the_smallest_of_the_interfaces_that_default_routes_lead_to(self, outside: Host, host: Host) -> None:
        host.sh("ip", "link", "add", "small", "mtu", "1300", "type", "veth", "peer", "name", "peer", "mtu", "1300")
        host.sh("ip", "link", "set", "small", "up")
        host.sh("ip", "link", "set", "peer", "up")
        host.sh("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS)
        assert host.run(survey.egress_mtu) == 1500
        host.sh("ip", "-6", "route", "add", "default", "dev", "small", "metric", "9")
        assert host.run(survey.egress_mtu) == 1300

    def test_a_route_may_have_a_smaller_one(self, outside: Host, host: Host) -> None:
        host.sh("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS, "mtu", "1420")
        assert host.run(survey.egress_mtu) == 1420

    def test_a_route_with_several_ways_counts_each(self, outside: Host, host: Host) -> None:
        host.sh("ip", "link", "add", "other", "mtu", "1280", "type", "veth", "peer", "name", "peer")
        for name, own in (("other", "10.98.0.1/24"), ("peer", "10.97.0.1/24")):
            host.sh("ip", "addr", "add", own, "dev", name)
            host.sh("ip", "link", "set", name, "up")
        hops = ("nexthop", "via", OUTSIDE_ADDRESS, "nexthop", "via", "10.98.0.2")
        host.sh("ip", "route", "add", "default", *hops)
        assert host.run(survey.egress_mtu) == 1280

    def test_the_loopback_leads_nowhere(self, outside: Host, host: Host) -> None:
        host.sh("ip", "route", "add", "default", "dev", "lo")
        assert host.run(survey.egress_mtu) is None
