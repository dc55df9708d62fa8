"""The rulesets, word for word. `pytest --update-golden` writes the files anew; read the difference before you commit it."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from linkspan.model.network import UNSPECIFIED, Network, Subnet
from linkspan.model.publish import Port, Publish
from linkspan.plan.firewall import (
    Link,
    link_elements,
    link_removal,
    network_removal,
    network_rules,
    publish_elements,
    publish_removal,
    ruleset,
)

FOLDER = Path(__file__).parent
WEB = IPv4Address("172.17.0.2")
PUBLISHES = (
    Publish(host_ip=UNSPECIFIED, host_port=8080, port=Port(80)),
    Publish(host_ip=UNSPECIFIED, host_port=5353, port=Port(53, "udp")),
    Publish(host_ip=IPv4Address("127.0.0.1"), host_port=8443, port=Port(443)),
)
LINK = Link(source=IPv4Address("172.17.0.3"), target=WEB, ports=(Port(80), Port(53, "udp")))


def network(*, icc: bool = True, masquerade: bool = True) -> Network:
    subnet = IPv4Network("172.17.0.0/16")
    pool = Subnet(subnet=subnet, gateway=subnet[1], range=subnet)
    return Network(id="1", name="bridge", driver="bridge", created=0, bridge="docker0", subnets=(pool,), icc=icc, masquerade=masquerade)


CASES = {
    "empty": ruleset(),
    "one-bridge": ruleset([network()], [(WEB, PUBLISHES)], [LINK]),
    "network": network_rules(network()),
    "network-without-icc": network_rules(network(icc=False)),
    "network-without-masquerade": network_rules(network(masquerade=False)),
    "network-removal": network_removal(network()),
    "publish": publish_elements(PUBLISHES, WEB),
    "publish-removal": publish_removal(PUBLISHES, WEB),
    "link": link_elements(LINK),
    "link-removal": link_removal(LINK),
}


@pytest.mark.parametrize("name", CASES)
def test_ruleset(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(FOLDER / f"{name}.nft", CASES[name])


def test_no_ports_and_no_links_render_nothing() -> None:
    assert publish_elements((), WEB) == publish_removal((), WEB) == ""
    assert link_elements(Link(source=WEB, target=WEB, ports=())) == ""
