"""The main path: from a container's record to its running process.

    namespace, interface, addresses, ports, rules     one job of the kernel thread
    root file system, /etc files                       the same job
    monitor and runtime create                         the process exists and waits
    attached clients connected, runtime start          it runs; nothing that it prints is lost
    record                                             last

One Undo spans the job; what fails later first ends the process and then unwinds the job.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from linkspan.engine.cleanup import Cleanup
from linkspan.engine.events import Events
from linkspan.engine.files import ContainerFiles
from linkspan.engine.resolution import Resolution
from linkspan.engine.sandboxes import Place, Sandboxes
from linkspan.engine.streams import Streams
from linkspan.errors import EngineError, Exhausted, InvalidInput
from linkspan.images.store import ImageStore
from linkspan.kernel import mount
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container, State, Status
from linkspan.runtime.conmon import Running
from linkspan.runtime.monitor import Runtime
from linkspan.runtime.oci import find_init
from linkspan.runtime.spec import Launch
from linkspan.runtime.users import User, resolve_user
from linkspan.store.base import Store
from linkspan.undo import Undo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the kernel job leaves for the runtime."""

    place: Place
    rootfs: Path
    files: tuple[tuple[Path, str], ...]
    user: User


class Launcher:
    """Starts processes of containers."""

    def __init__(
        self,
        store: Store,
        kernel: KernelThread,
        runtime: Runtime,
        images: ImageStore,
        parts: tuple[Sandboxes, ContainerFiles, Streams, Events, Cleanup, Resolution],
    ) -> None:
        self._store = store
        self._kernel = kernel
        self._runtime = runtime
        self._images = images
        self.sandboxes, self.files, self.streams, self.events, self._cleanup, self.resolution = parts

    async def launch(self, container: Container) -> Container:
        """Make the container run and record it: all of it, or none of it. Raises EngineError in Docker's words."""
        self._runtime.expect()
        await self._cleanup.cleared(container.id)
        try:
            return await self._launch(container)
        except Exhausted:  # what ended a moment ago may still have its address
            if not await self._cleanup.everything():
                raise
            return await self._launch(container)

    async def _launch(self, container: Container) -> Container:
        lower = await self._images.rootfs(container.spec.image)
        undo = Undo()
        try:
            prepared = await self._kernel.run(partial(self._prepare, container, lower, undo))
            return await self._run(container, prepared)
        except BaseException as error:
            await asyncio.shield(self._unwind(container, undo, error))
            raise

    async def _unwind(self, container: Container, undo: Undo, error: BaseException) -> None:
        await self.resolution.ended([container.id])  # before its namespace goes: the resolver's sockets would keep it
        await self._kernel.run(partial(undo.unwind, error))

    async def unpublish(self, container: Container) -> None:
        """Take the container's ports out of the ruleset, so that another one can have them."""
        if self.sandboxes.openings.has_rules(container):
            await self._kernel.run(partial(self.sandboxes.openings.close, container, container.publishes))

    def _prepare(self, container: Container, lower: Path, undo: Undo) -> Prepared:
        self._check_links(container)
        place = self.sandboxes.join(container, undo)
        folder = self.files.of(container.id)
        rootfs = folder / "rootfs"
        mount.unmount(rootfs)  # a crash may have left it
        undo.push(f"unmount {rootfs}", partial(mount.unmount, rootfs))  # before: a mount that is reported as failed may be there
        mount.overlay([lower], folder / "upper", folder / "work", rootfs)
        files = self.files.write(container, place)
        user = resolve_user(rootfs, container.spec.process.user, container.spec.security.group_add)
        return Prepared(place=place, rootfs=rootfs, files=files, user=user)

    async def _run(self, container: Container, prepared: Prepared) -> Container:
        place = prepared.place
        naming = asyncio.create_task(self.resolution.started(container))  # beside the runtime, which takes longer
        try:
            running = await self._create(container, prepared)
        except BaseException:
            await _to_its_end(naming)
            raise
        place.reservation.close()  # the monitor holds them now
        try:
            await asyncio.shield(naming)
            # The container has its root in its own mount namespace; on the host each mount would make every later start a little slower.
            unmounting = self._kernel.run(partial(mount.unmount, prepared.rootfs))
            for outcome in await asyncio.gather(unmounting, self._let_go(container.id), return_exceptions=True):
                if outcome is not None:  # both have ended: nothing comes in the way of taking it back
                    raise outcome
            state = State(
                status=Status.RUNNING,
                pid=running.pid,
                monitor_pid=running.monitor_pid,
                monitor_start=running.monitor_start,
                started=time.time_ns(),
                finished=container.state.finished,
                restart_count=container.state.restart_count,
            )
            started = replace(container, state=state, sandbox=place.sandbox, publishes=tuple(place.reservation.publishes))
            self._store.put_container(started)
            self.sandboxes.joined(container.id)
        except BaseException:
            await _to_its_end(naming)
            await asyncio.shield(self._runtime.delete(container.id))
            raise
        return started

    async def _create(self, container: Container, prepared: Prepared) -> Running:
        place = prepared.place
        return await self._runtime.create(
            Launch(
                container=container,
                rootfs=prepared.rootfs,
                namespace=place.namespace,
                hostname=self.files.hostname(container),
                files=prepared.files,
                user=prepared.user,
                init_binary=find_init() if container.spec.init else None,
                reserved=tuple(place.reservation.sockets),
            )
        )

    async def _let_go(self, container_id: str) -> None:
        await self.streams.connect(container_id)
        await self._runtime.start(container_id)

    def _check_links(self, container: Container) -> None:
        for target_id, alias in container.spec.network.links:
            target = self._store.container(target_id)
            if target is None:
                raise InvalidInput(f"could not get container for {target_id}: No such container: {target_id}")
            if not target.state.running:
                raise EngineError(f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias}")


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for what is not to be left half done, sockets being opened for one; how it ended matters no more."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def start_code(message: str) -> int:
    """The exit code of a container that could not start: the shell's 127 and 126, else Docker's 128."""
    if "executable file not found" in message or "no such file or directory" in message:
        return 127
    return 126 if "permission denied" in message or "is a directory" in message else 128
