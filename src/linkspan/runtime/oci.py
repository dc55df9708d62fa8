"""Which OCI runtime runs the containers, and which init their processes may have."""

from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import InvalidInput, MissingTool
from linkspan.kernel import process
from linkspan.runtime.host import leftover_controllers

_WITHOUT_LEFTOVERS = 'mount --make-private /sys/fs/cgroup && mount -t tmpfs -o size=4k none /sys/fs/cgroup/unified && exec "$0" "$@"'
"""What leads a program past a leftover hierarchy, in a mount namespace of its own: for everybody else the hierarchy stays.

It is covered and not unmounted: umount(8) reads the list of all mounts first.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An OCI runtime. `reason` says in one sentence why it is this one."""

    program: Path
    name: str
    reason: str
    way: tuple[str | Path, ...] = ()
    """The command that leads to the program when a container is created (a program and its first arguments); empty: none is needed."""


async def choose_runtime(wanted: str = "") -> Choice:
    """Return the runtime to use: the wanted one (crun, runc or a path), else crun if it can run here, else runc.

    Raises MissingTool if it is not installed, InvalidInput if a path names no program.
    """
    if wanted:
        return _forced(wanted)
    try:
        return _crun(process.find("crun"), "crun: the fastest that is installed")
    except MissingTool as error:
        return Choice(program=process.find("runc"), name="runc", reason=f"runc: {error.program} is not installed")


def find_init() -> Path:
    """Return a small init for `--init`. It must be static: the container's root has its own libraries, or none.

    Raises MissingTool if there is none.
    """
    for name in ("docker-init", "catatonit"):
        try:
            return process.find(name)
        except MissingTool:
            continue
    return process.find("tini-static")


def _forced(wanted: str) -> Choice:
    program = Path(wanted) if "/" in wanted else process.find(wanted)
    if not program.is_file():
        raise InvalidInput(f"no such OCI runtime: {wanted}")
    reason = f"{wanted}: set by --default-runtime"
    return _crun(program, reason) if program.name == "crun" else Choice(program=program, name=program.name, reason=reason)


def _crun(program: Path, reason: str) -> Choice:
    """crun refuses to create containers on a host whose cgroup v2 hierarchy has controllers beside v1: then it is shown none.

    Raises MissingTool if what that takes is not installed.
    """
    controllers = leftover_controllers()
    if not controllers:
        return Choice(program=program, name="crun", reason=reason)
    # Not by a namespace that is made once: mounts that the host gets later would be missing in containers that bind them.
    way = (process.find("unshare"), "--mount", "--propagation", "unchanged", process.find("busybox"), "sh", "-c", _WITHOUT_LEFTOVERS)
    hidden = f"it is not shown the cgroup v2 hierarchy, whose controllers ({' '.join(controllers)}) beside v1 it would refuse"
    return Choice(program=program, name="crun", reason=f"{reason}; {hidden}", way=way)
