"""Devices that a container asks for."""

from pathlib import Path

import pytest

from linkspan.errors import InvalidInput
from linkspan.model.container import Device
from linkspan.runtime.devices import Node, gather


def test_a_device_is_as_the_host_has_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    [node] = gather([Device(host_path=str(tmp_path / "link"), container_path="/dev/mine", permissions="r")], privileged=False)
    status = Path("/dev/null").stat()
    mode = status.st_mode & 0o7777
    assert node == Node(path="/dev/mine", kind="c", major=1, minor=3, mode=mode, uid=status.st_uid, gid=status.st_gid, permissions="r")


def test_privileged_sees_the_hosts_devices_but_its_own_terminals() -> None:
    paths = {node.path for node in gather([], privileged=True)}
    assert {"/dev/null", "/dev/zero"} <= paths
    assert "/dev/console" not in paths
    assert not [path for path in paths if path.startswith("/dev/pts/")]


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "no such file or directory"), ("file", "not a device node"), ("folder", "no devices found")]
)
def test_what_is_no_device_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = str(tmp_path / name)
    with pytest.raises(InvalidInput) as refusal:
        gather([Device(host_path=path, container_path=path)], privileged=False)
    assert str(refusal.value) == f'error gathering device information while adding custom device "{path}": {reason}'
