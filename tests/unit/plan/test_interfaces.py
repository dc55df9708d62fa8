"""Names of interfaces, and which of them the default routes go by (semantics 3.10, 3.11; test list 12)."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from linkspan.errors import InvalidInput
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network
from linkspan.plan.interfaces import Candidate, endpoint_sysctls, interface_names, leading

FOUR, SIX = IPv4Address("10.0.0.1"), IPv6Address("fd00::1")


def candidate(name: str, *gateways: IPv4Address | IPv6Address, priority: int = 0, internal: bool = False) -> Candidate:
    network = Network(id=f"n{name}", name=name, driver="bridge", created=0, bridge=f"br-{name}", internal=internal)
    endpoint = Endpoint(id=name, network=network.id, sandbox="c", mac="02:00:00:00:00:01")
    for gateway in gateways:
        endpoint = replace(endpoint, gateway=gateway) if isinstance(gateway, IPv4Address) else replace(endpoint, gateway6=gateway)
    return Candidate(endpoint=endpoint, network=network, priority=priority)


@pytest.mark.parametrize(
    ("candidates", "leaders"),
    [
        ([], {}),
        ([candidate("b", FOUR), candidate("a", FOUR)], {4: "a"}),
        ([candidate("a", FOUR), candidate("b", FOUR, priority=1)], {4: "b"}),
        ([candidate("a", FOUR, priority=-1), candidate("b", FOUR)], {4: "b"}),
        ([candidate("a", internal=True), candidate("b", FOUR)], {4: "b"}),
        ([candidate("a", FOUR), candidate("b", SIX)], {4: "a", 6: "b"}),
        ([candidate("a", FOUR), candidate("b", FOUR, SIX)], {4: "b", 6: "b"}),
        ([candidate("a", FOUR, priority=1), candidate("b", FOUR, SIX)], {4: "a", 6: "b"}),
        ([candidate("a"), candidate("b")], {}),
    ],
)
def test_the_default_routes_go_by_the_first_in_dockers_order(candidates: list[Candidate], leaders: dict[int, str]) -> None:
    assert leading(candidates) == leaders
    assert leading(reversed(candidates)) == leaders


@pytest.mark.parametrize(
    ("wanted", "taken", "names"),
    [
        ([("eth", ""), ("eth", "")], [], ["eth0", "eth1"]),
        ([("eth", "")], ["eth0", "eth2"], ["eth1"]),
        ([("eth", ""), ("eth", "eth0")], [], ["eth1", "eth0"]),
        ([("lan", ""), ("eth", "wan0"), ("lan", "")], [], ["lan0", "wan0", "lan1"]),
        ([("eth", ""), ("lan", "")], [], ["eth0", "lan0"]),
    ],
)
def test_interfaces_get_the_lowest_free_number(wanted: list[tuple[str, str]], taken: list[str], names: list[str]) -> None:
    assert interface_names(wanted, taken) == names


def test_settings_of_one_interface_are_keys_with_slashes() -> None:
    text = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"
    assert endpoint_sysctls(text) == {"net/ipv4/conf/IFNAME/log_martians": "1", "net/ipv6/conf/IFNAME/accept_ra": "2"}
    assert endpoint_sysctls("") == {}
    endpoint = Endpoint(id="e", network="n", sandbox="c", mac="02:00:00:00:00:01", interface="eth0.5", sysctls=endpoint_sysctls(text))
    assert endpoint.settings["net/ipv4/conf/eth0.5/log_martians"] == "1"


@pytest.mark.parametrize(
    "text",
    [
        "net.ipv4.conf.eth0.log_martians=1",
        "net.ipv4.ip_forward=1",
        "net.bridge.conf.IFNAME.x=1",
        "kernel.ipv4.conf.IFNAME.x=1",
        "net.ipv4.conf.IFNAME.log_martians",
        "net.ipv4.conf.IFNAME.../../x=1",
        "net.ipv4.co/nf.IFNAME.x=1",
        "net.ipv4..IFNAME.x=1",
    ],
)
def test_other_settings_are_refused_in_dockers_words(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^unrecognised network interface sysctl '.*'; represent 'net\.X\.Y\.ethN\.Z=V' as"):
        endpoint_sysctls(text)
