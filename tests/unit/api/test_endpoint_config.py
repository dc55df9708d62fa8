"""EndpointSettings as clients send them (semantics 3.4)."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from linkspan.api.fields import Fields
from linkspan.api.wire_endpoint_config import parse_endpoint
from linkspan.errors import InvalidInput
from linkspan.model.attachment import Attachment


def parse(network: str = "web", **settings: Any) -> Attachment:
    return parse_endpoint(network, Fields(settings))


def test_all_of_it() -> None:
    asked = parse(
        IPAMConfig={"IPv4Address": "10.0.0.9", "IPv6Address": "fd00::9", "LinkLocalIPs": ["169.254.1.1", "fe80::9"]},
        Aliases=["a", "b", "a"],
        Links=["db", "/cache:c"],
        MacAddress="02-00-00-00-00-AA",
        DriverOpts={"com.docker.network.endpoint.ifname": "left0"},
        GwPriority=7,
        NetworkID="ignored",
        IPAddress="1.2.3.4",
    )
    assert asked == Attachment(
        network="web",
        ipv4=IPv4Address("10.0.0.9"),
        ipv6=IPv6Address("fd00::9"),
        link_local=(IPv4Address("169.254.1.1"), IPv6Address("fe80::9")),
        mac="02:00:00:00:00:aa",
        aliases=("a", "b"),
        links=(("db", "db"), ("cache", "c")),
        options={"com.docker.network.endpoint.ifname": "left0"},
        gateway_priority=7,
    )
    assert parse() == Attachment(network="web")


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({"IPAMConfig": {"IPv4Address": "fd00::1"}}, "invalid IPv4 address: fd00::1"),
        ({"IPAMConfig": {"IPv4Address": "0.0.0.0"}}, "invalid IPv4 address: 0.0.0.0"),
        ({"IPAMConfig": {"IPv6Address": "10.0.0.1"}}, "invalid IPv6 address: 10.0.0.1"),
        ({"IPAMConfig": {"IPv6Address": "::ffff:10.0.0.1"}}, "invalid IPv6 address: ::ffff:10.0.0.1"),
        ({"IPAMConfig": {"IPv6Address": "fe80::1%eth0"}}, "invalid IPv6 address: fe80::1%eth0"),
        ({"IPAMConfig": {"LinkLocalIPs": ["x", "::"]}}, "invalid link-local IP address: x\ninvalid link-local IP address: ::"),
        ({"DriverOpts": {"com.docker.network.endpoint.ifname": "a/b"}}, "invalid interface name 'a/b'"),
        ({"Aliases": ["a b"]}, "invalid alias: 'a b'"),
    ],
)
def test_what_is_wrong_is_told_together(settings: dict[str, Any], problems: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(**settings)
    assert str(refusal.value) == f"invalid endpoint settings:\n{problems}"


@pytest.mark.parametrize("links", [[""], [":x"], ["a:"], ["a:b:c"], ["a b"]])
def test_links_that_are_none(links: list[str]) -> None:
    with pytest.raises(InvalidInput, match="links"):
        parse(Links=links)


def test_predefined_networks_give_no_addresses_and_no_names() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse("bridge", IPAMConfig={"IPv4Address": "172.17.0.9"}, Aliases=["a"])
    assert str(refusal.value) == (
        "invalid endpoint settings:\nuser-specified IP address is supported on user-defined networks only\n"
        "network-scoped aliases are only supported for user-defined networks"
    )
