"""What the engine says of itself and its host (Docker API: GET /info, /version)."""

import logging
import os
import re
from dataclasses import dataclass
from importlib.metadata import version

from linkspan.config import Config
from linkspan.engine.views import SystemInfo
from linkspan.errors import EngineError
from linkspan.images.store import ImageStore
from linkspan.kernel import hostinfo, process
from linkspan.model.container import Status
from linkspan.runtime.oci import Choice
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

_VERSION = re.compile(r"\d+(\.\d+)+")
_TOOLS = (("conmon", "--version"), ("skopeo", "--version"), ("umoci", "--version"), ("nft", "--version"))


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Answers `info`."""

    config: Config
    store: Store
    images: ImageStore
    runtime: Choice
    versions: dict[str, str]
    lacking: tuple[str, ...] = ()
    """What this host cannot do, in sentences."""

    def info(self) -> SystemInfo:
        """Return the engine's settings, its host, and how many of what it has."""
        host = hostinfo.read()
        states = [container.state.status for container in self.store.containers()]
        bridges = [f"{network.bridge} {network.subnets[0].gateway_interface}" for network in self.store.networks() if network.subnets]
        return SystemInfo(
            id=self.store.setting("id") or "",
            name=os.uname().nodename,
            containers=len(states),
            running=states.count(Status.RUNNING),
            paused=states.count(Status.PAUSED),
            stopped=len(states) - states.count(Status.RUNNING) - states.count(Status.PAUSED),
            images=len(self.images.list()),
            data_root=str(self.config.data_root),
            exec_root=str(self.config.exec_root),
            runtime=self.runtime.name,
            runtime_reason=self.runtime.reason,
            bridge=bridges[0] if bridges else "",
            warnings=self.config.warnings + self.lacking,
            labels=self.config.labels,
            insecure_registries=self.config.insecure_registries,
            live_restore=self.config.live_restore,
            memory=host.memory,
            cpus=host.cpus,
            kernel=host.kernel,
            os=host.os,
            architecture=host.architecture,
            cgroup_version=host.cgroup_version,
            cgroup_driver="cgroupfs",
            versions=self.versions,
        )


async def tool_versions(runtime: Choice) -> dict[str, str]:
    """Return the versions of the programs that the engine uses; those that are missing are left out."""
    found = {name: version(name) for name in ("aiohttp", "pyroute2")}
    for program, flag in ((str(runtime.program), "--version"), *_TOOLS):
        try:
            said = (await process.run(program, flag)).output
        except EngineError as error:
            logger.warning("%s", error)
            continue
        match = _VERSION.search(said)
        found[program.rpartition("/")[2]] = match[0] if match else said.strip()
    return found
