"""What on a host is in the way of containers' networks."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from linkspan.model.finding import Level
from linkspan.plan.checkup import Bridge, Facts, Missing, findings

BRIDGE = Bridge(name="docker0", subnets=(IPv4Network("172.17.0.0/16"),), mtu=1500)
HEALTHY = Facts(
    bridges=(BRIDGE,),
    uplinks={"eth0": 1500},
    routes=((IPv4Network("10.0.0.0/8"), "eth0"), (IPv4Network("172.17.0.0/16"), "docker0")),
    runtime="crun: the fastest that is installed",
    data_root="/var/lib/linkspan",
    free_bytes=10 << 30,
    free_inodes=1_000_000,
    inodes=2_000_000,
    tracked=100,
    most_tracked=65536,
    neighbours=20,
    most_neighbours=1024,
    endpoints=10,
)
DROPPING = """\
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
"""
WITH_UFW = DROPPING.replace("policy drop;\n", "policy drop;\n\t\tjump ufw-before-forward\n")
LEGACY_REJECTING = "-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
CONMON = Missing(program="conmon", package="conmon", needed_for="to run containers")
REJECTING = """\
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		counter packets 3 bytes 180 reject with icmpx admin-prohibited
	}
}
"""


def told(**changes: Any) -> list[tuple[str, str]]:
    return [(finding.kind, finding.remedy) for finding in findings(replace(HEALTHY, **changes))]


def test_nothing_is_wrong_with_a_healthy_host() -> None:
    assert findings(HEALTHY) == ()
    assert findings(Facts()) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "remedy"),
    [
        ({"forwarding": "0"}, "forwarding", "sysctl -w net.ipv4.ip_forward=1"),
        ({"bridges": (replace(BRIDGE, forwarding="0"),)}, "forwarding", "sysctl -w net.ipv4.conf.docker0.forwarding=1"),
        ({"rulesets": DROPPING}, "forward-policy", "nft insert rule ip filter FORWARD iifname '\"docker0\"' accept"),
        ({"rulesets": REJECTING}, "forward-policy", "firewall-cmd --permanent --zone=trusted --add-interface=docker0"),
        ({"rulesets": WITH_UFW}, "forward-policy", "ufw route allow in on docker0"),
        ({"legacy_forward": "-P FORWARD DROP\n"}, "forward-policy", "iptables-legacy -I FORWARD -i docker0 -j ACCEPT"),
        ({"legacy_forward": LEGACY_REJECTING}, "forward-policy", "iptables-legacy -I FORWARD"),
        ({"routes": ((IPv4Network("172.17.8.0/24"), "tun0"),)}, "overlap", "--bip"),
        ({"uplinks": {"wg0": 1420}}, "mtu", "--mtu=1420"),
        ({"missing": (CONMON,)}, "missing-tool", "apt-get install conmon"),
        ({"free_bytes": 1 << 20}, "disk", "prune"),
        ({"free_bytes": 0}, "disk", "prune"),
        ({"free_inodes": 12}, "inodes", "prune"),
        ({"tracked": 60000}, "conntrack", "nf_conntrack_max=131072"),
        ({"neighbours": 1000}, "neighbours", "gc_thresh3=4096"),
        ({"endpoints": 600}, "neighbours", "ipv4.neigh.default.gc_thresh3=4800"),
        ({"endpoints6": 600, "most_neighbours6": 1024}, "neighbours", "ipv6.neigh.default.gc_thresh3=4800"),
    ],
)
def test_each_trouble_is_told_with_what_mends_it(changes: dict[str, Any], kind: str, remedy: str) -> None:
    [(told_kind, told_remedy)] = told(**changes)
    assert told_kind == kind
    assert remedy in told_remedy
    assert all(finding.why and finding.level is Level.PROBLEM for finding in findings(replace(HEALTHY, **changes)))


@pytest.mark.parametrize(
    "rulesets",
    [
        DROPPING.replace("policy drop", "policy accept"),
        DROPPING.replace("hook forward", "hook input"),
        DROPPING.replace("policy drop;\n", 'policy drop;\n\t\tiifname "docker0" accept\n'),
        DROPPING.replace("policy drop;\n", "policy drop;\n\t\tip saddr 172.17.0.0/16 accept\n"),
        DROPPING.replace("table ip filter", "table inet linkspan"),
        DROPPING.replace("table ip filter", "table ip6 filter"),
    ],
)
def test_rules_that_are_not_in_the_way_are_no_trouble(rulesets: str) -> None:
    assert told(rulesets=rulesets) == []


def test_legacy_rules_that_know_the_bridge_are_no_trouble() -> None:
    assert told(legacy_forward="-P FORWARD DROP\n-A FORWARD -o docker0 -j ACCEPT\n") == []


def test_what_could_not_be_read_is_not_judged() -> None:
    assert told(most_tracked=0, tracked=5, most_neighbours=0, inodes=0, free_inodes=0, uplinks=None) == []


def test_without_a_bridge_forwarding_is_nobodys_business() -> None:
    assert told(bridges=(), forwarding="0", rulesets=DROPPING) == []


def test_what_is_only_worth_knowing_is_a_note() -> None:
    [init] = findings(replace(HEALTHY, missing=(Missing(program="tini-static", package="tini", needed_for="for --init", always=False),)))
    [runtime] = findings(replace(HEALTHY, runtime="runc: crun is not installed"))
    assert {init.level, runtime.level} == {Level.NOTE}
    assert "crun is not installed" in runtime.what
