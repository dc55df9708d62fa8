"""What the host is: for `info` and `version`."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """Facts about the host; `memory` in bytes, `cpus` those that this process may use."""

    memory: int
    cpus: int
    kernel: str
    os: str
    architecture: str
    cgroup_version: str


def read() -> HostInfo:
    """Return the facts; equivalent to `free -b`, `nproc`, `uname -rm`, `cat /etc/os-release`."""
    machine = os.uname()
    return HostInfo(
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cpus=len(os.sched_getaffinity(0)),
        kernel=machine.release,
        os=_os_name(),
        architecture=machine.machine,
        cgroup_version="2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
    )


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "Linux"
