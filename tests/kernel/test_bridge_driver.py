"""The bridge driver on the real kernel: what it makes, and that a failed step leaves nothing."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from linkspan.drivers.bridge import BridgeDriver
from linkspan.errors import Conflict, EngineError, InvalidInput
from linkspan.kernel import netns
from linkspan.kernel.nft import Firewall, RulesetRefused
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network, Subnet
from linkspan.plan.firewall import ruleset
from linkspan.undo import Undo
from tests.hosts import Host

pytestmark = pytest.mark.kernel

SUBNET = IPv4Network("172.17.0.0/16")
POOL = Subnet(subnet=SUBNET, gateway=SUBNET[1], range=SUBNET)
NETWORK = Network(id="1", name="bridge", driver="bridge", created=0, bridge="docker0", subnets=(POOL,))
ENDPOINT = Endpoint(
    id="e" * 64,
    network="1",
    sandbox="c",
    mac="02:42:ac:11:00:02",
    address=IPv4Interface("172.17.0.2/16"),
    gateway=IPv4Address("172.17.0.1"),
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
    own = replace(NETWORK, bridge="br0")
    host.run(lambda: create(own))
    assert "192.0.2.1/24" in host.sh("ip", "addr", "show", "br0")
    host.run(lambda: BridgeDriver(Firewall()).delete(own))
    assert "br0" in interfaces(host)


def test_a_bridge_network_has_one_subnet() -> None:
    driver = BridgeDriver(RefusingRules())
    with pytest.raises(InvalidInput, match="ipv4 pool is empty"):
        driver.validate(replace(NETWORK, subnets=()))
    with pytest.raises(InvalidInput, match="bridge driver doesn't support multiple subnets"):
        driver.validate(replace(NETWORK, subnets=(POOL, POOL)))
