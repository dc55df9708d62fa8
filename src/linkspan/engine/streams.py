"""A container's input and output: attach (also before the start), resize, logs."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from linkspan.engine.lookup import Lookup
from linkspan.engine.requests import AttachRequest, LogQuery
from linkspan.errors import Conflict, EngineError
from linkspan.model.container import Container, Status
from linkspan.runtime import logs
from linkspan.runtime.attach import Attachment
from linkspan.runtime.logs import LogRecord
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store


class PendingAttachment:
    """An attachment that a client may have before the container runs: it becomes live at the start.

    Iterate over it for (1 stdout | 2 stderr, bytes).
    """

    def __init__(self, request: AttachRequest, log: Path | None, closed: "Callable[[PendingAttachment], None]") -> None:
        self._request = request
        self._log = log
        self._closed = closed
        self._live: asyncio.Future[Attachment | None] = asyncio.get_running_loop().create_future()

    def connect(self, attachment: Attachment | None) -> bool:
        """Make it live; None: the container will not run. Returns whether anybody still wants it."""
        if self._live.done():
            return False
        self._live.set_result(attachment)
        return True

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        if self._log is not None:
            async for record in logs.read(self._log, follow=None, tail=None, since=0, until=0):
                if self._wants(record.stream):
                    yield record.stream, record.data
        live = await self._live if self._request.stream else None
        if live is not None:
            async for stream, data in live:
                if self._wants(stream):
                    yield stream, data

    async def write(self, data: bytes) -> None:
        live = await self._live
        if live is not None and self._request.stdin:
            await live.write(data)

    async def close_stdin(self) -> None:
        live = await self._live
        if live is not None and self._request.stdin:
            await live.close_stdin()

    async def close(self) -> None:
        self._closed(self)
        self.connect(None)
        live = await self._live
        if live is not None:
            await live.close()

    def sends(self, container: Container) -> bool:
        """Whether this client's input goes to the container."""
        return self._request.stdin and container.spec.process.open_stdin

    def _wants(self, stream: int) -> bool:
        return self._request.stdout if stream == 1 else self._request.stderr


class Streams:
    """Connects clients with containers."""

    def __init__(self, store: Store, runtime: Runtime, log_path: Callable[[Container], Path]) -> None:
        self._lookup = Lookup(store)
        self._runtime = runtime
        self._log_path = log_path
        self._pending: dict[str, set[PendingAttachment]] = defaultdict(set)
        self._ends: dict[str, asyncio.Event] = {}

    async def attach(self, ref: str, request: AttachRequest) -> PendingAttachment:
        """Attach to a container that runs, or will. Raises Conflict if it is paused or about to be restarted."""
        container = self._lookup.container(ref)
        if container.state.status is Status.PAUSED:
            raise Conflict(f"container {ref} is paused, unpause the container before attach")
        if container.state.status is Status.RESTARTING:
            raise Conflict(f"container {ref} is restarting, wait until the container is running")
        log = self._log_path(container)
        pending = PendingAttachment(request, log if request.logs and log.exists() else None, partial(self._closed, container.id))
        if container.state.running:
            pending.connect(await self._runtime.attach(container.id, stdin=pending.sends(container)))
        else:
            self._pending[container.id].add(pending)
        return pending

    def go_on(self, ref: str) -> bool:
        """Whether there is such a container whose output may have more to come: it runs, or is about to."""
        try:
            return self._lookup.container(ref).state.status is not Status.EXITED
        except EngineError:
            return False

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Set the size of a running container's terminal, in characters."""
        container = self._lookup.container(ref)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        await self._runtime.resize(container.id, height, width)

    async def logs(self, ref: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        """Yield the container's log; with `follow` until it ends. Raises EngineError if no stream is chosen."""
        container = self._lookup.container(ref)
        if not (query.stdout or query.stderr):
            raise EngineError("You must choose at least one stream")
        path = self._log_path(container)
        end = self._end(container) if query.follow else None
        async for record in logs.read(path, follow=end, tail=query.tail, since=query.since, until=query.until):
            if query.stdout if record.stream == 1 else query.stderr:
                yield record

    async def connect(self, container_id: str) -> None:
        """Make the attachments that wait for this container live: it is created and not started yet, so nothing is lost."""
        self._ends.pop(container_id, None)
        container = self._lookup.container(container_id)
        for pending in self._pending.pop(container_id, set()):
            attachment = await self._runtime.attach(container_id, stdin=pending.sends(container))
            if not pending.connect(attachment):  # its client has hung up meanwhile
                await attachment.close()

    def ended(self, container_id: str) -> None:
        """Let those who follow the log read it to its end and stop."""
        if end := self._ends.pop(container_id, None):
            end.set()

    def abandon(self, container_id: str) -> None:
        """End every attachment that waits for a start which will not come."""
        self.ended(container_id)
        for pending in self._pending.pop(container_id, set()):
            pending.connect(None)

    def _closed(self, container_id: str, pending: PendingAttachment) -> None:
        waiting = self._pending.get(container_id)
        if waiting is not None:
            waiting.discard(pending)
            if not waiting:
                del self._pending[container_id]

    def _end(self, container: Container) -> asyncio.Event:
        if container.state.running or container.state.status is Status.RESTARTING:
            return self._ends.setdefault(container.id, asyncio.Event())
        ended = asyncio.Event()
        ended.set()
        return ended
