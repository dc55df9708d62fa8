"""The rulesets, word for word. `pytest --update-golden` writes the files anew; read the difference before you commit it."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from linkspan.model.endpoint import Endpoint
from linkspan.model.network import UNSPECIFIED, UNSPECIFIED6, GatewayMode, Network, Subnet
from linkspan.model.publish import Port, Publish
from linkspan.plan.firewall import (
    Link,
    link_elements,
    link_removal,
    network_change,
    network_removal,
    network_rules,
    publish_elements,
    publish_removal,
    ruleset,
)
from linkspan.plan.guard import guard, owner, owner_removal

FOLDER = Path(__file__).parent
WEB = IPv4Address("172.17.0.2")
WEB6 = IPv6Address("fd00::2")
PUBLISHES = (
    Publish(host_ip=UNSPECIFIED, host_port=8080, port=Port(80)),
    Publish(host_ip=UNSPECIFIED, host_port=5353, port=Port(53, "udp")),
    Publish(host_ip=IPv4Address("127.0.0.1"), host_port=8443, port=Port(443)),
)
ENDPOINT = Endpoint(
    id="e", network="1", sandbox="c", mac="02:42:ac:11:00:02", address=IPv4Interface((WEB, 16)), host_interface="veth0123456"
)
FREE = replace(ENDPOINT, host_interface="veth6543210", guarded=False)
DUAL = replace(ENDPOINT, address6=IPv6Interface((WEB6, 64)))
DUAL_PUBLISHES = (
    *PUBLISHES,
    Publish(host_ip=UNSPECIFIED6, host_port=8080, port=Port(80)),
    Publish(host_ip=IPv6Address("::1"), host_port=8443, port=Port(443)),
)
ROUTED_PUBLISHES = (
    Publish(host_ip=UNSPECIFIED, host_port=0, port=Port(80)),
    Publish(host_ip=UNSPECIFIED6, host_port=0, port=Port(53, "udp")),
)
LINK = Link(source=IPv4Address("172.17.0.3"), target=WEB, ports=(Port(80), Port(53, "udp")))


def network(*, icc: bool = True, masquerade: bool = True) -> Network:
    subnet = IPv4Network("172.17.0.0/16")
    pool = Subnet(subnet=subnet, gateway=subnet[1], range=subnet)
    return Network(id="1", name="bridge", driver="bridge", created=0, bridge="docker0", subnets=(pool,), icc=icc, masquerade=masquerade)


def dual(**fields: Any) -> Network:
    """A user-defined network with both families."""
    subnet, subnet6 = IPv4Network("172.18.0.0/24"), IPv6Network("fd00::/64")
    pools = (Subnet(subnet=subnet, gateway=subnet[1], range=subnet), Subnet(subnet=subnet6, gateway=subnet6[1], range=subnet6))
    return Network(id="2", name="net", driver="bridge", created=0, bridge="br-2", subnets=pools, ipv6=True, **fields)


ISOLATED = dual(internal=True, gateway_mode=GatewayMode.ISOLATED, gateway_mode6=GatewayMode.ISOLATED)
SOURCES = dual(source=IPv4Address("192.0.2.1"), source6=IPv6Address("2001:db8::1"), trusted=("eth0", "wg0"))

CASES = {
    "empty": ruleset(),
    "one-bridge": ruleset([network()], [((WEB,), PUBLISHES)], [LINK]),
    "network": network_rules(network()),
    "network-without-icc": network_rules(network(icc=False)),
    "network-without-masquerade": network_rules(network(masquerade=False)),
    "network-removal": network_removal(network()),
    "dual": network_rules(dual()),
    "dual-removal": network_removal(dual()),
    "dual-change": network_change(dual(), dual(icc=False)),
    "dual-internal": network_rules(dual(internal=True)),
    "dual-isolated": network_rules(ISOLATED),
    "dual-routed": network_rules(dual(gateway_mode=GatewayMode.ROUTED, gateway_mode6=GatewayMode.ROUTED)),
    "dual-routed6": network_rules(dual(gateway_mode6=GatewayMode.ROUTED)),
    "dual-unprotected": network_rules(dual(gateway_mode=GatewayMode.NAT_UNPROTECTED, gateway_mode6=GatewayMode.NAT_UNPROTECTED)),
    "dual-sources": network_rules(SOURCES),
    "dual-inhibited": network_rules(dual(addressed=False)),
    "publish-dual": publish_elements(DUAL_PUBLISHES, WEB, WEB6),
    "publish-dual-on-one-family": publish_elements(DUAL_PUBLISHES, WEB6),
    "publish-routed": publish_elements(ROUTED_PUBLISHES, WEB, WEB6),
    "publish": publish_elements(PUBLISHES, WEB),
    "publish-removal": publish_removal(PUBLISHES, WEB),
    "link": link_elements(LINK),
    "link-removal": link_removal(LINK),
    "guard": guard([ENDPOINT, FREE]),
    "guard-owner": owner(ENDPOINT),
    "guard-owner-removal": owner_removal(ENDPOINT),
    "guard-dual": owner(DUAL),
    "guard-dual-removal": owner_removal(DUAL),
    "guard-link-local": owner(replace(DUAL, link_local=(IPv4Interface("169.254.7.7/16"), IPv6Interface("fe80::7/64")))),
    "guard-only6": owner(replace(DUAL, address=None)),
    "guard-free": owner(FREE),
    "guard-free-removal": owner_removal(FREE),
}


@pytest.mark.parametrize("name", CASES)
def test_ruleset(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(FOLDER / f"{name}.nft", CASES[name])


def test_no_ports_and_no_links_render_nothing() -> None:
    assert publish_elements((), WEB) == publish_removal((), WEB) == ""
    assert link_elements(Link(source=WEB, target=WEB, ports=())) == ""
