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


def put_inside(namespace: Path, settings: Mapping[str, str]) -> None:
    """Change settings of a namespace; equivalent to `nsenter --net=NAMESPACE sysctl -w KEY=VALUE …`. Raises as `put`, NotFound."""

    def put_all() -> None:
        for key, value in settings.items():
            put(key, value)

    netns.run_in(namespace, put_all)


def _path(key: str) -> Path:
    return _ROOT / (key if "/" in key else key.replace(".", "/"))
