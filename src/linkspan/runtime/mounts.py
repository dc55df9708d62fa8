"""The mounts of a container: Docker's own, the network's files, and what the user asked for."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from linkspan.errors import Unsupported
from linkspan.model.container import Mount, Spec

Json = dict[str, Any]

INIT_PATH = "/sbin/docker-init"
"""Where the init of `--init` is seen in the container, as Docker has it."""

_STRICT = ["nosuid", "noexec", "nodev"]
_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_NOT_FOR_MOUNT = {"rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "rbind", "bind"}
"""Options of `-v` that mount(8) does not know, or that are the default here."""


def render_mounts(spec: Spec, files: Sequence[tuple[Path, str]], init_binary: Path | None) -> list[Json]:
    """Return the runtime-spec's mounts; where two have one target, the user's wins over the engine's.

    Raises Unsupported for an IPC mode that needs another container's /dev/shm.
    """
    own = [*_default_mounts(spec), *_file_mounts(spec, files, init_binary)]
    asked = sorted(map(_user_mount, spec.mounts), key=lambda mount: mount["destination"].rstrip("/").count("/"))
    taken = {mount["destination"] for mount in asked}
    return [mount for mount in own if mount["destination"] not in taken] + asked


def root_propagation(mounts: Iterable[Mount]) -> str:
    """Return what the root's propagation must be for those of the binds to work; empty for the runtime's default."""
    options = {option for mount in mounts for option in mount.options}
    if options & {"shared", "rshared"}:
        return "rshared"
    return "rslave" if options & {"slave", "rslave"} else ""


def _default_mounts(spec: Spec) -> Iterator[Json]:
    access = [] if spec.security.privileged else ["ro"]
    yield _mount("proc", "proc", "/proc", _STRICT)
    yield _mount("tmpfs", "tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"])
    yield _mount("devpts", "devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])
    yield _mount("sysfs", "sysfs", "/sys", [*_STRICT, *access])
    yield _mount("cgroup", "cgroup", "/sys/fs/cgroup", [*_STRICT, *access])
    yield _mount("mqueue", "mqueue", "/dev/mqueue", _STRICT)
    match spec.security.ipc_mode:
        case "" | "private" | "shareable":
            yield _mount("tmpfs", "shm", "/dev/shm", [*_STRICT, "mode=1777", f"size={spec.shm_size}"])  # noqa: S108  the container's own
        case "host":
            yield _bind("/dev/shm", "/dev/shm", ["rw"])  # noqa: S108  what the mode is for
        case "none":
            return
        case mode:
            raise Unsupported(f"IPC mode {mode} is not supported")


def _file_mounts(spec: Spec, files: Sequence[tuple[Path, str]], init_binary: Path | None) -> Iterator[Json]:
    access = "ro" if spec.security.read_only_root else "rw"
    for source, target in files:
        yield _bind(str(source), target, [access, "rprivate"])
    if init_binary is not None:
        yield _bind(str(init_binary), INIT_PATH, ["ro", "rprivate"])


def _user_mount(mount: Mount) -> Json:
    options = [option for option in mount.options if option not in _NOT_FOR_MOUNT]
    if mount.kind == "tmpfs":
        return _mount("tmpfs", "tmpfs", mount.target, list(dict.fromkeys([*_unless_undone(options), *options])))
    if not _PROPAGATIONS & set(options):
        options.append("rprivate")
    return _bind(mount.source, mount.target, options)


def _unless_undone(options: Sequence[str]) -> list[str]:
    """Docker's options of a tmpfs, without those that the user turned round (`exec`, `suid`, `dev`)."""
    return [option for option in ("noexec", "nosuid", "nodev") if option.removeprefix("no") not in options]


def _bind(source: str, target: str, options: Sequence[str]) -> Json:
    return _mount("bind", source, target, ["rbind", *options])


def _mount(kind: str, source: str, target: str, options: Sequence[str]) -> Json:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
