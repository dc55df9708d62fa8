"""What a container's configuration depends on and only the host knows."""

import os
from dataclasses import dataclass
from pathlib import Path

from linkspan.kernel import openfiles
from linkspan.runtime.capabilities import names_of

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Facts that do not change while the engine runs."""

    cgroup2: bool
    """Whether the unified hierarchy is the one that holds the controllers."""
    swap_limit: bool
    """Whether memory and swap together can be limited."""
    capabilities: frozenset[str]
    """Those that this process may hand on: nobody can give more than he has."""
    machine: str
    """As uname(1) says it: x86_64, aarch64, …"""
    kernel: tuple[int, int]
    open_files: tuple[int, int] | None = None
    """The soft and the hard limit that containers get unless they ask for others; None: the engine's own."""


def inspect_host() -> Host:
    """Look at the running kernel and at this process's rights."""
    system = os.uname()
    major, minor = (int("".join(filter(str.isdigit, part)) or 0) for part in system.release.split(".")[:2])
    cgroup2 = is_cgroup2()
    return Host(
        cgroup2=cgroup2,
        swap_limit=cgroup2 or (_CGROUPS / "memory/memory.memsw.limit_in_bytes").exists(),
        capabilities=frozenset(names_of(_bounding_set())),
        machine=system.machine,
        kernel=(major, minor),
        open_files=openfiles.started_with(),
    )


def is_cgroup2() -> bool:
    """Whether /sys/fs/cgroup is the unified hierarchy itself (only its root has this file)."""
    return (_CGROUPS / "cgroup.controllers").exists()


def leftover_controllers() -> tuple[str, ...]:
    """Return the controllers that a unified hierarchy beside cgroup v1 holds; none on a pure host of either kind."""
    if is_cgroup2():
        return ()
    try:
        return tuple((_CGROUPS / "unified/cgroup.controllers").read_text().split())
    except OSError:
        return ()


def _bounding_set() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "CapBnd":
            return int(value, 16)
    return 0
