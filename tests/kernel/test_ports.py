"""Ports of the host."""

import errno
import os
import socket
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from linkspan.errors import Unsupported
from linkspan.kernel import ports, sysctl
from linkspan.model.network import IPAddress
from tests.hosts import HOST_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

ANY = IPv4Address("0.0.0.0")
LOOPBACK = IPv4Address("127.0.0.1")
ANY6 = IPv6Address("::")
LOOPBACK6 = IPv6Address("::1")

both = pytest.mark.parametrize("protocol", ["tcp", "udp"])


class Holder:
    """Reserves ports in a host, and gives them back at the end."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.held: list[int] = []

    def __call__(self, address: IPAddress, port: int, protocol: str) -> int:
        self.held.append(self._host.run(partial(ports.reserve, address, port, protocol)))
        return self.held[-1]


@pytest.fixture
def reserve(host: Host) -> Iterator[Holder]:
    holder = Holder(host)
    yield holder
    for fd in holder.held:
        os.close(fd)


def refused(reserve: Holder, address: IPAddress, port: int, protocol: str) -> int | None:
    with pytest.raises(OSError, match=r".") as refusal:
        reserve(address, port, protocol)
    return refusal.value.errno


class TestReserve:
    @both
    @pytest.mark.parametrize("second", [ANY, LOOPBACK])
    def test_a_reserved_port_is_refused_to_others(self, reserve: Holder, protocol: str, second: IPv4Address) -> None:
        reserve(ANY, 80, protocol)
        assert refused(reserve, second, 80, protocol) == errno.EADDRINUSE

    @both
    def test_others_are_noticed(self, host: Host, reserve: Holder, protocol: str) -> None:
        with host.answering("127.0.0.1", 80, b"", protocol):
            assert refused(reserve, ANY, 80, protocol) == errno.EADDRINUSE
        reserve(ANY, 80, protocol)

    @both
    def test_ports_of_different_protocols_and_addresses_are_different_ports(self, outside: Host, reserve: Holder, protocol: str) -> None:
        reserve(LOOPBACK, 80, "tcp")
        reserve(LOOPBACK, 80, "udp")
        reserve(IPv4Address(HOST_ADDRESS), 80, protocol)

    @both
    @pytest.mark.parametrize("second", [ANY6, LOOPBACK6])
    def test_a_port_of_ipv6_is_reserved_apart_from_that_of_ipv4(self, reserve: Holder, protocol: str, second: IPv6Address) -> None:
        reserve(ANY6, 80, protocol)
        reserve(ANY, 80, protocol)
        assert refused(reserve, second, 80, protocol) == errno.EADDRINUSE

    @both
    def test_a_copy_holds_the_port_when_the_first_is_closed(self, reserve: Holder, protocol: str) -> None:
        reserve.held.append(os.dup(first := reserve(ANY, 80, protocol)))
        os.close(reserve.held.pop(0))

        assert refused(reserve, ANY, 80, protocol) == errno.EADDRINUSE
        os.close(reserve.held.pop())
        assert reserve(ANY, 80, protocol) == first

    @both
    def test_nobody_can_talk_to_it(self, host: Host, reserve: Holder, protocol: str) -> None:
        fd = reserve(ANY, 80, protocol)

        assert not host.reaches("127.0.0.1", 80, protocol)
        with socket.socket(fileno=os.dup(fd)) as held, pytest.raises(BlockingIOError):
            held.setblocking(False)
            held.accept() if protocol == "tcp" else held.recv(1)

    @both
    def test_programs_do_not_inherit_it(self, reserve: Holder, protocol: str) -> None:
        assert not os.get_inheritable(reserve(ANY, 80, protocol))

    def test_an_address_of_somebody_else_is_refused(self, reserve: Holder) -> None:
        assert refused(reserve, IPv4Address("192.0.2.1"), 80, "tcp") == errno.EADDRNOTAVAIL

    def test_refusals_leave_no_descriptor(self, reserve: Holder) -> None:
        reserve(ANY, 80, "tcp")
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        refused(reserve, ANY, 80, "tcp")
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208

    @pytest.mark.skipif(Path("/proc/sys/net/sctp").exists(), reason="this kernel has SCTP")
    def test_a_protocol_that_the_kernel_does_not_have_is_named(self, reserve: Holder) -> None:
        with pytest.raises(Unsupported, match=r"^port 80/sctp: the kernel of this host has no sctp$"):
            reserve(ANY, 80, "sctp")


class TestHolder:
    def test_a_program_is_named_with_its_pid(self, host: Host, tmp_path: Path) -> None:
        server = host.spawn("busybox", "httpd", "-f", "-p", "8080", "-h", tmp_path)
        named = until(lambda: host.run(lambda: ports.holder(ANY, 8080, "tcp")))
        assert named == f"busybox (pid {server.pid})"
        # It listens at [::], which takes 127.0.0.1 too.
        assert host.run(lambda: ports.holder(LOOPBACK, 8080, "tcp")) == named

    @both
    def test_only_overlapping_addresses_and_the_same_port_count(self, host: Host, outside: Host, protocol: str) -> None:
        with host.answering("127.0.0.1", 80, b"", protocol):
            found = [host.run(partial(ports.holder, *place, protocol)) for place in ((LOOPBACK, 80), (ANY, 80), (LOOPBACK, 81))]
            assert [f"(pid {os.getpid()})" in name for name in found] == [True, True, False]
            assert host.run(lambda: ports.holder(IPv4Address(HOST_ADDRESS), 80, protocol)) == ""
            assert outside.run(lambda: ports.holder(LOOPBACK, 80, protocol)) == ""

    @both
    def test_addresses_of_ipv6_are_their_own(self, host: Host, reserve: Holder, protocol: str) -> None:
        reserve(LOOPBACK6, 80, protocol)
        found = [host.run(partial(ports.holder, address, 80, protocol)) for address in (LOOPBACK6, ANY6, ANY, IPv6Address("fd00::1"))]
        assert [f"(pid {os.getpid()})" in name for name in found] == [True, True, False, False]

    def test_mapped_addresses_are_addresses_of_version_4(self, host: Host) -> None:
        with host.run(lambda: socket.socket(socket.AF_INET6)) as server:
            server.bind(("::ffff:127.0.0.1", 80))
            server.listen()
            assert f"(pid {os.getpid()})" in host.run(lambda: ports.holder(LOOPBACK, 80, "tcp"))
            assert host.run(lambda: ports.holder(IPv4Address("127.0.0.2"), 80, "tcp")) == ""

    @both
    def test_a_port_that_nobody_holds_has_no_holder(self, host: Host, protocol: str) -> None:
        assert host.run(lambda: ports.holder(ANY, 80, protocol)) == ""

    def test_a_protocol_that_the_kernel_does_not_have_has_no_holder(self, host: Host) -> None:
        assert host.run(lambda: ports.holder(ANY, 80, "sctp")) == ""


class TestRanges:
    def test_the_range_for_automatic_choice(self, host: Host) -> None:
        host.run(lambda: sysctl.put("net.ipv4.ip_local_port_range", "40000 40010"))
        assert host.run(ports.ephemeral_range) == (40000, 40010)

    @pytest.mark.parametrize(("setting", "expected"), [("", frozenset()), ("8080", {8080}), ("22,9000-9002", {22, 9000, 9001, 9002})])
    def test_ports_set_aside(self, host: Host, setting: str, expected: set[int]) -> None:
        host.run(lambda: sysctl.put("net.ipv4.ip_local_reserved_ports", f"{setting}\n"))
        assert host.run(ports.reserved) == expected
