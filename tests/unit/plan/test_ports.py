"""Which host ports are asked for, which may be tried, whose they are."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from linkspan.errors import InvalidInput
from linkspan.model.container import NetworkConfig, NetworkMode
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import GatewayMode, IPAddress, Network
from linkspan.model.publish import Port, PortRequest, Publish
from linkspan.plan.ports import Allocated, Automatic, Way, places, wanted, ways

ANY = IPv4Address(0)
ANY6 = IPv6Address(0)
LOOPBACK6 = IPv6Address("::1")
LOOPBACK = IPv4Address("127.0.0.1")


def publish(host_port: int, address: IPAddress = ANY, protocol: str = "tcp") -> Publish:
    return Publish(host_ip=address, host_port=host_port, port=Port(80, protocol))


def test_fixed_ports_come_before_ranges_and_automatic_ones() -> None:
    automatic, several, fixed = (
        PortRequest(port=Port(1)),
        PortRequest(port=Port(2), first=8000, last=8010),
        PortRequest(port=Port(3), first=9000, last=9000),
    )
    config = NetworkConfig(mode=NetworkMode.parse("bridge"), requests=(automatic, several, fixed))
    assert wanted(config) == [fixed, several, automatic]


def test_publish_all_adds_the_exposed_ports_that_have_no_binding() -> None:
    bound = PortRequest(port=Port(80), first=8080, last=8080)
    config = NetworkConfig(mode=NetworkMode.parse("bridge"), requests=(bound,), exposed=(Port(80), Port(53, "udp")), publish_all=True)
    assert wanted(config) == [bound, PortRequest(port=Port(53, "udp"))]


def test_exposed_ports_alone_publish_nothing() -> None:
    assert wanted(NetworkConfig(mode=NetworkMode.parse("bridge"), exposed=(Port(80),))) == []


@pytest.mark.parametrize(
    ("held", "asked", "clashes"),
    [
        (publish(80), publish(80), True),
        (publish(80), publish(80, LOOPBACK), True),
        (publish(80, LOOPBACK), publish(80), True),
        (publish(80, LOOPBACK), publish(80, LOOPBACK), True),
        (publish(80, LOOPBACK), publish(80, IPv4Address("10.0.0.1")), False),
        (publish(80), publish(81), False),
        (publish(80), publish(80, ANY6), False),
        (publish(80, ANY6), publish(80, LOOPBACK), False),
        (publish(80, ANY6), publish(80, LOOPBACK6), True),
        (publish(80, LOOPBACK6), publish(80, ANY6), True),
        (publish(80), publish(80, protocol="udp"), False),
    ],
)
def test_every_address_clashes_with_each_address(held: Publish, asked: Publish, clashes: bool) -> None:
    def holders(protocol: str, number: int) -> list[tuple[IPAddress, str]]:
        return [(held.host_ip, "web")] if (protocol, number) == (held.port.protocol, held.host_port) else []

    assert Allocated(holders).holder(asked) == ("web" if clashes else "")


def test_ports_given_to_the_container_itself_clash_too() -> None:
    allocated = Allocated(lambda *_: [])
    allocated.add("this container itself", publish(80, LOOPBACK))
    assert allocated.holder(publish(80)) == "this container itself"
    assert allocated.holder(publish(81)) == ""


def test_automatic_ports_go_round_and_skip_reserved_ones() -> None:
    assert list(Automatic(low=10, high=14, reserved={12}, last=13).candidates()) == [14, 10, 11, 13]
    assert list(Automatic(low=10, high=12, last=99).candidates()) == [10, 11, 12]


def network(**fields: object) -> Network:
    return replace(Network(id="n", name="n", driver="bridge", created=0, bridge="br-n"), **fields)  # type: ignore[arg-type]


ENDPOINT = Endpoint(
    id="e", network="n", sandbox="c", mac="02:00:00:00:00:01", address=IPv4Interface("10.0.0.2/24"), address6=IPv6Interface("fd00::2/64")
)
REQUEST = PortRequest(port=Port(80), first=8080, last=8080)
BOTH = (Way(version=4, default=ANY), Way(version=6, default=ANY6))


def test_a_container_is_reached_in_the_families_that_it_has() -> None:
    assert ways([(network(), ENDPOINT)]) == BOTH
    assert ways([(network(), replace(ENDPOINT, address6=None))]) == BOTH[:1]
    assert ways([(network(), replace(ENDPOINT, address=None))]) == BOTH[1:]
    assert ways([(network(internal=True), ENDPOINT)]) == ()


def test_each_family_is_reached_by_the_first_network_that_has_it() -> None:
    first, second = network(gateway_mode=GatewayMode.ROUTED), network(default_host_ip6=LOOPBACK6)
    attachments = [(network(internal=True), ENDPOINT), (first, replace(ENDPOINT, address6=None)), (second, ENDPOINT)]
    assert ways(attachments) == (Way(version=4, default=ANY, routed=True), Way(version=6, default=LOOPBACK6))


@pytest.mark.parametrize(
    ("fields", "default6"),
    [
        ({}, ANY6),
        ({"default_host_ip": LOOPBACK}, None),
        ({"default_host_ip6": LOOPBACK6}, LOOPBACK6),
        ({"default_host_ip": LOOPBACK, "default_host_ip6": LOOPBACK6}, LOOPBACK6),
        ({"default_host_ip": LOOPBACK, "gateway_mode6": GatewayMode.ROUTED}, ANY6),
    ],
)
def test_a_default_address_of_ipv4_alone_opens_nothing_in_ipv6(fields: dict[str, object], default6: IPAddress | None) -> None:
    assert ways([(network(**fields), ENDPOINT)])[1].default == default6


def test_a_port_without_an_address_is_published_in_both_families_and_one_with_an_address_in_its_own() -> None:
    assert places(REQUEST, BOTH) == ([ANY, ANY6], [])
    assert places(replace(REQUEST, host_ip=LOOPBACK), BOTH) == ([LOOPBACK], [])
    assert places(replace(REQUEST, host_ip=LOOPBACK6), BOTH) == ([LOOPBACK6], [])
    assert places(replace(REQUEST, host_ip=LOOPBACK6), ()) == ([], [])


def test_a_routed_port_takes_none_of_the_hosts() -> None:
    routed = (BOTH[0], replace(BOTH[1], routed=True))
    assert places(REQUEST, routed) == ([ANY], [ANY6])


def test_a_port_on_an_address_of_a_family_that_the_container_lacks_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^cannot publish 80/tcp on ::1: the container has no IPv6 address to lead it to$"):
        places(replace(REQUEST, host_ip=LOOPBACK6), BOTH[:1])


def test_publishes_of_both_families_can_be_sorted() -> None:
    shuffled = [publish(80, ANY6), publish(81), publish(80, LOOPBACK6), publish(80)]
    assert sorted(shuffled) == [publish(80), publish(81), publish(80, ANY6), publish(80, LOOPBACK6)]
