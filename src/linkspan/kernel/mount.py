"""Mounts."""

import errno
import re
from collections.abc import Sequence
from pathlib import Path

from linkspan.errors import KernelError
from linkspan.kernel import _libc

_OPTIONS_LIMIT = 4095
"""mount(2) reads one page of options and cuts the rest off."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Show `source` at `target` too; equivalent to `mount --bind SOURCE TARGET`, and `mount -o remount,bind,ro TARGET`."""
    _libc.mount(source, target, flags=_libc.MS_BIND)
    if not read_only:
        return
    try:
        _libc.mount("", target, flags=_libc.MS_BIND | _libc.MS_REMOUNT | _libc.MS_RDONLY)
    except KernelError:
        unmount(target)
        raise


def overlay(lower: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Lay the writable folder `upper` over `lower`, topmost first, at `target`.

    Equivalent to `mount -t overlay -o lowerdir=LOWER:…,upperdir=UPPER,workdir=WORK overlay TARGET`. Raises KernelError.
    """
    layers = ":".join(_escape(path).replace(":", "\\:") for path in lower)
    options = f"lowerdir={layers},upperdir={_escape(upper)},workdir={_escape(work)}"
    if len(options.encode()) > _OPTIONS_LIMIT:
        raise KernelError(f"mount overlay on {target}", errno.E2BIG, "the paths of its layers are too long")
    try:
        _libc.mount("overlay", target, "overlay", data=options)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        gone = ", ".join(str(path) for path in (*lower, upper, work, target) if not path.is_dir())
        detail = f"there is no {gone}" if gone else "though its layers and folders are there"
        raise KernelError(error.action, errno.ENOENT, detail) from error


def unmount(target: Path) -> None:
    """Take away all that is mounted on `target`, now for new users, for others when they are done. Idempotent.

    Equivalent to `umount --lazy TARGET` until it fails.
    """
    try:
        while True:
            _libc.umount2(target, _libc.MNT_DETACH | _libc.UMOUNT_NOFOLLOW)
    except KernelError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # EINVAL: nothing is mounted there
            raise


def mounts_under(path: Path) -> list[Path]:
    """Return the mount points below `path`, in an order in which they can be unmounted; equivalent to `findmnt -R PATH`."""
    root = path.resolve()
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(_OCTAL.sub(_character, line.split()[4])) for line in reversed(lines)]
    found = (point for point in points if point != root and point.is_relative_to(root))
    return [path / point.relative_to(root) for point in dict.fromkeys(found)]


def _escape(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace(",", "\\,")


def _character(octal: "re.Match[str]") -> str:
    return chr(int(octal[1], 8))
