"""Containers: what was asked for, and what has become of them."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from linkspan.errors import InvalidInput
from linkspan.model.attachment import Attachment
from linkspan.model.publish import Port, PortRequest, Publish

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
NAME_LIMIT = 255
"""Bytes. Docker sets none; a longer name cannot be a file name or a host name anywhere."""


def container_name(text: str) -> str:
    """Return the name without Docker's leading slash; raises InvalidInput in Docker's words."""
    name = text.removeprefix("/")
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        shown = name if name.isprintable() else repr(name)[1:-1]
        shown = shown if len(name) <= NAME_LIMIT else f"{shown[:32]}… ({len(name)} characters, at most {NAME_LIMIT})"
        raise InvalidInput(f"Invalid container name ({shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name


class Status(StrEnum):
    """Docker's container states, except dead and removing, which nobody ever sees here."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMode:
    """How a container gets its network. `target` is the container (mode container) or the network (mode network)."""

    kind: str
    """bridge, host, none, container or network."""
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> "NetworkMode":
        """Parse Docker's HostConfig.NetworkMode; raises InvalidInput (semantics 3.1, 3.2.1)."""
        if text in ("", "default", "bridge"):
            return cls(kind="bridge")
        if text in ("host", "none"):
            return cls(kind=text)
        if text in ("container", "container:"):
            raise InvalidInput("invalid network mode: invalid container format container:<name|id>")
        if text.startswith("container:"):
            return cls(kind="container", target=text.removeprefix("container:"))
        return cls(kind="network", target=text)

    def __str__(self) -> str:
        if self.kind == "container":
            return f"container:{self.target}"
        return self.target if self.kind == "network" else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A bind mount (`kind` bind) or a tmpfs (`kind` tmpfs). `options` are mount(8) options such as ro, rslave, size=64m."""

    kind: str
    target: str
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def read_only(self) -> bool:
        return "ro" in self.options


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """One resource limit (setrlimit(2)); -1 means unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device of the host given to the container, with its cgroup rights (a subset of `rwm`)."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits; 0 means none. Memory in bytes, cpus in billionths (Docker's NanoCpus), quota and period in microseconds."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()


def security_option(text: str) -> tuple[str, str]:
    """Return the key and the value of KEY, KEY=VALUE or, as it was written once, KEY:VALUE."""
    key, _, value = text.partition("=" if "=" in text else ":")
    return key, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Rights of the container's processes."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """Docker's SecurityOpt: seccomp=unconfined, no-new-privileges, …, and anti-spoofing=false of our own."""
    group_add: tuple[str, ...] = ()
    read_only_root: bool = False
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = ""
    userns_mode: str = ""
    cgroupns_mode: str = ""

    def __post_init__(self) -> None:
        for option in self.options:
            if option.startswith("anti-spoofing") and option not in ("anti-spoofing=true", "anti-spoofing=false"):
                raise InvalidInput(f'invalid --security-opt "{option}": anti-spoofing is true or false')

    @property
    def anti_spoofing(self) -> bool:
        """Whether what the container sends must carry its own MAC and address."""
        return "anti-spoofing=false" not in self.options


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs: final values, the image's configuration already merged in."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """no, always, unless-stopped, or on-failure with at most `retries` (0: no limit)."""

    name: str = "no"
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """What a container asked of its network."""

    mode: NetworkMode
    mac: str = ""
    requests: tuple[PortRequest, ...] = ()
    publish_all: bool = False
    exposed: tuple[Port, ...] = ()
    """Image EXPOSE, --expose and -p together."""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """(name, address) pairs; the address may be `host-gateway`."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """(container id, alias) pairs of the default bridge's legacy links."""
    sysctls: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything that was asked for at create: it never changes afterwards (rename and restart policy live in Container)."""

    process: Process
    network: NetworkConfig
    image: str
    """The image's id."""
    image_name: str
    """As the user wrote it."""
    hostname: str = ""
    domainname: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    """Both are parts of process.args, kept for inspect and ps."""
    labels: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    binds: tuple[str, ...] = ()
    """HostConfig.Binds as given, for inspect."""
    resources: Resources = Resources()
    security: Security = Security()
    shm_size: int = 64 * 1024 * 1024
    init: bool = False
    auto_remove: bool = False
    stop_signal: str = "SIGTERM"
    stop_timeout: int = 10
    """Seconds."""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What has become of the container. Times are nanoseconds since the epoch, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    monitor_pid: int = 0
    monitor_start: int = 0
    """Start time of the monitor process in clock ticks since boot (proc(5) stat field 22), so that a reused pid is noticed."""
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started: int = 0
    finished: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    restart_asked: bool = False
    """It is being stopped to be started again: if the engine does not live to do it, the next one does."""

    @property
    def running(self) -> bool:
        return self.status in (Status.RUNNING, Status.PAUSED)

    def at_rest(self) -> "State":
        """The state of a container that nobody is going to start any more."""
        status = Status.EXITED if self.status is Status.RESTARTING else self.status
        return replace(self, status=status, restart_asked=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container."""

    id: str
    name: str
    created: int
    """Nanoseconds since the epoch."""
    spec: Spec
    restart: RestartPolicy = RestartPolicy()
    state: State = State()
    sandbox: str = ""
    """The sandbox it runs in (its own id, another container's, or HOST_SANDBOX); empty while it does not run."""
    attachments: tuple[Attachment, ...] = ()
    """The networks that it is on, in the order in which they were asked for."""
    publishes: tuple[Publish, ...] = ()
    """Host ports it holds now; empty while it does not run."""

    @property
    def short_id(self) -> str:
        return self.id[:12]

    def restarts_after(self, state: State) -> bool:
        """Whether its restart policy starts it again after an end in this state."""
        if state.manually_stopped:
            return False
        if self.restart.name == "on-failure":
            return state.exit_code != 0 and not (self.restart.retries and state.restart_count >= self.restart.retries)
        return self.restart.name in ("always", "unless-stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A command run in a running container. It is not stored: an exec ends with its container."""

    id: str
    container: str
    process: Process
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    running: bool = False
    exit_code: int | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Docker's event message (API: GET /events)."""

    kind: str
    """container, network, image or daemon."""
    action: str
    actor: str
    """Id (container, network) or name (image)."""
    attributes: dict[str, str]
    time: int
    """Nanoseconds since the epoch."""
