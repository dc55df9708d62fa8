"""Addresses and routes."""

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from pathlib import Path
from typing import Any

import pytest

from linkspan.errors import KernelError, NotFound
from linkspan.kernel import address, link, route
from tests.hosts import Host

pytestmark = pytest.mark.kernel

GATEWAY = IPv4Interface("172.17.0.1/16")
GATEWAY6 = IPv6Interface("fd00:17::1/64")
INNER = IPv4Interface("172.17.0.2/16")


def bridge_with(*addresses: IPv4Interface) -> None:
    link.create_bridge("br0")
    link.set_up("br0")
    for one in addresses:
        address.add("br0", one)


def shown(host: Host, interface: str) -> list[dict[str, Any]]:
    """Return what `ip` shows of an interface's IPv4 addresses."""
    interfaces = json.loads(host.sh("ip", "-4", "-j", "addr", "show", "dev", interface))
    return [entry for shown in interfaces for entry in shown["addr_info"]]


class TestAddress:
    def test_it_is_added_with_its_broadcast_address(self, host: Host) -> None:
        host.run(lambda: bridge_with(GATEWAY, GATEWAY))

        [entry] = shown(host, "br0")
        assert (entry["local"], entry["prefixlen"], entry["broadcast"]) == ("172.17.0.1", 16, "172.17.255.255")

    @pytest.mark.parametrize("prefix", [31, 32])
    def test_a_link_of_two_has_no_broadcast_address(self, host: Host, prefix: int) -> None:
        host.run(lambda: bridge_with(IPv4Interface(f"10.0.0.2/{prefix}")))
        assert "broadcast" not in shown(host, "br0")[0]

    def test_addresses_are_listed_by_interface(self, host: Host) -> None:
        other = IPv4Interface("10.0.0.1/24")
        host.run(lambda: bridge_with(GATEWAY, other))
        assert host.run(lambda: address.of("br0")) == [GATEWAY, other]
        assert host.run(lambda: address.of("lo")) == [IPv4Interface("127.0.0.1/8")]
        assert host.run(address.local) == [IPv4Address("127.0.0.1"), GATEWAY.ip, other.ip]

    def test_one_of_the_other_family_can_be_used_at_once(self, host: Host) -> None:
        host.run(lambda: bridge_with(GATEWAY))
        for _ in range(2):
            host.run(lambda: address.add("br0", GATEWAY6))
        entries = [entry for shown in json.loads(host.sh("ip", "-6", "-j", "addr", "show", "br0")) for entry in shown["addr_info"]]
        [entry] = [entry for entry in entries if entry["scope"] == "global"]
        assert (entry["local"], entry["prefixlen"], entry.get("tentative", False)) == ("fd00:17::1", 64, False)
        assert GATEWAY6 in host.run(lambda: address.of6("br0"))
        assert GATEWAY6.ip in host.run(address.local6)
        assert host.run(lambda: address.of("br0")) == [GATEWAY]
        for _ in range(2):
            host.run(lambda: address.remove("br0", GATEWAY6))
        assert GATEWAY6 not in host.run(lambda: address.of6("br0"))

    def test_it_is_removed_and_removing_twice_is_fine(self, host: Host) -> None:
        host.run(lambda: bridge_with(GATEWAY))
        for _ in range(2):
            host.run(lambda: address.remove("br0", GATEWAY))
        host.run(lambda: address.remove("gone", GATEWAY))
        assert shown(host, "br0") == []

    def test_a_missing_interface_is_named(self, host: Host) -> None:
        for action in (lambda: address.add("gone", GATEWAY), lambda: address.of("gone")):
            with pytest.raises(NotFound, match=r"^no interface gone$"):
                host.run(action)


class TestInside:
    @staticmethod
    def wire(host: Host, outside: Host) -> None:
        host.run(lambda: bridge_with(GATEWAY))
        host.run(lambda: link.create_veth("veth0", "br0", outside.path, "inner", "02:42:ac:11:00:02"))
        host.run(lambda: link.set_up("veth0"))

    @pytest.fixture
    def inside(self, host: Host, tmp_path: Path) -> Any:
        """A container's namespace on br0, its interface not yet set up."""
        with Host(tmp_path / "inside.net") as machine:
            self.wire(host, machine)
            yield machine

    def test_one_visit_makes_it_reach_the_host(self, host: Host, inside: Host) -> None:
        address.configure_inside(inside.path, "inner", [INNER], [GATEWAY.ip], settings={"net/ipv4/conf/inner/forwarding": "1"})

        [entry] = shown(inside, "inner")
        assert (entry["local"], entry["broadcast"]) == ("172.17.0.2", "172.17.255.255")
        assert json.loads(inside.sh("ip", "-j", "route", "show", "default"))[0]["gateway"] == "172.17.0.1"
        assert inside.sh("sysctl", "-n", "net.ipv4.conf.inner.forwarding") == "1\n"
        with host.answering("172.17.0.1", 80, b"hello") as callers:
            assert inside.ask("172.17.0.1", 80) == b"hello"
        assert callers == ["172.17.0.2"]

    def test_without_a_gateway_there_is_no_default_route(self, inside: Host) -> None:
        address.configure_inside(inside.path, "inner", [INNER])
        assert inside.sh("ip", "route", "show", "default") == ""

    def test_a_gateway_off_the_link_is_refused(self, inside: Host) -> None:
        with pytest.raises(KernelError, match=r"^add a default route by 10\.9\.9\.9: Network is unreachable"):
            address.configure_inside(inside.path, "inner", [INNER], [IPv4Address("10.9.9.9")])

    def test_a_missing_interface_or_namespace_is_named(self, host: Host, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match=r"^no interface inner in "):
            address.configure_inside(host.path, "inner", [INNER])
        with pytest.raises(NotFound, match="no network namespace"):
            address.configure_inside(tmp_path / "gone", "inner", [INNER])


class TestRoutes:
    def test_subnets_of_all_but_one_interface_are_listed(self, host: Host, outside: Host) -> None:
        host.run(lambda: bridge_with(GATEWAY))
        host.sh("ip", "route", "add", "default", "via", "10.99.0.2")
        host.sh("ip", "route", "add", "192.168.7.0/24", "via", "10.99.0.2")
        host.sh("ip", "route", "add", "blackhole", "192.168.8.0/24")
        host.sh("ip", "route", "add", "192.168.9.0/24", "via", "10.99.0.2", "table", "77")

        others = (IPv4Network("10.99.0.0/24"), IPv4Network("192.168.7.0/24"), IPv4Network("192.168.8.0/24"))
        assert host.run(lambda: route.connected_subnets("br0")) == others
        assert set(host.run(lambda: route.connected_subnets("gone"))) == {*others, GATEWAY.network}

    def test_a_host_with_no_link_has_none(self, host: Host) -> None:
        assert host.run(lambda: route.connected_subnets("br0")) == ()
