"""Switching forwarding on for networks, and back: the host stays what it was to others."""

import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from linkspan.config import Config
from linkspan.engine.forwarding import FORWARDING, FORWARDING6, Forwarding, switch_back
from linkspan.model.network import Network, Subnet
from linkspan.store.sqlite import SqliteStore
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel

Needs = Callable[[Network], None]


def network(*subnets: str, internal: bool = False) -> Network:
    families = [IPv6Network(subnet) if ":" in subnet else IPv4Network(subnet) for subnet in subnets]
    pools = tuple(Subnet(subnet=subnet, gateway=subnet[1], range=subnet) for subnet in families)
    return Network(id="n", name="n", driver="bridge", created=0, bridge="br-n", subnets=pools, internal=internal)


ONE, BOTH = network("172.18.0.0/24"), network("172.18.0.0/24", "fd00::/64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with_store = SqliteStore(tmp_path / "linkspan.db")
    yield with_store
    with_store.close()


@pytest.fixture
def need(host: Host, store: SqliteStore) -> Needs:
    host.sh("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    return lambda network: host.run(lambda: Forwarding(Config(), store).need(network))


def forwards(host: Host) -> list[str]:
    return host.sh("sysctl", "-n", FORWARDING.replace("/", "."), FORWARDING6.replace("/", ".")).split()


def test_each_family_is_forwarded_from_the_first_network_that_leads_out_in_it(host: Host, need: Needs) -> None:
    need(ONE)
    assert forwards(host) == ["1", "0"]
    need(network("172.18.0.0/24", "fd00::/64", internal=True))
    assert forwards(host) == ["1", "0"]
    need(BOTH)
    assert forwards(host) == ["1", "1"]


def test_purge_switches_back_what_was_switched_on(host: Host, need: Needs, store: SqliteStore) -> None:
    need(BOTH)
    host.run(lambda: switch_back(store))
    assert forwards(host) == ["0", "0"]


def test_what_was_on_already_stays(host: Host, need: Needs, store: SqliteStore) -> None:
    host.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    need(BOTH)
    host.run(lambda: switch_back(store))
    assert forwards(host) == ["1", "1"]


def test_the_settings_may_leave_it_to_others(host: Host, need: Needs, store: SqliteStore) -> None:
    host.run(lambda: Forwarding(Config(ip_forward=False), store).need(BOTH))
    assert forwards(host) == ["0", "0"]


def advertise() -> None:
    """Tell everybody on the link that this machine is a router (RFC 4861, 4.2)."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
        router.sendto(advertisement, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))


def test_a_default_route_that_a_router_has_told_stays(host: Host, outside: Host, need: Needs, store: SqliteStore) -> None:
    def learned() -> bool:
        outside.run(advertise)
        return "proto ra" in host.sh("ip", "-6", "route", "show", "default")

    until(lambda: "tentative" not in outside.sh("ip", "-6", "addr", "show", "dev", "eth0"), what="the router has an address")
    until(learned, what="the host has learned its default route")
    need(BOTH)
    assert forwards(host) == ["1", "1"]
    assert "proto ra" in host.sh("ip", "-6", "route", "show", "default")
    host.sh("ip", "-6", "route", "flush", "default")
    until(learned, what="the host still listens")

    host.run(lambda: switch_back(store))
    assert host.sh("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra") == "1\n"
