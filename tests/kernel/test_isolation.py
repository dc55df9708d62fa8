"""Who reaches whom: networks, gateways, published ports, the outside; both families, with and without br_netfilter.

Everybody has routes to everybody, so that nothing but the rules keeps them apart.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from linkspan.model.network import UNSPECIFIED, UNSPECIFIED6, GatewayMode, IPAddress
from tests.hosts import Host, join
from tests.lans import OUTSIDE, OUTSIDE6, UPLINK, UPLINK6, Box, Lans, ask

pytestmark = pytest.mark.kernel

NOBODY = ""
LOOPBACK: dict[int, IPAddress] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}
SOURCE: dict[int, IPAddress] = {4: IPv4Address("10.99.0.7"), 6: IPv6Address("fd99::7")}
TRUSTED = ({4: "10.98.0.1/24", 6: "fd98::1/64"}, {4: "10.98.0.2/24", 6: "fd98::2/64"})
NETWORKS: dict[str, dict[str, Any]] = {
    "a": {"trusted": ("trust0",)},
    "b": {},
    "quiet": {"icc": False},
    "inner": {"internal": True},
    "cell": {"internal": True, "gateway_mode": GatewayMode.ISOLATED, "gateway_mode6": GatewayMode.ISOLATED},
    "routed": {"gateway_mode": GatewayMode.ROUTED, "gateway_mode6": GatewayMode.ROUTED},
    "bare": {"gateway_mode": GatewayMode.NAT_UNPROTECTED, "gateway_mode6": GatewayMode.NAT_UNPROTECTED},
    "plain": {"masquerade": False},
    "named": {"source": SOURCE[4], "source6": SOURCE[6]},
}
BOXES = ("a1", "a2", "b1", "quiet1", "quiet2", "inner1", "inner2", "cell1", "cell2", "routed1", "bare1", "plain1", "named1")
PUBLISHED = {"a1": 8080, "b1": 8081, "quiet2": 8082}

CASES = [
    # Within one network.
    ("a1", "a2:81", "a2 from a1"),
    ("quiet1", "quiet2:81", NOBODY),
    ("inner1", "inner2:81", "inner2 from inner1"),
    ("cell1", "cell2:81", "cell2 from cell1"),
    # Another network, directly.
    ("a1", "b1:81", NOBODY),
    ("b1", "a1:80", NOBODY),
    ("a1", "inner1:81", NOBODY),
    ("inner1", "a1:80", NOBODY),
    ("a1", "bare1:81", NOBODY),
    ("a1", "routed1:80", "routed1 from a1"),
    ("a1", "routed1:81", NOBODY),
    # The host, by one's own gateway, by its other addresses, and by the gateways of others.
    ("a1", "gateway a:9000", "host from a1"),
    ("a1", "uplink:9000", "host from a1"),
    ("a1", "gateway b:9000", NOBODY),
    ("a1", "gateway inner:9000", NOBODY),
    ("inner1", "gateway inner:9000", "host from inner1"),
    ("inner1", "gateway a:9000", NOBODY),
    ("inner1", "uplink:9000", NOBODY),
    ("cell1", "uplink:9000", NOBODY),
    ("host", "inner1:81", "inner1 from gateway inner"),
    ("host", "a1:81", "a1 from gateway a"),
    # Published ports.
    ("outside", "uplink:8080", "a1 from outside"),
    ("host", "uplink:8080", "a1"),
    ("host", "gateway a:8081", "b1"),
    ("a2", "gateway a:8080", "a1 from gateway a"),
    ("a1", "gateway a:8080", "a1 from gateway a"),
    ("a1", "uplink:8081", "b1 from a1"),
    ("a1", "gateway b:8081", "b1 from a1"),
    ("quiet1", "gateway quiet:8082", "quiet2 from gateway quiet"),
    ("inner1", "gateway inner:8080", NOBODY),
    ("inner1", "uplink:8080", NOBODY),
    # From outside.
    ("outside", "a1:80", NOBODY),
    ("outside", "a1:81", NOBODY),
    ("outside", "inner1:81", NOBODY),
    ("outside", "routed1:80", "routed1 from outside"),
    ("outside", "routed1:81", NOBODY),
    ("outside", "bare1:81", "bare1 from outside"),
    ("friend", "a1:81", "a1 from friend"),
    ("friend", "b1:81", NOBODY),
    # To the outside.
    ("a1", "outside:9000", "outside from uplink"),
    ("named1", "outside:9000", "outside from source"),
    ("plain1", "outside:9000", "outside from plain1"),
    ("routed1", "outside:9000", "outside from routed1"),
    ("bare1", "outside:9000", "outside from uplink"),
    ("inner1", "outside:9000", NOBODY),
]


class Scene:
    """All networks, all boxes, and everybody's addresses."""

    def __init__(self, lans: Lans) -> None:
        self.lans = lans
        self.boxes: dict[str, Box] = {}
        for name, fields in NETWORKS.items():
            network = lans.network(name, **fields)
            self.boxes |= {box: lans.box(box, network) for box in BOXES if box.rstrip("12") == name}
        for name, box in self.boxes.items():
            lans.serve(box.machine, name, 80, 81)
        for name, port in PUBLISHED.items():
            lans.publish(self.boxes[name], 80, at=port)
        lans.publish(self.boxes["routed1"], 80, at=0)
        lans.serve(lans.host, "host", 9000)
        lans.serve(lans.outside, "outside", 9000)
        for address in SOURCE.values():
            lans.host.sh("ip", "addr", "add", f"{address}/{address.max_prefixlen}", "dev", "eth0", "preferred_lft", "0")
        self.friend = lans.machine("friend")
        join(lans.host, self.friend, left_address=TRUSTED[0][4], right_address=TRUSTED[1][4], interface="trust0")
        for machine, addresses in ((lans.host, TRUSTED[0]), (self.friend, TRUSTED[1])):
            machine.sh("ip", "addr", "add", addresses[6], "dev", "trust0", "nodad")
        for gateway in TRUSTED[0].values():
            self.friend.sh("ip", "route", "add", "default", "via", gateway.partition("/")[0])
        for address in (UPLINK, UPLINK6):  # the cell has no gateway: it tries by the link itself
            self.boxes["cell1"].machine.sh("ip", "route", "add", str(address), "dev", "eth0")

    def machine(self, name: str) -> Host:
        others = {"host": self.lans.host, "outside": self.lans.outside, "friend": self.friend}
        return others.get(name) or self.boxes[name].machine

    def address(self, name: str, version: int) -> IPAddress:
        if name.startswith("gateway "):
            network = next(network for network in self.lans.networks if network.name == name.split()[1])
            pool = network.pool(version)
            assert pool is not None
            assert pool.gateway is not None
            return pool.gateway
        if name in self.boxes:
            return self.boxes[name].address(version)
        friend = IPv4Address("10.98.0.2") if version == 4 else IPv6Address("fd98::2")
        others: dict[str, tuple[IPAddress, IPAddress]] = {"uplink": (UPLINK, UPLINK6), "outside": (OUTSIDE, OUTSIDE6)}
        others |= {"friend": (friend, friend), "source": (SOURCE[4], SOURCE[6])}
        return others[name][version == 6]

    def outcome(self, caller: str, target: str, version: int) -> str:
        name, _, port = target.partition(":")
        return ask(self.machine(caller), self.address(name, version), int(port))

    def wanted(self, words: str, version: int) -> str:
        """Say with addresses what the table says with names."""
        server, _, seen = words.partition(" from ")
        return f"{server} {self.address(seen, version)}" if seen else server


@pytest.fixture(scope="module", params=[False, True], ids=["", "br_netfilter"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Lans(tmp_path_factory.mktemp("s"), filtered=request.param) as lans:
        yield Scene(lans)


@pytest.mark.parametrize("version", [4, 6])
def test_who_reaches_whom(scene: Scene, version: int) -> None:
    with ThreadPoolExecutor(len(CASES)) as pool:
        outcomes = list(pool.map(lambda case: scene.outcome(case[0], case[1], version), CASES))
    wrong = []
    for (caller, target, words), outcome in zip(CASES, outcomes, strict=True):
        wanted = scene.wanted(words, version)
        if outcome != wanted if " " in wanted or not wanted else outcome.split()[0:1] != [wanted]:
            wrong.append(f"{caller} to {target}: {outcome or 'nobody'}, not {wanted or 'nobody'}")
    assert not wrong, "\n".join(wrong)


def test_the_host_reaches_ports_published_everywhere_on_its_loopback(scene: Scene) -> None:
    assert ask(scene.lans.host, LOOPBACK[4], 8080).startswith("a1 ")
    if scene.lans.setting("net.bridge.bridge-nf-call-ip6tables") == "0":  # else answers are translated in the bridge, and ::1 is dropped
        assert ask(scene.lans.host, LOOPBACK[6], 8080).startswith("a1 ")


def test_what_is_published_on_an_address_answers_there_alone(scene: Scene) -> None:
    lans, box = scene.lans, scene.boxes["b1"]
    lans.publish(box, 80, at=8090, on=[UPLINK, UPLINK6])
    for address in (UPLINK, UPLINK6):
        assert ask(lans.outside, address, 8090).startswith("b1 ")
    for address in (SOURCE[4], SOURCE[6]):
        assert ask(lans.outside, address, 8090, timeout=0.5) == NOBODY


def test_one_common_port_leads_to_each_family_of_the_container(scene: Scene) -> None:
    lans, box = scene.lans, scene.boxes["b1"]
    lans.publish(box, 81, at=8091, on=[UNSPECIFIED, UNSPECIFIED6])
    assert [ask(lans.outside, address, 8091) for address in (UPLINK, UPLINK6)] == [f"b1 {OUTSIDE}", f"b1 {OUTSIDE6}"]


def test_containers_of_a_routed_network_answer_ping_and_others_do_not(scene: Scene) -> None:
    for version in (4, 6):
        ping = ("busybox", "ping", f"-{version}", "-c1", "-W2")
        scene.lans.outside.sh(*ping, str(scene.address("routed1", version)))
        assert "1 packets received" not in scene.lans.outside.sh(*ping, str(scene.address("a1", version)), check=False)


FOREIGN = """
table inet foreign {{
	chain c {{
		type nat hook prerouting priority dstnat - 1;
		tcp dport 7777 dnat ip to {}:81
		tcp dport 7777 dnat ip6 to [{}]:81
	}}
}}
"""


def test_what_somebody_elses_rules_lead_into_an_internal_network_does_not_get_there(scene: Scene) -> None:
    def outcomes(box: str) -> list[str]:
        scene.lans.host.sh("nft", "-f", "-", stdin=FOREIGN.format(scene.address(box, 4), scene.address(box, 6)))
        try:
            return [ask(scene.lans.outside, address, 7777, timeout=1) for address in (UPLINK, UPLINK6)]
        finally:
            scene.lans.host.sh("nft", "delete", "table", "inet", "foreign")

    assert outcomes("inner1") == [NOBODY, NOBODY]
    assert outcomes("a1") == [f"a1 {OUTSIDE}", f"a1 {OUTSIDE6}"], "so that this test could see it"
