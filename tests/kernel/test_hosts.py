"""The test hosts themselves: what other tests rely on."""

import os
from pathlib import Path

import pytest

from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host

pytestmark = pytest.mark.kernel


def test_a_host_sees_nothing_but_its_loopback(host: Host) -> None:
    assert [line.split(": ")[1] for line in host.sh("ip", "-o", "link").splitlines()] == ["lo"]


def test_code_runs_in_the_host_and_the_caller_stays_where_it_was(host: Host) -> None:
    before = os.readlink("/proc/thread-self/ns/net")

    assert host.run(lambda: os.stat("/proc/thread-self/ns/net").st_ino) == host.path.stat().st_ino  # noqa: PTH116
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_errors_come_back_to_the_caller(host: Host) -> None:
    def fail() -> None:
        raise LookupError("there")

    with pytest.raises(LookupError, match="there"):
        host.run(fail)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_host_and_the_outside_talk(host: Host, outside: Host, protocol: str) -> None:
    with host.answering("0.0.0.0", 80, b"hello", protocol) as callers:
        assert outside.ask(HOST_ADDRESS, 80, protocol) == b"hello"
        assert not outside.reaches(HOST_ADDRESS, 81, protocol)
    assert callers == [OUTSIDE_ADDRESS]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with Host(tmp_path / "gone") as machine:
        process = machine.spawn("cat", stdin=-1)
    assert process.returncode is not None
    assert not machine.path.exists()
    assert str(machine.path) not in Path("/proc/self/mounts").read_text()
