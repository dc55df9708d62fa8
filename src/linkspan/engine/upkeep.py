"""Keeping store and kernel in agreement: at the start, whenever somebody breaks something, and when asked."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from linkspan.config import Config
from linkspan.diagnose import host
from linkspan.drivers.base import Driver
from linkspan.engine.cleanup import Cleanup
from linkspan.engine.files import ContainerFiles
from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.reconcile import Reconciler
from linkspan.engine.repair import SWEPT, Repairer
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.survey import EVERYTHING, Surveyor
from linkspan.engine.watch import Watch
from linkspan.errors import EngineError
from linkspan.kernel.nft import Firewall
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container
from linkspan.model.finding import Finding, Report
from linkspan.model.host import InsideState
from linkspan.plan.converge import Difference
from linkspan.plan.diagnosis import finding
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

SETTLING = 0.5
"""Seconds after which a difference must still be there to be one: what is being done looks like one for a moment."""
TOGETHER = 8
"""Namespaces that are looked into in one job of the kernel thread."""


class Upkeep:
    """Reconciles at the start, watches afterwards, examines and repairs on demand."""

    def __init__(
        self,
        config: Config,
        store: Store,
        kernel: KernelThread,
        parts: tuple[Sandboxes, ContainerFiles, Runtime, Lifecycle, Cleanup],
        means: tuple[Firewall, Mapping[str, Driver]],
    ) -> None:
        sandboxes, files, runtime, lifecycle, self._cleanup = parts
        self._config = config
        self._store = store
        self._kernel = kernel
        self._lifecycle = lifecycle
        self._surveyor = Surveyor(config, store, *means, (sandboxes, files, runtime))
        self._repairer = Repairer(store, kernel, *means, (sandboxes, files, runtime))
        self._reconciler = Reconciler(store, kernel, runtime, (self._surveyor, self._repairer, lifecycle))
        self._watch = Watch(store, kernel, self._surveyor, self._repairer, lifecycle.busy)

    async def open(self) -> None:
        """Make the host as the store wants it, and keep it so unless the settings forbid it."""
        await self._lifecycle.resolution.open()
        await self._reconciler.run()
        await self._lifecycle.resolution.taken_over()
        if self._config.repair:
            self._watch.open()

    async def close(self) -> None:
        """Let the host alone from now on."""
        await self._watch.close()

    async def examine(self) -> Report:
        """Compare the store with the kernel, all of it, and look at the host; nothing is changed."""
        found = tuple(map(self._finding, await self._differences()))
        networks, endpoints = self._surveyor.networks(), self._surveyor.attached()
        around = await host.examine(self._config, networks, endpoints=endpoints)
        return Report(findings=found + await self._silences() + around)

    async def repair(self) -> Report:
        """Mend what can be mended, and tell what was and what could not be."""
        differences = await self._differences()
        mended: list[str] = []
        for difference in differences:
            if not self._finding(difference).repairable:
                continue
            try:
                await self._mend(difference)
            except EngineError as error:
                logger.error("cannot be mended: %s: %s", difference.sentence, error)  # noqa: TRY400  no bug of ours
            else:
                mended.append(f"{difference.sentence}: {difference.mend.value}")
                logger.warning("mended on demand: %s: %s", difference.sentence, difference.mend.value)
        for sandbox in await self._lifecycle.resolution.silent():
            try:
                await self._lifecycle.resolution.serve_again(sandbox)
            except EngineError as error:
                logger.error("cannot be mended: %s: %s", self._silence(sandbox).what, error)  # noqa: TRY400  no bug of ours
            else:
                mended.append(f"{self._silence(sandbox).what}: open what answers anew")
        return Report(findings=(await self.examine()).findings, mended=tuple(mended))

    async def _silences(self) -> tuple[Finding, ...]:
        return tuple(map(self._silence, await self._lifecycle.resolution.silent()))

    def _silence(self, sandbox: str) -> Finding:
        container = self._store.container(sandbox)
        name = container.name if container else sandbox[:12]
        return Finding(
            kind="names-silent",
            what=f"nobody answers the questions of {name} for names",
            why="it finds no other container and nobody outside by name; the rules in its namespace are gone, or the resolver is",
            remedy="linkspan doctor --repair",
            repairable=True,
        )

    async def _mend(self, difference: Difference) -> None:
        if difference.mend not in SWEPT:
            await self._repairer.mend(difference)
            return
        async with self._lifecycle.lock(difference.subject):  # what looked like a stray may be a container's that has been started since
            container = self._store.container(difference.subject)
            if container is None or not container.state.running:
                await self._repairer.mend(difference)

    async def _differences(self) -> tuple[Difference, ...]:
        """Return the differences that are not those of something under way: they are seen twice."""
        first = await self._survey()
        if not first:
            return ()
        await asyncio.sleep(SETTLING)
        seen = {(difference.kind, difference.subject) for difference in first}
        return tuple(difference for difference in await self._survey() if (difference.kind, difference.subject) in seen)

    async def _survey(self) -> tuple[Difference, ...]:
        await self._cleanup.everything()
        insides: dict[str, InsideState | None] = {}
        endpoints = self._surveyor.attached()
        for start in range(0, len(endpoints), TOGETHER):
            insides |= await self._kernel.run(partial(self._surveyor.insides, endpoints[start : start + TOGETHER]))
        busy = self._lifecycle.busy()
        found = await self._kernel.run(partial(self._surveyor.differences, EVERYTHING, insides))
        found += await self._kernel.run(self._surveyor.strays)
        busy |= self._lifecycle.busy()  # also what began in between
        return tuple(difference for difference in found if not difference.concerns(busy))

    def _finding(self, difference: Difference) -> Finding:
        containers = (self._store.container(container_id) for container_id in difference.containers)
        return finding(difference, own_master=any(map(_masters_its_network, filter(None, containers))))


def _masters_its_network(container: Container) -> bool:
    security = container.spec.security
    added = {name.upper().removeprefix("CAP_") for name in security.cap_add}
    return security.privileged or not added.isdisjoint(("NET_ADMIN", "ALL"))
