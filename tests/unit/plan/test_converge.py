"""The comparison of store and kernel."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from linkspan.model.endpoint import Endpoint
from linkspan.model.finding import Level
from linkspan.model.host import InsideState, LinkState
from linkspan.model.network import Network, Subnet
from linkspan.plan.converge import Difference, Found, Kind, Mend, Port, PortMode, Wanted, compare, strays
from linkspan.plan.diagnosis import finding
from linkspan.plan.listing import Listing

NETWORK = Network(
    id="n" * 64,
    name="bridge",
    driver="bridge",
    created=0,
    bridge="docker0",
    subnets=(Subnet(subnet=IPv4Network("172.17.0.0/16"), gateway=IPv4Address("172.17.0.1"), range=IPv4Network("172.17.0.0/16")),),
)
ENDPOINT = Endpoint(
    id="e" * 64,
    network=NETWORK.id,
    sandbox="web",
    mac="02:00:00:00:00:02",
    address=IPv4Interface("172.17.0.2/16"),
    gateway=IPv4Address("172.17.0.1"),
    host_interface="veth1",
    attached=True,
    leads=(4,),
)
BRIDGE = LinkState(name="docker0", index=5, kind="bridge", ours=True, up=True)
VETH = LinkState(name="veth1", index=6, kind="veth", ours=True, up=True, master=5)
INSIDE = InsideState(up=True, mac=ENDPOINT.mac, addresses=(IPv4Interface("172.17.0.2/16"),), gateways=(IPv4Address("172.17.0.1"),))
RULES = {"inet linkspan": Listing({"set bridges": "type ifname"}, {"set bridges": frozenset({'"docker0"'})})}
WANTED = Wanted(
    networks=(NETWORK,),
    ports=(Port(endpoint=ENDPOINT, network=NETWORK),),
    sandboxes={"web": ("web",)},
    running={"web": "web"},
    containers=frozenset({"web"}),
    rules=RULES,
    settings={"net/ipv4/ip_forward": "1"},
)
FOUND = Found(
    links={"docker0": BRIDGE, "veth1": VETH},
    addresses={5: (IPv4Interface("172.17.0.1/16"),)},
    routes=frozenset({(IPv4Network("172.17.0.0/16"), 5)}),
    namespaces={"web": True},
    insides={ENDPOINT.id: INSIDE},
    rules=RULES,
    settings={"net/ipv4/ip_forward": "1"},
    monitored=frozenset({"web"}),
    folders=frozenset({"web"}),
    processes=frozenset({"web"}),
)


def links(*states: LinkState) -> dict[str, LinkState]:
    return {state.name: state for state in states}


def kinds(differences: Iterable[Difference]) -> list[Kind]:
    return [difference.kind for difference in differences]


def test_what_agrees_has_no_differences() -> None:
    assert compare(WANTED, FOUND) == ()
    assert strays(WANTED, FOUND) == ()


def test_what_was_not_looked_at_does_not_differ() -> None:
    assert compare(replace(WANTED, rules={}), Found()) == ()


@pytest.mark.parametrize(
    ("change", "kind", "mend"),
    [
        ({"links": links(VETH)}, Kind.BRIDGE_GONE, Mend.NETWORK),
        ({"links": links(replace(BRIDGE, up=False), VETH)}, Kind.BRIDGE_DOWN, Mend.NETWORK),
        ({"links": links(replace(BRIDGE, mtu=9000), VETH)}, Kind.BRIDGE_MTU, Mend.NETWORK),
        ({"links": links(replace(BRIDGE, ours=False), VETH)}, Kind.BRIDGE_FOREIGN, Mend.ADMIN),
        ({"links": links(replace(BRIDGE, kind="dummy"), VETH)}, Kind.BRIDGE_FOREIGN, Mend.ADMIN),
        ({"addresses": {}}, Kind.BRIDGE_ADDRESS, Mend.NETWORK),
        ({"addresses": {5: (IPv4Interface("10.0.0.1/24"),)}}, Kind.BRIDGE_ADDRESS, Mend.NETWORK),
        ({"routes": frozenset()}, Kind.BRIDGE_ROUTE, Mend.NETWORK),
        ({"routes": frozenset({(IPv4Network("172.17.0.0/16"), 9)})}, Kind.BRIDGE_ROUTE, Mend.NETWORK),
        ({"links": links(BRIDGE)}, Kind.INTERFACE_GONE, Mend.ENDPOINT),
        ({"links": links(BRIDGE, replace(VETH, doomed=True))}, Kind.INTERFACE_GONE, Mend.ENDPOINT),
        ({"links": links(BRIDGE, replace(VETH, master=0))}, Kind.PORT_LOOSE, Mend.PORT),
        ({"links": links(BRIDGE, replace(VETH, up=False))}, Kind.PORT_DOWN, Mend.PORT),
        ({"links": links(BRIDGE, replace(VETH, hairpin=True))}, Kind.PORT_MODE, Mend.PORT),
        ({"insides": {ENDPOINT.id: None}}, Kind.INSIDE_GONE, Mend.ENDPOINT),
        ({"insides": {ENDPOINT.id: replace(INSIDE, up=False)}}, Kind.INSIDE_DOWN, Mend.INSIDE),
        ({"insides": {ENDPOINT.id: replace(INSIDE, addresses=())}}, Kind.INSIDE_ADDRESS, Mend.INSIDE),
        ({"insides": {ENDPOINT.id: replace(INSIDE, gateways=())}}, Kind.INSIDE_ROUTE, Mend.INSIDE),
        ({"namespaces": {"web": False}}, Kind.NAMESPACE_GONE, Mend.NAMESPACE),
        ({"namespaces": {}}, Kind.NAMESPACE_GONE, Mend.NAMESPACE),
        ({"settings": {"net/ipv4/ip_forward": "0"}}, Kind.SETTING, Mend.SETTING),
        ({"rules": {}}, Kind.RULES, Mend.RULES),
        ({"monitored": frozenset()}, Kind.MONITOR_GONE, Mend.RESTART),
    ],
)
def test_each_difference_is_told_with_what_mends_it(change: dict[str, Any], kind: Kind, mend: Mend) -> None:
    told = [difference for difference in compare(WANTED, replace(FOUND, **change)) if difference.kind is kind]
    assert [difference.mend for difference in told] == [mend]
    assert finding(told[0]).why
    assert finding(told[0]).level is Level.PROBLEM


def test_a_lost_bridge_loses_its_ports_and_is_mended_before_them() -> None:
    assert kinds(compare(WANTED, replace(FOUND, links=links(VETH)))) == [Kind.BRIDGE_GONE, Kind.PORT_LOOSE]


def test_the_administrators_bridge_is_not_made_by_us_and_keeps_its_mtu() -> None:
    theirs = replace(WANTED, adopted=frozenset({"docker0"}))
    assert compare(theirs, replace(FOUND, links=links(replace(BRIDGE, ours=False, mtu=9000), VETH))) == ()
    [_, gone] = compare(theirs, replace(FOUND, links=links(VETH)))
    assert (gone.kind, gone.mend) == (Kind.BRIDGE_GONE, Mend.ADMIN)


def test_what_has_the_bridges_name_and_is_not_ours_is_left_alone() -> None:
    theirs = replace(FOUND, links=links(replace(BRIDGE, ours=False), replace(VETH, master=0)), settings={"net/ipv4/conf/docker0/x": "0"})
    told = compare(replace(WANTED, settings={"net/ipv4/conf/docker0/x": "1"}), theirs)
    assert [(difference.kind, difference.mend) for difference in told] == [(Kind.BRIDGE_FOREIGN, Mend.ADMIN)]


def test_a_difference_names_the_containers_that_it_cuts_off() -> None:
    shared = replace(WANTED, sandboxes={"web": ("web", "side")}, running={"web": "web", "side": "sidecar"})
    [difference] = compare(shared, replace(FOUND, links=links(BRIDGE), monitored=None))
    assert difference.sentence == "the interface veth1 is gone (container web and sidecar)"
    assert difference.concerns(frozenset({"side"}))
    assert not difference.concerns(frozenset({"other"}))


def test_what_concerns_a_whole_network_is_judged_whatever_a_container_does() -> None:
    [difference] = compare(WANTED, replace(FOUND, addresses={}))
    assert difference.containers == ("web",)
    assert not difference.concerns(frozenset({"web"}))


def test_what_is_being_started_or_cleared_away_is_not_judged() -> None:
    nobody = replace(WANTED, sandboxes={"web": ()}, running={})
    assert compare(nobody, replace(FOUND, links=links(BRIDGE), namespaces={}, monitored=frozenset())) == ()


def test_ports_are_wanted_as_the_host_filters_now() -> None:
    isolated = replace(WANTED, ports=(Port(endpoint=ENDPOINT, network=NETWORK, mode=PortMode(isolated=True)),))
    assert kinds(compare(isolated, FOUND)) == [Kind.PORT_MODE]
    assert compare(isolated, replace(FOUND, links=links(BRIDGE, replace(VETH, isolated=True)))) == ()


@pytest.mark.parametrize(
    ("wanted", "found", "kind"),
    [
        ({}, {"links": links(BRIDGE, VETH, replace(VETH, name="veth2"))}, Kind.STRAY_LINK),
        ({}, {"namespaces": {"web": True, "other": True}}, Kind.STRAY_NAMESPACE),
        ({"sandboxes": {"web": ("web",), "old": ()}}, {"namespaces": {"web": True, "old": True}}, Kind.STRAY_NAMESPACE),
        ({}, {"mounted": frozenset({"web"})}, Kind.STRAY_MOUNT),
        ({}, {"folders": frozenset({"web", "other"})}, Kind.STRAY_FOLDER),
        ({}, {"processes": frozenset({"web", "other"})}, Kind.STRAY_PROCESS),
        ({"unplugged": (replace(ENDPOINT, sandbox="other"),)}, {}, Kind.STRAY_ADDRESS),
    ],
)
def test_what_nobody_owns_is_a_stray(wanted: dict[str, Any], found: dict[str, Any], kind: Kind) -> None:
    told = strays(replace(WANTED, **wanted), replace(FOUND, **found))
    assert kinds(told) == [kind]
    assert finding(told[0]).what.endswith("is left over")


def test_interfaces_of_others_are_no_strays() -> None:
    assert strays(WANTED, replace(FOUND, links=links(BRIDGE, VETH, replace(VETH, name="veth9", ours=False)))) == ()


def test_a_container_that_may_change_its_network_is_no_problem() -> None:
    [difference] = compare(WANTED, replace(FOUND, insides={ENDPOINT.id: replace(INSIDE, gateways=())}))
    assert finding(difference).level is Level.PROBLEM
    assert finding(difference, own_master=True).level is Level.NOTE
    [gone] = compare(WANTED, replace(FOUND, insides={ENDPOINT.id: None}))
    assert finding(gone, own_master=True).level is Level.PROBLEM


def test_only_a_restart_helps_without_a_monitor() -> None:
    [difference] = compare(WANTED, replace(FOUND, monitored=frozenset()))
    told = finding(difference)
    assert not told.repairable
    assert told.remedy == "docker restart web"


def test_an_endpoint_of_a_network_that_its_container_is_not_on_is_nobodys() -> None:
    half = replace(ENDPOINT, id="h" * 64, host_interface="veth9")
    wanted = replace(WANTED, orphans=(half,))
    found = replace(FOUND, links=links(BRIDGE, VETH, replace(VETH, name="veth9", index=9)))
    assert [(difference.kind, difference.subject) for difference in strays(wanted, found)] == [
        (Kind.STRAY_LINK, "veth9"),
        (Kind.STRAY_ADDRESS, half.id),
    ]


def test_a_default_route_by_another_of_our_networks_is_told() -> None:
    plain = replace(WANTED, ports=(Port(endpoint=replace(ENDPOINT, leads=()), network=NETWORK),))
    [difference] = compare(plain, replace(FOUND, insides={ENDPOINT.id: INSIDE}))
    assert (difference.kind, difference.sentence) == (
        Kind.INSIDE_ROUTE,
        "the default route goes by 172.17.0.1, which is not the way out of the container (container web)",
    )
    assert compare(plain, replace(FOUND, insides={ENDPOINT.id: replace(INSIDE, gateways=(IPv4Address("10.8.0.1"),))})) == ()
