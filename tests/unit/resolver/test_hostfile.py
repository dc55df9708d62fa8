"""The host's resolv.conf, followed."""

import os
from pathlib import Path

from linkspan.resolver.hostfile import HostServers


def test_a_change_is_seen_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\nnameserver 10.0.0.2\n")
    host = HostServers(path, tmp_path / "none")
    assert host.servers() == ("10.0.0.1", "10.0.0.2")
    before = host.generation
    assert host.servers() == ("10.0.0.1", "10.0.0.2")
    assert host.generation == before
    path.write_text("nameserver 10.0.0.33\n")
    assert host.servers() == ("10.0.0.33",)
    assert host.generation == before + 1


def test_a_file_that_is_replaced_or_gone_is_seen(tmp_path: Path) -> None:
    path, other = tmp_path / "resolv.conf", tmp_path / "new"
    path.write_text("nameserver 10.0.0.1\n")
    host = HostServers(path, tmp_path / "none")
    host.servers()
    other.write_text("nameserver 10.0.0.2\n")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)
    assert host.servers() == ("10.0.0.2",)
    path.unlink()
    assert host.servers() == ()


def test_a_symlink_that_leads_elsewhere_is_seen(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"nameserver 10.0.0.{ord(name)}\n")
    path = tmp_path / "resolv.conf"
    path.symlink_to("a")
    host = HostServers(path, tmp_path / "none")
    assert host.servers() == ("10.0.0.97",)
    path.unlink()
    path.symlink_to("b")
    assert host.servers() == ("10.0.0.98",)


def test_behind_systemds_stub_its_own_servers_are_asked(tmp_path: Path) -> None:
    path, systemd = tmp_path / "resolv.conf", tmp_path / "systemd"
    path.write_text("nameserver 127.0.0.53\noptions edns0\n")
    host = HostServers(path, systemd)
    assert host.servers() == ("127.0.0.53",)
    systemd.write_text("nameserver 10.1.1.1\n")
    assert host.servers() == ("10.1.1.1",)


def test_what_is_no_address_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver router\nnameserver 10.0.0.300\nnameserver\nnameserver fe80::1%eth0\nnameserver 10.0.0.1\n")
    assert HostServers(path, tmp_path / "none").servers() == ("fe80::1%eth0", "10.0.0.1")


def test_three_servers_are_asked_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("".join(f"nameserver 10.0.0.{number}\n" for number in range(1, 6)))
    assert HostServers(path, tmp_path / "none").servers() == ("10.0.0.1", "10.0.0.2", "10.0.0.3")
