"""Start-up: make the host and the store agree again, whatever happened since the last engine.

What runs is taken over: its monitor is followed as if this engine had started it. What ended meanwhile ends now, with the exit
code that its monitor left. What nobody owns is swept: it carries our mark or lies under our roots.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from linkspan.engine.files import ContainerFiles
from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.sandboxes import Sandboxes
from linkspan.kernel import link, mount, netns, tree
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container, Status
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store

logger = logging.getLogger(__name__)


class Reconciler:
    """Runs once, before the first request is served."""

    def __init__(self, store: Store, kernel: KernelThread, runtime: Runtime, parts: tuple[Sandboxes, ContainerFiles, Lifecycle]) -> None:
        self._store = store
        self._kernel = kernel
        self._runtime = runtime
        self._sandboxes, self._files, self._lifecycle = parts

    async def run(self) -> None:
        """Sweep what nobody owns, take over what runs, finish what ended, start what its policy wants to run."""
        # Before anything can start: what a start has made and not recorded yet would look like nobody's.
        await self._sweep_runtimes()
        await self._kernel.run(self._sweep)
        alive, ended = self._sort()
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

    async def _sweep_runtimes(self) -> None:
        """End the processes of starts that an engine did not live to record."""
        known = {container.id for container in self._store.containers() if container.state.running}
        for container_id in self._runtime.ids():
            if container_id not in known:
                logger.warning("swept the process of %s: its start was never recorded", container_id[:12])
                await self._runtime.sweep(container_id)

    def _sweep(self) -> None:
        self._sandboxes.clear(sandbox.id for sandbox in self._store.sandboxes())
        known = {sandbox.id for sandbox in self._store.sandboxes()}
        for path in _entries(self._sandboxes.path("any").parent):
            if path.name not in known:
                logger.warning("swept the namespace %s", path)
                netns.delete(path)
        self._sweep_links()
        self._sweep_endpoints()
        self._sweep_folders()

    def _sweep_links(self) -> None:
        owned = {endpoint.host_interface for endpoint in self._store.endpoints() if endpoint.attached}
        stray = [name for name, _, kind in link.list_ours() if kind == "veth" and name not in owned]
        if stray:
            logger.warning("swept the interfaces %s", ", ".join(stray))
            link.delete_many(stray)

    def _sweep_endpoints(self) -> None:
        """Give back the addresses of removed containers."""
        for endpoint in self._store.endpoints():
            if not endpoint.attached and self._store.container(endpoint.sandbox) is None:
                self._store.delete_endpoint(endpoint.id)

    def _sweep_folders(self) -> None:
        containers = {container.id for container in self._store.containers()}
        for mounted in mount.mounts_under(self._files.folder):
            logger.warning("swept the mount %s", mounted)  # of a start: a container that runs sees its root without it
            mount.unmount(mounted)
        for folder in _entries(self._files.folder):
            if folder.name not in containers:
                logger.warning("swept the folder %s", folder)
                with contextlib.suppress(OSError):  # the next start tries again
                    tree.remove(folder)

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


def _entries(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir())) if folder.is_dir() else iter(())
