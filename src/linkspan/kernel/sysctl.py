"""Kernel settings under /proc/sys.

A key is written with dots, or with slashes where an interface's name may have dots: `net/ipv4/conf/eth0.5/forwarding`.
Keys under net/ are those of the calling thread's network namespace.
"""

import errno
from collections.abc import Mapping
from pathlib import Path

from linkspan.errors import KernelError
from linkspan.kernel import netns

_ROOT = Path("/proc/sys")
_IPV6 = _ROOT / "net/ipv6"


def get(key: str) -> str:
    """Return a setting; equivalent to `sysctl -n KEY`. Raises KernelError, with ENOENT if there is none of that name."""
    try:
        return _path(key).read_text().strip()
    except OSError as error:
        raise KernelError(f"read sysctl {key}", error.errno or errno.EIO) from error


def put(key: str, value: str) -> None:
    """Change a setting; equivalent to `sysctl -w KEY=VALUE`. Raises KernelError.

    On a kernel without IPv6, settings of IPv6 are ignored: what they turn off or on is not there.
    """
    path = _path(key)
    if path.is_relative_to(_IPV6) and not _IPV6.exists():
        return
    try:
        path.write_text(value)
    except OSError as error:
        raise KernelError(f"set sysctl {key} to {value}", error.errno or errno.EIO) from error


def has_ipv6() -> bool:
    """Whether the kernel has IPv6; equivalent to `test -e /proc/sys/net/ipv6/conf`."""
    return (_IPV6 / "conf").exists()


def listeners() -> tuple[str, ...]:
    """Return the interfaces that take routes from routers on their link, as long as they forward nothing (accept_ra=1).

    Equivalent to `grep -lx 1 /proc/sys/net/ipv6/conf/*/accept_ra`, without those that forward already.
    """
    folder = _IPV6 / "conf"
    names = [entry.name for entry in folder.iterdir()] if folder.exists() else []
    kept = (name for name in sorted(names) if name not in ("all", "default", "lo"))
    return tuple(name for name in kept if _reads(folder / name / "accept_ra", "1") and _reads(folder / name / "forwarding", "0"))


def _reads(path: Path, value: str) -> bool:
    try:
        return path.read_text().strip() == value
    except OSError:
        return False  # the interface has just gone


def put_inside(namespace: Path, settings: Mapping[str, str]) -> None:
    """Change settings of a namespace; equivalent to `nsenter --net=NAMESPACE sysctl -w KEY=VALUE …`. Raises as `put`, NotFound."""

    def put_all() -> None:
        for key, value in settings.items():
            put(key, value)

    netns.run_in(namespace, put_all)


def _path(key: str) -> Path:
    return _ROOT / (key if "/" in key else key.replace(".", "/"))
