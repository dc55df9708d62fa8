"""Connections that the kernel tracks."""

import socket
from ipaddress import IPv4Address

import pytest

from linkspan.kernel import conntrack
from tests.hosts import HOST_ADDRESS, Host

pytestmark = pytest.mark.kernel

TRACKING = "table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }"


def tracked(port: int) -> int:
    """How many UDP conversations to this port the calling thread's namespace knows."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:
        return len(list(conntrack._dump(opened, port)))


@pytest.fixture
def talking(host: Host, outside: Host) -> Host:
    """A host that the neighbour has called on four UDP ports, from eight ports each, and by TCP."""
    host.sh("nft", "-f", "-", stdin=TRACKING)

    def call() -> None:
        for port in range(7000, 7004):
            for _ in range(8):
                with socket.socket(type=socket.SOCK_DGRAM) as caller:
                    caller.sendto(b"?", (HOST_ADDRESS, port))

    outside.run(call)
    assert not outside.reaches(HOST_ADDRESS, 7000)
    assert [host.run(lambda: tracked(port)) for port in range(7000, 7005)] == [8, 8, 8, 8, 0]  # noqa: B023  called at once
    return host


def test_only_the_named_ports_are_forgotten(talking: Host) -> None:
    here = IPv4Address(HOST_ADDRESS)
    talking.run(lambda: conntrack.forget_udp({(here, 7000), (here, 7002), (here, 9), (IPv4Address("192.0.2.1"), 7001)}))
    assert [talking.run(lambda: tracked(port)) for port in range(7000, 7004)] == [0, 8, 0, 8]  # noqa: B023  called at once


def test_forgetting_nothing_and_twice_is_fine(talking: Host) -> None:
    for ports in (set(), {(IPv4Address(HOST_ADDRESS), 7000)}, {(IPv4Address(HOST_ADDRESS), 7000)}):
        talking.run(lambda: conntrack.forget_udp(ports))  # noqa: B023  called at once
    assert talking.run(lambda: tracked(7000)) == 0
