"""A container as the OCI runtime-spec 1.0 describes it (config.json), with Docker's defaults (moby: daemon/pkg/oci/defaults.go)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linkspan.errors import InvalidInput
from linkspan.model.container import Container, Process, Resources, Security, Spec, Ulimit, security_option
from linkspan.runtime import seccomp
from linkspan.runtime.capabilities import CAPABILITIES, granted
from linkspan.runtime.devices import Node
from linkspan.runtime.host import Host
from linkspan.runtime.mounts import INIT_PATH, render_mounts, root_propagation
from linkspan.runtime.users import User

Json = dict[str, Any]
"""A JSON object of the runtime-spec's."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MASKED = (
    "/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats "
    "/proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap"
).split()
_READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
_ORDINARY_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
"""null, zero, full, random, urandom, tty, ptmx: what every container may use (devices.txt of the kernel)."""
_PERIOD = 100_000
"""Microseconds: the scheduler's default, which `--cpus` is a share of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything that one start of a container is made of."""

    container: Container
    rootfs: Path
    hostname: str
    user: User
    namespace: Path | None = None
    """The file of its network namespace; None: the engine's own, which is the host's."""
    files: tuple[tuple[Path, str], ...] = ()
    """(file on the host, path in the container): hosts, hostname, resolv.conf."""
    init_binary: Path | None = None
    reserved: tuple[int, ...] = ()
    """File descriptors (host ports) that the monitor keeps open as long as the container runs."""


def cgroup_path(container_id: str) -> str:
    """Return where a container's processes are in every hierarchy."""
    return f"linkspan/{container_id}"


def render(launch: Launch, host: Host, devices: Sequence[Node]) -> Json:
    """Return the config.json of a container. `devices` are those it asked for (`devices.gather`).

    Raises InvalidInput for what Docker refuses too, in its words.
    """
    spec = launch.container.spec
    config: Json = {
        "ociVersion": "1.0.2",
        "process": _process(launch, host),
        "root": {"path": str(launch.rootfs), "readonly": spec.security.read_only_root},
        "mounts": render_mounts(spec, launch.files, launch.init_binary),
        "linux": _linux(launch, host, devices),
    }
    if spec.security.uts_mode != "host":
        config["hostname"] = launch.hostname
    return config


def exec_process(running: Json, process: Process, user: User, *, privileged: bool, host: Host) -> Json:
    """Return the process object of a command run in a container whose own process object is `running`."""
    names = tuple(name for name in CAPABILITIES if name in host.capabilities)
    given = names if privileged else tuple(running["capabilities"]["bounding"])
    defaults = {"TERM": "xterm"} if process.tty else {}
    return running | {
        "args": list(process.args),
        "env": _environment(defaults, (*running["env"], *process.env)),
        "cwd": process.working_dir or "/",
        "terminal": process.tty,
        "user": _user(user),
        "capabilities": _capability_sets(given, user),
    }


def _process(launch: Launch, host: Host) -> Json:
    spec = launch.container.spec
    process, security, resources = spec.process, spec.security, spec.resources
    # HOME is the runtime's business: it looks the user up in the container's passwd file if the environment has none.
    defaults = {"PATH": DEFAULT_PATH, "HOSTNAME": launch.hostname, **({"TERM": "xterm"} if process.tty else {})}
    rendered: Json = {
        "terminal": process.tty,
        "user": _user(launch.user),
        "args": [INIT_PATH, "--", *process.args] if launch.init_binary else list(process.args),
        "env": _environment(defaults, process.env),
        "cwd": process.working_dir or "/",
        "capabilities": _capability_sets(granted(security, host.capabilities), launch.user),
        "noNewPrivileges": no_new_privileges(security),
    }
    # Limits are never raised by default: that needs CAP_SYS_RESOURCE, which the engine may lack; the container has the engine's, but
    # for the one that the engine has raised for itself.
    if limits := (*resources.ulimits, *_lowered_again(resources, host)):
        rendered["rlimits"] = [_rlimit(limit) for limit in limits]
    if resources.oom_score_adj:
        rendered["oomScoreAdj"] = resources.oom_score_adj
    return rendered


def _lowered_again(resources: Resources, host: Host) -> Iterator[Ulimit]:
    if host.open_files and not any(limit.name == "nofile" for limit in resources.ulimits):
        yield Ulimit(name="nofile", soft=host.open_files[0], hard=host.open_files[1])


def _linux(launch: Launch, host: Host, devices: Sequence[Node]) -> Json:
    spec = launch.container.spec
    open_paths = spec.security.privileged or "systempaths=unconfined" in spec.security.options
    linux: Json = {
        "namespaces": _namespaces(launch, host),
        "cgroupsPath": f"/{cgroup_path(launch.container.id)}",
        "resources": {**_limits(spec.resources, host), "devices": _device_rules(spec.security, devices)},
        "sysctl": _sysctls(launch),
        "maskedPaths": [] if open_paths else _MASKED,
        "readonlyPaths": [] if open_paths else _READ_ONLY,
    }
    if devices:
        linux["devices"] = [_device(node) for node in devices]
    if (profile := seccomp_profile(spec.security)) is not None:
        linux["seccomp"] = seccomp.render_profile(profile, granted(spec.security, host.capabilities), host)
    if propagation := root_propagation(spec.mounts):
        linux["rootfsPropagation"] = propagation
    return linux


def seccomp_profile(security: Security) -> Json | None:
    """Return the profile that the security options ask for, Docker's default without any, None for none. Raises InvalidInput."""
    profile = None if security.privileged else seccomp.default_profile()
    for option in security.options:
        name, value = security_option(option)
        if name == "seccomp":
            profile = _named_profile(value)
    return profile


def _named_profile(value: str) -> Json | None:
    match value:
        case "unconfined":
            return None
        case "builtin" | "default":
            return seccomp.default_profile()
        case _:
            return seccomp.parse_profile(value)


def no_new_privileges(security: Security) -> bool:
    """Whether a security option forbids gaining rights by execve(2). Raises InvalidInput for a value that is not a boolean."""
    wanted = False
    for option in security.options:
        name, value = security_option(option)
        if name != "no-new-privileges":
            continue
        if value.lower() not in ("", "true", "1", "t", "false", "0", "f"):
            raise InvalidInput(f'invalid --security-opt 2: "{option}"')
        wanted = value.lower() in ("", "true", "1", "t")
    return wanted


def _user(user: User) -> Json:
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}


def _capability_sets(names: Sequence[str], user: User) -> Json:
    """Only root starts with them in effect; the others gain them by set-uid programs, within the bounding set. None is inheritable:
    a file capability must not be enough to keep them (CVE-2022-24769)."""
    effective = list(names) if user.uid == 0 else []
    return {"bounding": list(names), "effective": effective, "permitted": effective, "inheritable": [], "ambient": []}


def _environment(defaults: dict[str, str], entries: Iterable[str]) -> list[str]:
    """Merge `NAME=value` entries over the defaults: the last one wins, at the first one's place."""
    merged = dict(defaults)
    for entry in entries:
        name, _, value = entry.partition("=")
        merged[name] = value
    return [f"{name}={value}" for name, value in merged.items()]


def _namespaces(launch: Launch, host: Host) -> list[Json]:
    security = launch.container.spec.security
    shared = {kind for kind, mode in (("pid", security.pid_mode), ("ipc", security.ipc_mode), ("uts", security.uts_mode)) if mode == "host"}
    kinds = [kind for kind in ("mount", "pid", "ipc", "uts") if kind not in shared]
    # cgroup v1 never had a private namespace in Docker: tools in containers look their own path up in /proc/self/cgroup.
    if security.cgroupns_mode == "private" or (host.cgroup2 and security.cgroupns_mode != "host" and not security.privileged):
        kinds.append("cgroup")
    network = [{"type": "network", "path": str(launch.namespace)}] if launch.namespace else []
    return [{"type": kind} for kind in kinds] + network


def _sysctls(launch: Launch) -> dict[str, str]:
    network = launch.container.spec.network
    values = {name: value for name, value in network.sysctls.items() if launch.namespace or not name.startswith("net.")}
    domain = launch.container.spec.domainname
    return values | ({"kernel.domainname": domain} if domain and launch.container.spec.security.uts_mode != "host" else {})


def _limits(resources: Resources, host: Host) -> Json:
    limits: Json = {"memory": _memory(resources, host), "cpu": _cpu(resources), "pids": {}}
    if resources.pids_limit:
        limits["pids"] = {"limit": resources.pids_limit}
    return {kind: values for kind, values in limits.items() if values}


def _memory(resources: Resources, host: Host) -> Json:
    swap = resources.memory_swap or 2 * resources.memory  # Docker's default: as much swap as memory
    wanted = {
        "limit": resources.memory,
        "swap": swap if host.swap_limit else 0,
        "reservation": resources.memory_reservation,
        "disableOOMKiller": resources.oom_kill_disable,
    }
    return {name: value for name, value in wanted.items() if value}


def _cpu(resources: Resources) -> Json:
    quota, period = resources.cpu_quota, resources.cpu_period
    if resources.nano_cpus:
        quota, period = resources.nano_cpus * _PERIOD // 10**9, _PERIOD
    wanted = {
        "shares": resources.cpu_shares,
        "quota": quota,
        "period": period,
        "cpus": resources.cpuset_cpus,
        "mems": resources.cpuset_mems,
    }
    return {name: value for name, value in wanted.items() if value}


def _rlimit(limit: Ulimit) -> Json:
    unlimited = (1 << 64) - 1
    soft, hard = (unlimited if value < 0 else value for value in (limit.soft, limit.hard))
    return {"type": f"RLIMIT_{limit.name.upper()}", "soft": soft, "hard": hard}


def _device_rules(security: Security, devices: Iterable[Node]) -> list[Json]:
    if security.privileged:
        return [{"allow": True, "access": "rwm"}]
    ordinary = ({"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"} for major, minor in _ORDINARY_DEVICES)
    asked = (
        {"allow": True, "type": node.kind, "major": node.major, "minor": node.minor, "access": node.permissions}
        for node in devices
        if node.kind in "bc"
    )
    return [{"allow": False, "access": "rwm"}, *ordinary, *asked]


def _device(node: Node) -> Json:
    numbers = {"major": node.major, "minor": node.minor} if node.kind in "bc" else {}
    return {"type": node.kind, "path": node.path, **numbers, "fileMode": node.mode, "uid": node.uid, "gid": node.gid}


def validate(spec: Spec, host: Host) -> None:
    """Raise InvalidInput for what `render` would refuse, so that a wrong request fails when the container is created."""
    seccomp_profile(spec.security)
    no_new_privileges(spec.security)
    granted(spec.security, host.capabilities)
