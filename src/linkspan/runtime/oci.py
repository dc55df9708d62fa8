"""Which OCI runtime runs the containers, and which init their processes may have."""

from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import InvalidInput, MissingTool
from linkspan.kernel import process
from linkspan.runtime.host import leftover_controllers


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An OCI runtime. `reason` says in one sentence why it is this one."""

    program: Path
    name: str
    reason: str


async def choose_runtime(wanted: str = "") -> Choice:
    """Return the runtime to use: the wanted one (crun, runc or a path), else crun if it can run here, else runc.

    Raises MissingTool if it is not installed, InvalidInput if a path names no program.
    """
    if wanted:
        return _forced(wanted)
    if controllers := leftover_controllers():
        reason = f"crun refuses a host whose cgroup v2 hierarchy has controllers ({' '.join(controllers)}) beside v1"
        return Choice(program=process.find("runc"), name="runc", reason=f"runc: {reason}")
    try:
        return Choice(program=process.find("crun"), name="crun", reason="crun: the fastest that is installed")
    except MissingTool:
        return Choice(program=process.find("runc"), name="runc", reason="runc: crun is not installed")


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
    if "/" not in wanted:
        return Choice(program=process.find(wanted), name=wanted, reason=f"{wanted}: set by --default-runtime")
    program = Path(wanted)
    if not program.is_file():
        raise InvalidInput(f"no such OCI runtime: {wanted}")
    return Choice(program=program, name=program.name, reason=f"{wanted}: set by --default-runtime")
