"""What the engine says of itself and its host (Docker API: GET /info, /version)."""

import asyncio
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
_TOOLS = ("conmon", "skopeo", "umoci", "nft")


class Tools:
    """The programs that the engine uses. They are asked for their versions when somebody wants to know: a start must not wait for it."""

    def __init__(self, runtime: Choice) -> None:
        """Say in the log which programs are missing, and the packages that bring them."""
        self._runtime = runtime
        self._asked: asyncio.Future[dict[str, str]] | None = None
        for name in _TOOLS:
            try:
                process.find(name)
            except EngineError as error:
                logger.warning("%s", error)

    async def versions(self) -> dict[str, str]:
        """Return the versions by program; those that are missing are left out."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asked)

    async def _ask(self) -> dict[str, str]:
        programs = (str(self._runtime.program), *_TOOLS)
        answers = await asyncio.gather(*map(_version, programs))
        found = {name: version(name) for name in ("aiohttp", "pyroute2")}
        return found | {program.rpartition("/")[2]: answer for program, answer in zip(programs, answers, strict=True) if answer}


async def _version(program: str) -> str:
    """Return what a program says of its version, empty if it is missing or fails."""
    try:
        said = (await process.run(program, "--version")).output
    except EngineError as error:
        logger.debug("%s", error)
        return ""
    match = _VERSION.search(said)
    return match[0] if match else said.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Answers `info`."""

    config: Config
    store: Store
    images: ImageStore
    runtime: Choice
    tools: Tools
    lacking: tuple[str, ...] = ()
    """What this host cannot do, in sentences."""

    async def info(self) -> SystemInfo:
        """Return the engine's settings, its host, and how many of what it has."""
        host = hostinfo.read()
        states = [container.state.status for container in self.store.containers()]
        bridges = [f"{network.bridge} {address}" for network in self.store.networks() for address in network.bridge_addresses]
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
            versions=await self.tools.versions(),
        )
