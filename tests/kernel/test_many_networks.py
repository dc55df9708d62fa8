"""With a thousand networks a packet meets the same rules as with one, and a change is as small."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from linkspan.kernel.nft import scratch
from linkspan.model.network import GatewayMode, Network, Subnet
from linkspan.plan.firewall import TABLE, network_removal, network_rules, ruleset
from linkspan.plan.listing import Listing

pytestmark = pytest.mark.kernel

MANY = 1000


def network(number: int) -> Network:
    """One of each kind in turn."""
    subnet, subnet6 = IPv4Network((int(IPv4Address("10.0.0.0")) + (number << 8), 24)), IPv6Network(f"fd00:{number:x}::/64")
    pools = (Subnet(subnet=subnet, gateway=subnet[1], range=subnet), Subnet(subnet=subnet6, gateway=subnet6[1], range=subnet6))
    mode = (GatewayMode.NAT, GatewayMode.NAT_UNPROTECTED, GatewayMode.ROUTED)[number % 3]
    return Network(
        id=f"{number}",
        name=f"net{number}",
        driver="bridge",
        created=0,
        bridge=f"br-{number}",
        subnets=pools,
        ipv6=True,
        icc=number % 5 != 0,
        internal=number % 7 == 0,
        gateway_mode=mode,
        gateway_mode6=mode,
    )


NETWORKS = [network(number) for number in range(MANY)]


def test_a_thousand_networks_add_elements_of_sets_and_not_one_rule_or_chain() -> None:
    rules = scratch()
    rules.apply(ruleset())
    bare = Listing.parse(rules.dump(TABLE))
    rules.apply(ruleset(NETWORKS))
    full = Listing.parse(rules.dump(TABLE))
    assert full.blocks == bare.blocks
    assert len(full.elements["set bridges"]) == MANY


def test_a_change_is_a_few_elements_whichever_network_it_is() -> None:
    assert max(network_rules(network).count("\n") for network in NETWORKS) <= 9
    assert max(network_removal(network).count("\n") for network in NETWORKS) <= 18


def test_no_set_is_read_back_for_a_change() -> None:
    """What libnftables reads back for every change: sets of intervals, and the chains of the table."""
    assert "flags interval" not in ruleset(NETWORKS)
    assert "chain" not in network_rules(NETWORKS[1]) + network_removal(NETWORKS[1])
