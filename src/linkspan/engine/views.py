"""What the engine shows: values that `api.wire` renders as Docker's JSON."""

from dataclasses import dataclass, field

from linkspan.model.attachment import Attachment
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.image import Image
from linkspan.model.network import Network
from linkspan.plan.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSeat:
    """What a container asked of a network, and what it has of it."""

    attachment: Attachment
    network: Network | None = None
    """None: there is none of that name (any more)."""
    endpoint: Endpoint | None = None
    """Its interface there; None of host and none, and while it has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class ContainerView:
    """A container with what it is attached to; only `inspect` tells of the key, the name, the files and the execs.

    `files` are host paths: hostname, hosts, resolv.conf, log (empty if there is none).
    """

    container: Container
    seats: tuple[NetworkSeat, ...] = ()
    """The networks that it is on, in the order in which they were asked for; none in container mode."""
    image: Image | None = None
    """None if the image was removed by force."""
    sandbox_key: str = ""
    """Path of the network namespace while it runs."""
    hostname: str = ""
    """The effective one."""
    files: dict[str, str] = field(default_factory=dict)
    execs: tuple[str, ...] = ()
    size_rw: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """A network and who is on it now (`members` of host and none have no endpoint)."""

    network: Network
    members: tuple[tuple[Container, Endpoint | None], ...] = ()
    usage: tuple[Usage, ...] = ()
    """Of each pool; only inspect tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune removed; `space` in bytes."""

    ids: tuple[str, ...] = ()
    space: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """What GET /info needs and only the engine knows."""

    id: str
    name: str
    containers: int
    running: int
    paused: int
    stopped: int
    images: int
    data_root: str
    exec_root: str
    runtime: str
    """crun or runc."""
    runtime_reason: str
    """Why that one."""
    bridge: str
    """Name and address of the default network's bridge, e.g. `docker0 172.17.0.1/16`; empty if there is none."""
    warnings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    live_restore: bool = True
    memory: int = 0
    cpus: int = 0
    kernel: str = ""
    os: str = ""
    architecture: str = ""
    cgroup_version: str = ""
    cgroup_driver: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    """Of crun or runc, conmon, skopeo, umoci, nftables, python."""
