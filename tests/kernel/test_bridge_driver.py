"""The bridge driver on the real kernel: what it makes, and that a failed step leaves nothing."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from linkspan.drivers.bridge import BridgeDriver
from linkspan.errors import Conflict, EngineError, InvalidInput
from linkspan.kernel import netns
from linkspan.kernel.nft import Firewall, RulesetRefused
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import GatewayMode, Network, Subnet
from linkspan.plan.firewall import ruleset
from linkspan.undo import Undo
from tests.hosts import Host

pytestmark = pytest.mark.kernel

SUBNET = IPv4Network("172.17.0.0/16")
POOL = Subnet(subnet=SUBNET, gateway=SUBNET[1], range=SUBNET)
SUBNET6 = IPv6Network("fd00:17::/64")
POOL6 = Subnet(subnet=SUBNET6, gateway=SUBNET6[1], range=SUBNET6)
OTHER_POOL = Subnet(subnet=IPv4Network("10.1.0.0/24"), gateway=IPv4Address("10.1.0.1"), range=IPv4Network("10.1.0.0/24"))
NETWORK = Network(id="1", name="bridge", driver="bridge", created=0, bridge="docker0", subnets=(POOL,))
DUAL = replace(NETWORK, ipv6=True, subnets=(POOL, POOL6))
ENDPOINT = Endpoint(
    id="e" * 64,
    network="1",
    sandbox="c",
    mac="02:42:ac:11:00:02",
    address=IPv4Interface("172.17.0.2/16"),
    gateway=IPv4Address("172.17.0.1"),
    leads=(4,),
    host_interface="vetheeeeeee",
)


class RefusingRules:
    def apply(self, ruleset: str) -> None:
        raise RulesetRefused("nft: no")


@pytest.fixture
def namespace(host: Host, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "container.net"
    host.run(lambda: netns.create(path))
    yield path
    netns.delete(path)


def create(network: Network = NETWORK) -> None:
    rules = Firewall()
    rules.apply(ruleset())
    with Undo() as undo:
        BridgeDriver(rules).create(network, undo)


def attach(namespace: Path, network: Network = NETWORK, endpoint: Endpoint = ENDPOINT) -> None:
    with Undo() as undo:
        BridgeDriver(Firewall()).attach(network, endpoint, namespace, undo)


def interfaces(host: Host) -> list[str]:
    return [line.split()[0].partition("@")[0] for line in host.sh("ip", "-br", "link").splitlines()]


def test_a_bridge_with_its_address_and_rules(host: Host) -> None:
    host.run(create)
    assert "inet 172.17.0.1/16 brd 172.17.255.255" in host.sh("ip", "addr", "show", "docker0")
    assert '"docker0"' in host.sh("nft", "list", "set", "inet", "linkspan", "bridges")
    assert host.sh("sysctl", "-n", "net.ipv4.conf.docker0.route_localnet") == "1\n"


def test_creating_it_again_changes_nothing(host: Host) -> None:
    host.run(create)
    before = host.sh("ip", "addr"), host.sh("nft", "list", "ruleset")
    host.run(create)
    assert (host.sh("ip", "addr"), host.sh("nft", "list", "ruleset")) == before


def test_another_subnet_replaces_the_address(host: Host) -> None:
    host.run(create)
    other = IPv4Network("10.1.0.0/24")
    host.run(lambda: create(replace(NETWORK, subnets=(Subnet(subnet=other, gateway=other[1], range=other),))))
    text = host.sh("ip", "-4", "addr", "show", "docker0")
    assert "10.1.0.1/24" in text
    assert "172.17" not in text


def test_refused_rules_leave_no_bridge(host: Host) -> None:
    def refused() -> None:
        with Undo() as undo:
            BridgeDriver(RefusingRules()).create(NETWORK, undo)

    with pytest.raises(RulesetRefused):
        host.run(refused)
    assert interfaces(host) == ["lo"]


def test_an_interface_that_is_no_bridge_is_left_alone(host: Host) -> None:
    host.sh("ip", "link", "add", "docker0", "type", "veth", "peer", "name", "other")
    with pytest.raises(Conflict, match="existing interface docker0 is not a bridge"):
        host.run(create)
    assert "docker0" in interfaces(host)


def test_an_endpoint_is_an_interface_on_both_sides(host: Host, namespace: Path) -> None:
    host.run(create)
    host.run(lambda: attach(namespace))
    assert "master docker0" in host.sh("ip", "link", "show", "vetheeeeeee")
    inside = host.sh("nsenter", f"--net={namespace}", "ip", "addr", "show", "eth0")
    assert "inet 172.17.0.2/16 brd 172.17.255.255" in inside
    assert "link/ether 02:42:ac:11:00:02" in inside
    assert "inet6" not in inside
    assert "default via 172.17.0.1 dev eth0" in host.sh("nsenter", f"--net={namespace}", "ip", "route")
    host.sh("nsenter", f"--net={namespace}", "busybox", "ping", "-c1", "-W3", "172.17.0.1")


@pytest.mark.parametrize(
    "broken",
    [
        replace(ENDPOINT, address=IPv4Interface("172.17.0.2/16"), gateway=IPv4Address("10.9.9.9")),
        replace(ENDPOINT, address=None),
        replace(ENDPOINT, interface="lo"),
    ],
    ids=["a gateway out of reach", "no address", "a name that is taken"],
)
def test_a_failed_attach_leaves_nothing(host: Host, namespace: Path, broken: Endpoint) -> None:
    host.run(create)
    with pytest.raises(EngineError):
        host.run(lambda: attach(namespace, endpoint=broken))
    assert interfaces(host) == ["lo", "docker0"]
    assert host.sh("nsenter", f"--net={namespace}", "ip", "-br", "link").split()[0] == "lo"


def test_detach_and_delete_are_idempotent_and_leave_nothing(host: Host, namespace: Path) -> None:
    host.run(create)
    host.run(lambda: attach(namespace))
    for _ in range(2):
        host.run(lambda: BridgeDriver(Firewall()).detach(NETWORK, [ENDPOINT]))
        host.run(lambda: BridgeDriver(Firewall()).delete(NETWORK))
    assert interfaces(host) == ["lo"]
    assert "docker0" not in host.sh("nft", "list", "ruleset")


def test_a_foreign_bridge_is_used_and_never_removed(host: Host) -> None:
    host.sh("ip", "link", "add", "br0", "type", "bridge")
    host.sh("ip", "addr", "add", "192.0.2.1/24", "dev", "br0")
    host.sh("ip", "link", "set", "br0", "mtu", "1400")
    own = replace(NETWORK, bridge="br0")
    host.run(lambda: create(own))
    assert "192.0.2.1/24" in host.sh("ip", "addr", "show", "br0")
    assert "mtu 1400" in host.sh("ip", "link", "show", "br0")
    host.run(lambda: BridgeDriver(Firewall()).delete(own))
    assert "br0" in interfaces(host)


def test_a_bridge_network_has_one_subnet_of_each_family() -> None:
    driver = BridgeDriver(RefusingRules())
    with pytest.raises(InvalidInput, match="ipv4 pool is empty"):
        driver.validate(replace(NETWORK, subnets=()))
    with pytest.raises(InvalidInput, match="ipv6 pool is empty"):
        driver.validate(replace(NETWORK, ipv6=True))
    with pytest.raises(InvalidInput, match="bridge driver doesn't support multiple subnets"):
        driver.validate(replace(NETWORK, subnets=(POOL, POOL)))
    driver.validate(replace(NETWORK, subnets=(), ipam_driver="none"))


def addresses(host: Host) -> set[str]:
    """What the bridge carries, without the address that it gives itself on its link."""
    words = host.sh("ip", "-o", "addr", "show", "docker0").split()
    return {word for before, word in itertools.pairwise(words) if before.startswith("inet") and not word.startswith("fe80")}


class TestBothFamilies:
    def test_the_bridge_has_the_gateways_at_once(self, host: Host) -> None:
        host.sh("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.default.accept_ra=1")
        host.run(lambda: create(DUAL))
        assert addresses(host) == {"172.17.0.1/16", "fd00:17::1/64"}
        assert "tentative" not in host.sh("ip", "-6", "addr", "show", "docker0")
        assert "fd00:17::/64" in host.sh("ip", "-6", "route", "show", "dev", "docker0")
        assert "local ::1 dev docker0" in host.sh("ip", "-6", "route", "show", "table", "local")
        assert host.sh("sysctl", "-n", "net.ipv6.conf.docker0.accept_ra") == "0\n"

    def test_creating_it_again_changes_nothing(self, host: Host) -> None:
        def pictures() -> tuple[str, ...]:
            rules = host.sh("nft", "list", "ruleset")
            return host.sh("ip", "addr"), host.sh("ip", "-6", "route", "show", "table", "all"), rules

        host.run(lambda: create(DUAL))
        before = pictures()
        host.run(lambda: create(DUAL))
        assert pictures() == before

    def test_other_subnets_replace_the_addresses(self, host: Host) -> None:
        host.run(lambda: create(DUAL))
        other = IPv6Network("fd00:18::/64")
        host.run(lambda: create(replace(DUAL, subnets=(POOL, Subnet(subnet=other, gateway=other[1], range=other)))))
        assert addresses(host) == {"172.17.0.1/16", "fd00:18::1/64"}

    @pytest.mark.parametrize(
        ("fields", "carried"),
        [
            ({"internal": True}, {"172.17.0.1/16", "fd00:17::1/64"}),
            ({"addressed": False}, {"fd00:17::1/64"}),
            ({"internal": True, "gateway_mode": GatewayMode.ISOLATED}, {"fd00:17::1/64"}),
            ({"internal": True, "gateway_mode6": GatewayMode.ISOLATED}, {"172.17.0.1/16"}),
        ],
        ids=["internal", "inhibit_ipv4", "isolated", "isolated6"],
    )
    def test_the_bridge_carries_what_the_options_want(self, host: Host, fields: dict[str, Any], carried: set[str]) -> None:
        host.run(lambda: create(replace(DUAL, **fields)))
        assert addresses(host) == carried

    def test_a_network_of_ipv6_alone(self, host: Host) -> None:
        host.run(lambda: create(replace(DUAL, ipv4=False, subnets=(POOL6,))))
        assert addresses(host) == {"fd00:17::1/64"}

    def test_deleting_it_leaves_nothing(self, host: Host) -> None:
        host.run(lambda: create(DUAL))
        host.run(lambda: BridgeDriver(Firewall()).delete(DUAL))
        assert interfaces(host) == ["lo"]
        assert "docker0" not in host.sh("nft", "list", "ruleset") + host.sh("ip", "-6", "route", "show", "table", "all")
        assert "fd00" not in host.sh("nft", "list", "ruleset")

    def test_without_ipv6_in_the_kernel_an_endpoint_has_the_rest(self, host: Host, namespace: Path) -> None:
        dual = replace(ENDPOINT, address6=IPv6Interface("fd00:17::2/64"), gateway6=SUBNET6[1], leads=(4, 6))

        def attach_both() -> None:
            with Undo() as undo:
                BridgeDriver(Firewall(), ipv6=False).attach(DUAL, dual, namespace, undo)
            BridgeDriver(Firewall(), ipv6=False).restore(DUAL, dual, namespace)

        host.run(create)
        host.run(attach_both)
        inside = host.sh("nsenter", f"--net={namespace}", "ip", "addr", "show", "eth0")
        assert "172.17.0.2/16" in inside
        assert "inet6" not in inside

    def test_without_ipv6_in_the_kernel_there_is_the_rest_and_one_word(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        def create_both() -> None:
            rules = Firewall()
            rules.apply(ruleset())
            driver = BridgeDriver(rules, ipv6=False)
            for made in (DUAL, replace(DUAL, id="2", bridge="docker1", subnets=(OTHER_POOL, POOL6))):
                with Undo() as undo:
                    driver.create(made, undo)

        host.run(create_both)
        assert addresses(host) == {"172.17.0.1/16"}
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            "this kernel has no IPv6: networks have what they have of IPv4 only, bridge is the first"
        ]
