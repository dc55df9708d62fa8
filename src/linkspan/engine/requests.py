"""What clients ask for: the values that `api.wire` makes out of Docker's JSON."""

from dataclasses import dataclass, field

from linkspan.model.attachment import Attachment
from linkspan.model.container import Mount, NetworkConfig, Resources, RestartPolicy, Security


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """POST /containers/create. None means: as the image says."""

    image: str
    network: NetworkConfig
    """`links` is empty here: they are in `links` as given, because only the engine can look containers up."""
    attachments: tuple[Attachment, ...] = ()
    """The networks to be on, as given: names and ids are not looked up yet. None at all: that of the mode."""
    name: str | None = None
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    """`NAME=value`, or `NAME` alone, which removes the image's."""
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    hostname: str = ""
    domainname: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    links: tuple[str, ...] = ()
    """`NAME[:ALIAS]` of the default bridge's legacy links."""
    mounts: tuple[Mount, ...] = ()
    binds: tuple[str, ...] = ()
    resources: Resources = Resources()
    security: Security = Security()
    shm_size: int = 0
    init: bool | None = None
    auto_remove: bool = False
    restart: RestartPolicy = RestartPolicy()
    warnings: tuple[str, ...] = ()
    """What the parser wants the user to know; the engine adds its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """POST /containers/{id}/exec."""

    cmd: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachRequest:
    """POST /containers/{id}/attach: which streams, and whether the log comes first."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    logs: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """GET /containers/{id}/logs. Times are nanoseconds since the epoch, 0 for no bound; `tail` None means all."""

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    tail: int | None = None
    since: int = 0
    until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The answer to a create."""

    id: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitResult:
    """How a container ended; `error` is why it could not start."""

    exit_code: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """What ps(1) says of a container's processes."""

    titles: tuple[str, ...]
    processes: tuple[tuple[str, ...], ...]
