"""Start-up: make the host and the store agree again, whatever happened since the last engine.

What runs is taken over: its monitor is followed as if this engine had started it. What ended meanwhile ends now, with the exit
code that its monitor left. What nobody owns is swept: it carries our mark or lies under our roots.
"""

import logging
from dataclasses import replace
from functools import partial

from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.repair import Repairer
from linkspan.engine.survey import Surveyor
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container, Status
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store

logger = logging.getLogger(__name__)


class Reconciler:
    """Runs once, before the first request is served."""

    def __init__(self, store: Store, kernel: KernelThread, runtime: Runtime, parts: tuple[Surveyor, Repairer, Lifecycle]) -> None:
        self._store = store
        self._kernel = kernel
        self._runtime = runtime
        self._surveyor, self._repairer, self._lifecycle = parts

    async def run(self) -> None:
        """Sweep what nobody owns, take over what runs, finish what ended, start what its policy wants to run."""
        # Before anything can start: what a start has made and not recorded yet would look like nobody's.
        await self._sweep()
        alive, ended = self._sort()
        await self._kernel.run(partial(self._repairer.names, alive))
        for container in alive:
            logger.info("took over %s (%s)", container.name, container.short_id)
            self._lifecycle.take_over(container)
        for container in ended:
            await self._finish(container)
        for container in self._store.containers():
            if container.spec.auto_remove and container.state.status is Status.EXITED:
                self._lifecycle.destroy(container, container.state.exit_code)
        self._lifecycle.act_by_policy()
        for container in self._to_start():
            await self._start(container)

    def _sort(self) -> tuple[list[Container], list[Container]]:
        alive: list[Container] = []
        ended: list[Container] = []
        for container in self._store.containers():
            if container.state.running:
                (alive if self._runtime.watches(container.state.monitor_pid, container.state.monitor_start) else ended).append(container)
        return alive, ended

    async def _finish(self, container: Container) -> None:
        code = await self._runtime.wait(container.id, container.state.monitor_pid, container.state.monitor_start)
        logger.info("%s (%s) ended with %d while no engine ran", container.name, container.short_id, code)
        async with self._lifecycle.lock(container.id):
            await self._lifecycle.ended(container.id, code)

    async def _sweep(self) -> None:
        strays = await self._kernel.run(self._surveyor.strays)
        for stray in strays:
            logger.warning("swept %s", stray.sentence)
        await self._repairer.sweep(strays)
        for difference in await self._kernel.run(self._surveyor.misled):
            logger.warning("mended: %s", difference.sentence)
            await self._repairer.mend(difference)
        await self._kernel.run(self._runtime.tidy)

    def _to_start(self) -> list[Container]:
        """What its restart policy wants to run now, each after those whose namespace or address it needs."""
        chosen = [container for container in self._store.containers() if _wants_start(container)]
        return sorted(chosen, key=self._depth)

    def _depth(self, container: Container) -> int:
        """How many containers in a row must run before this one can start."""
        mode = container.spec.network.mode
        needed = [mode.target] if mode.kind == "container" else [target for target, _ in container.spec.network.links]
        targets = (self._store.container(target) for target in needed if target != container.id)
        return 1 + max((self._depth(target) for target in targets if target), default=0)

    async def _start(self, container: Container) -> None:
        if container.state.status is not Status.RESTARTING:
            self._store.put_container(replace(container, state=replace(container.state, status=Status.RESTARTING)))
        await self._lifecycle.start_by_policy(container.id)


def _wants_start(container: Container) -> bool:
    status = container.state.status
    return status is Status.RESTARTING or (status is Status.EXITED and container.restart.name == "always")
