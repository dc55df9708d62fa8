"""Which host ports are asked for, which may be tried, whose they are."""

from ipaddress import IPv4Address

import pytest

from linkspan.model.container import NetworkConfig, NetworkMode
from linkspan.model.publish import Port, PortRequest, Publish
from linkspan.plan.ports import Allocated, Automatic, wanted

ANY = IPv4Address(0)
LOOPBACK = IPv4Address("127.0.0.1")


def publish(host_port: int, address: IPv4Address = ANY, protocol: str = "tcp") -> Publish:
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
        (publish(80), publish(80, protocol="udp"), False),
    ],
)
def test_every_address_clashes_with_each_address(held: Publish, asked: Publish, clashes: bool) -> None:
    def holders(protocol: str, number: int) -> list[tuple[IPv4Address, str]]:
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
