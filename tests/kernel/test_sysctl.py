"""Kernel settings."""

import errno
from functools import partial
from pathlib import Path

import pytest

from linkspan.errors import KernelError, NotFound
from linkspan.kernel import sysctl
from tests.hosts import Host

pytestmark = pytest.mark.kernel


def test_a_setting_is_written_and_read(host: Host) -> None:
    host.run(lambda: sysctl.put("net.ipv4.ip_forward", "1"))
    assert host.run(lambda: sysctl.get("net/ipv4/ip_forward")) == "1"
    assert host.sh("sysctl", "-n", "net.ipv4.ip_forward") == "1\n"


def test_an_interface_with_a_dot_in_its_name_has_settings_too(host: Host) -> None:
    host.sh("ip", "link", "add", "br0.5", "type", "bridge")

    host.run(lambda: sysctl.put("net/ipv4/conf/br0.5/route_localnet", "1"))
    assert host.run(lambda: sysctl.get("net/ipv4/conf/br0.5/route_localnet")) == "1"


def test_settings_inside_leave_those_outside_alone(host: Host, outside: Host) -> None:
    settings = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_default_ttl": "70"}
    outside.run(lambda: sysctl.put("net.ipv4.ip_forward", "0"))  # a new namespace takes the machine's

    sysctl.put_inside(host.path, settings)
    assert {key: host.run(partial(sysctl.get, key)) for key in settings} == settings
    assert {key: outside.run(partial(sysctl.get, key)) for key in settings} == {"net.ipv4.ip_forward": "0", "net/ipv4/ip_default_ttl": "64"}


def test_refusals_name_the_setting(host: Host, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"^read sysctl net\.ipv4\.nothing: No such file or directory$") as refusal:
        host.run(lambda: sysctl.get("net.ipv4.nothing"))
    assert refusal.value.errno == errno.ENOENT
    with pytest.raises(KernelError, match=r"^set sysctl net\.ipv4\.ip_forward to maybe: Invalid argument$"):
        sysctl.put_inside(host.path, {"net.ipv4.ip_forward": "maybe"})
    with pytest.raises(NotFound):
        sysctl.put_inside(tmp_path / "gone", {"net.ipv4.ip_forward": "1"})
