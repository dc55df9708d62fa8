"""Devices of the host that a container gets to see, and which of them it may use (moby: daemon/pkg/oci/devices_linux.go)."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import InvalidInput
from linkspan.model.container import Device

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
_OWN_IN_EVERY_CONTAINER = {"pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A device node as the container will have it."""

    path: str
    kind: str
    """c, b or p, as mknod(1) takes them."""
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    permissions: str = "rwm"


def gather(devices: Sequence[Device], *, privileged: bool) -> tuple[Node, ...]:
    """Look at the host's devices that a container asks for; a privileged one gets them all.

    Raises InvalidInput in Docker's words for what is missing or no device.
    """
    found = {node.path: node for node in _inside(Path("/dev"), Path("/dev"), "rwm")} if privileged else {}
    for device in devices:
        found.update((node.path, node) for node in _asked(device))
    return tuple(found.values())


def _asked(device: Device) -> Iterable[Node]:
    source = Path(os.path.realpath(device.host_path))
    try:
        if source.is_dir():
            nodes = list(_inside(source, Path(device.container_path), device.permissions))
            reason = "no devices found"
        else:
            nodes = [node for node in [_node(source, device.container_path, device.permissions)] if node]
            reason = "not a device node"
    except OSError as error:
        nodes, reason = [], os.strerror(error.errno or 0).lower()
    if not nodes:
        raise InvalidInput(f'error gathering device information while adding custom device "{device.host_path}": {reason}')
    return nodes


def _inside(folder: Path, seen_as: Path, permissions: str) -> Iterator[Node]:
    for entry in sorted(folder.iterdir()):
        if entry.name in _OWN_IN_EVERY_CONTAINER or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _inside(entry, seen_as / entry.name, permissions)
        elif node := _node(entry, str(seen_as / entry.name), permissions):
            yield node


def _node(source: Path, path: str, permissions: str) -> Node | None:
    status = source.stat()
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    return Node(
        path=path,
        kind=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        permissions=permissions,
    )
