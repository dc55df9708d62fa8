"""Connections that the kernel tracks."""

import socket
from functools import partial
from ipaddress import IPv4Address, IPv6Address

import pytest

from linkspan.kernel import conntrack
from linkspan.model.network import IPAddress
from tests.hosts import HOST_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

TRACKING = "table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }"
PORTS = range(7000, 7004)
HERE, HERE6 = IPv4Address(HOST_ADDRESS), IPv6Address("fd99::1")
FAMILIES = {socket.AF_INET: str(HERE), socket.AF_INET6: str(HERE6)}


def tracked(host: Host, family: int) -> list[int]:
    """How many UDP conversations to each of the ports the host knows."""

    def count() -> list[int]:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:
            return [len(list(conntrack._dump(opened, port, family))) for port in PORTS]

    return host.run(count)


@pytest.fixture
def talking(host: Host, outside: Host) -> Host:
    """A host that the neighbour has called on four UDP ports, from eight ports each, in both families."""
    host.sh("nft", "-f", "-", stdin=TRACKING)
    for machine, address in ((host, str(HERE6)), (outside, "fd99::2")):
        machine.sh("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")

    def call() -> None:
        for family, address in FAMILIES.items():
            for port in PORTS:
                for _ in range(8):
                    with socket.socket(family, socket.SOCK_DGRAM) as caller:
                        caller.sendto(b"?", (address, port))

    outside.run(call)
    for family in FAMILIES:
        until(lambda: tracked(host, family) == [8, 8, 8, 8], what="the packets have arrived")  # noqa: B023  called at once
    return host


def test_only_the_named_ports_of_the_named_addresses_are_forgotten(talking: Host) -> None:
    ports: set[tuple[IPAddress, int]] = {
        (HERE, 7000),
        (HERE, 7002),
        (HERE, 9),
        (IPv4Address("192.0.2.1"), 7001),
        (HERE6, 7003),
        (IPv6Address("fd99::9"), 7001),
    }
    talking.run(partial(conntrack.forget_udp, ports))
    assert tracked(talking, socket.AF_INET) == [0, 8, 0, 8]
    assert tracked(talking, socket.AF_INET6) == [8, 8, 8, 0]


def test_forgetting_nothing_and_twice_is_fine(talking: Host) -> None:
    both: set[tuple[IPAddress, int]] = {(HERE, 7000), (HERE6, 7001)}
    for ports in (set[tuple[IPAddress, int]](), both, both):
        talking.run(partial(conntrack.forget_udp, ports))
    assert tracked(talking, socket.AF_INET) == [0, 8, 8, 8]
    assert tracked(talking, socket.AF_INET6) == [8, 0, 8, 8]
