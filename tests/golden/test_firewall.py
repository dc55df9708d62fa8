"""The rulesets, word for word. `pytest --update-golden` writes the files anew; read the difference before you commit it."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from linkspan.model.endpoint import Endpoint
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
from linkspan.plan.guard import guard, owner, owner_removal

FOLDER = Path(__file__).parent
WEB = IPv4Address("172.17.0.2")
PUBLISHES = (
    Publish(host_ip=UNSPECIFIED, host_port=8080, port=Port(80)),
    Publish(host_ip=UNSPECIFIED, host_port=5353, port=Port(53, "udp")),
    Publish(host_ip=IPv4Address("127.0.0.1"), host_port=8443, port=Port(443)),
)
ENDPOINT = Endpoint(
    id="e", network="1", sandbox="c", mac="02:42:ac:11:00:02", address=IPv4Interface((WEB, 16)), host_interface="veth0123456"
)
FREE = replace(ENDPOINT, host_interface="veth6543210", guarded=False)
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
    "guard": guard([ENDPOINT, FREE]),
    "guard-owner": owner(ENDPOINT),
    "guard-owner-removal": owner_removal(ENDPOINT),
    "guard-free": owner(FREE),
    "guard-free-removal": owner_removal(FREE),
}


@pytest.mark.parametrize("name", CASES)
def test_ruleset(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(FOLDER / f"{name}.nft", CASES[name])


def test_no_ports_and_no_links_render_nothing() -> None:
    assert publish_elements((), WEB) == publish_removal((), WEB) == ""
    assert link_elements(Link(source=WEB, target=WEB, ports=())) == ""
