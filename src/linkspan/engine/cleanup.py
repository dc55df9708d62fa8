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


class _Batch:
    """Containers that are cleared away together, by id, as they were when they ran."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
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
        """Return when nothing is left of this container's last run."""
        for batch in self._batches():
            if container_id in batch.containers:
                batch.complete.set()
                await batch.done.wait()

    async def everything(self) -> bool:
        """Return when nothing is left of those that have ended so far; tells whether something was."""
        batches = self._batches()
        for batch in batches:
            batch.complete.set()
            await batch.done.wait()
        return bool(batches)

    def pending(self) -> frozenset[str]:
        """Return the containers of which something may be left."""
        return frozenset(container_id for batch in self._batches() for container_id in batch.containers)

    def _batches(self) -> list[_Batch]:
        return [batch for batch in (self._current, self._next) if batch is not None]

    async def _run(self) -> None:
        """Clear one batch after the other, as long as there is one."""
        while (batch := self._next) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHERING):
                    await batch.complete.wait()
            self._current, self._next = batch, None
            try:
                await self._clear(tuple(batch.containers.values()))
            except Exception as error:
                bug = None if isinstance(error, EngineError) else error
                logger.error(  # noqa: TRY400
                    "could not clear away all that %s left, the next start does: %s", ", ".join(batch.containers), error, exc_info=bug
                )
            self._current = None
            batch.done.set()
        self._task = None

    async def _clear(self, containers: Sequence[Container]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._delete(container, slots) for container in containers))
        try:
            await self._kernel.run(partial(self._clear_host, containers))
        finally:
            for container in containers:
                if self._removed(container):
                    await asyncio.to_thread(self._files.remove, container.id)

    async def _delete(self, container: Container, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                await self._runtime.delete(container.id)
            except EngineError as error:
                logger.warning("%s: %s", container.name, error)

    def _clear_host(self, containers: Sequence[Container]) -> None:
        with contextlib.ExitStack() as steps:  # each of them, whatever the others do; the last one first
            for container in containers:
                if self._removed(container):
                    steps.callback(self._sandboxes.forget, container.id)
            steps.callback(self._sandboxes.clear, [container.sandbox for container in containers])
            for container in containers:
                steps.callback(mount.unmount, self._files.of(container.id) / "rootfs")

    def _removed(self, container: Container) -> bool:
        return self._store.container(container.id) is None
