"""What ended containers leave is cleared away after the answer, and together.

An interface takes about 16 ms to die, a hundred of them hardly more: so those that end within a moment are cleared at once.
Whoever needs the place earlier — a container that starts again, an address pool that has run out — waits for `cleared` or
`everything`, which do not wait for others to come.

Until it is done, the store says what is left: a sandbox and its attached endpoint without a running container. After a crash
`reconcile` finds them so, and clears them away by the same code.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import partial

from linkspan.engine.files import ContainerFiles
from linkspan.engine.sandboxes import Sandboxes
from linkspan.errors import EngineError
from linkspan.kernel import mount
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

GATHERING = 0.2
"""Seconds that the first one waits for others."""
MANY = 32
"""So many are cleared without waiting for more."""
AT_ONCE = 4
"""Runtimes that work side by side."""
AGAIN = 0.5
"""Seconds before what could not be cleared away is tried again; doubled each time."""
LONGEST = 60.0


class _Batch:
    """Containers that are cleared away together, by id, as they were when they ran."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.delay = AGAIN
        """Seconds to wait if it fails."""
        self.complete = asyncio.Event()
        """Set when it need not wait for more."""
        self.done = asyncio.Event()


class Cleanup:
    """Clears away mounts, namespaces, interfaces, folders, and the runtime's records. Used on the event loop only."""

    def __init__(self, store: Store, kernel: KernelThread, runtime: Runtime, parts: tuple[Sandboxes, ContainerFiles]) -> None:
        self._store = store
        self._kernel = kernel
        self._runtime = runtime
        self._sandboxes, self._files = parts
        self._next: _Batch | None = None
        self._current: _Batch | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failed: dict[str, Container] = {}
        """Those of which something is left, until they are tried again."""

    def add(self, container: Container) -> None:
        """Clear away after a container as it was when it ran; its folder too if it has been removed when its turn comes."""
        if self._next is None:
            self._next = _Batch()
        self._next.containers.setdefault(container.id, container)
        if len(self._next.containers) >= MANY:
            self._next.complete.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def cleared(self, container_id: str) -> None:
        """Return when nothing is left of this container's last run, or what is left has been tried once more: a start does the rest."""
        if failed := self._failed.get(container_id):
            self.add(failed)
        for batch in self._batches():
            if container_id in batch.containers:
                batch.complete.set()
                await batch.done.wait()
        self._failed.pop(container_id, None)  # from now on, clearing away would hit the next run

    async def everything(self) -> bool:
        """Return when nothing is left of those that have ended so far; tells whether something was."""
        batches = self._batches()
        for batch in batches:
            batch.complete.set()
            await batch.done.wait()
        return bool(batches)

    def pending(self) -> frozenset[str]:
        """Return the containers of which something may be left."""
        return frozenset(self._failed).union(*(batch.containers for batch in self._batches()))

    def _batches(self) -> list[_Batch]:
        return [batch for batch in (self._current, self._next) if batch is not None]

    async def _run(self) -> None:
        """Clear one batch after the other, as long as there is one."""
        while (batch := self._next) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHERING):
                    await batch.complete.wait()
            self._current, self._next = batch, None
            failed: Sequence[Container] = tuple(batch.containers.values())
            try:
                failed = await self._clear(failed)
            except Exception:
                logger.exception("could not clear away all that %s left", ", ".join(batch.containers))
            self._current = None
            if failed:
                self._try_again(failed, batch.delay)
            batch.done.set()
        self._task = None

    async def close(self) -> None:
        """Clear away what there is, and nothing any more afterwards: the next engine does what fails now."""
        self._closed = True
        await self.everything()

    def _try_again(self, containers: Sequence[Container], delay: float) -> None:
        if self._closed:
            return
        self._failed |= {container.id: container for container in containers}
        asyncio.get_running_loop().call_later(delay, self._add_failed, [container.id for container in containers], delay)

    def _add_failed(self, container_ids: Sequence[str], delay: float) -> None:
        if self._closed:
            return
        for container in filter(None, (self._failed.pop(container_id, None) for container_id in container_ids)):
            self.add(container)
            if self._next is not None:
                self._next.delay = min(delay * 2, LONGEST)

    async def _clear(self, containers: Sequence[Container]) -> Sequence[Container]:
        """Clear away after each of them, whatever becomes of the others; returns those of which something is left."""
        slots = asyncio.Semaphore(AT_ONCE)
        deleted = await asyncio.gather(*(self._delete(container, slots) for container in containers))
        try:
            await self._kernel.run(partial(self._clear_host, containers))
            cleared = True
        except EngineError as error:
            logger.warning("could not clear away all that %s left: %s", ", ".join(container.name for container in containers), error)
            cleared = False
        removed = [await self._remove_files(container) for container in containers]
        return [container for container, *done in zip(containers, deleted, removed, strict=True) if not (cleared and all(done))]

    async def _delete(self, container: Container, slots: asyncio.Semaphore) -> bool:
        async with slots:
            try:
                await self._runtime.delete(container.id)
            except EngineError as error:
                logger.warning("%s: %s", container.name, error)
                return False
        return True

    async def _remove_files(self, container: Container) -> bool:
        if not self._removed(container):
            return True
        try:
            await asyncio.to_thread(self._files.remove, container.id)
        except OSError as error:
            logger.warning("cannot remove the folder of %s: %s", container.name, error)
            return False
        return True

    def _clear_host(self, containers: Sequence[Container]) -> None:
        with contextlib.ExitStack() as steps:  # each of them, whatever the others do; the last one first
            for container in containers:
                if self._removed(container):
                    steps.callback(self._sandboxes.forget, container.id)
            steps.callback(self._sandboxes.clear, [container.sandbox for container in containers])
            for container in containers:
                if self._removed(container):
                    steps.callback(self._sandboxes.openings.unlink, container)
                steps.callback(mount.unmount, self._files.of(container.id) / "rootfs")

    def _removed(self, container: Container) -> bool:
        return self._store.container(container.id) is None
