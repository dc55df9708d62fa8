"""Commands run in running containers (Docker API: exec). They are not stored: an exec ends with its container."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace

from linkspan.engine.events import Events
from linkspan.engine.lookup import Lookup
from linkspan.engine.merge import merged_env
from linkspan.engine.requests import ExecRequest
from linkspan.errors import Conflict, EngineError, InvalidInput, NotFound
from linkspan.model.container import Container, Exec, Process, Status
from linkspan.runtime.attach import Attachment
from linkspan.runtime.exec import Execution
from linkspan.runtime.monitor import Runtime
from linkspan.runtime.users import resolve_user
from linkspan.store.base import Store

KEPT = 1000
"""Execs of a container that do not run and can still be asked for."""
logger = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds before what failed is tried again."""
PATIENCE = 10
"""Seconds that a client waits for the exit code after the command's last output."""


class ExecStreams:
    """The input and output of a started command: iterate over it for (1 stdout | 2 stderr, bytes).

    It ends when the command has ended and its exit code is known: clients ask for that next. If nobody can tell it, they do not
    wait for ever.
    """

    def __init__(self, attachment: Attachment, ended: asyncio.Task[None], patience: int = PATIENCE) -> None:
        self._attachment = attachment
        self._ended = ended
        self._patience = patience
        self.write = attachment.write
        self.close_stdin = attachment.close_stdin
        self.close = attachment.close

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        async for piece in self._attachment:
            yield piece
        for _ in range(self._patience):  # one by one: while the whole engine stands still, hardly any of them pass
            if (await asyncio.wait([self._ended], timeout=1.0))[0]:
                return


class Execs:
    """Creates, starts and shows execs. Used on the event loop only."""

    def __init__(self, store: Store, runtime: Runtime, events: Events) -> None:
        self._store = store
        self._runtime = runtime
        self._events = events
        self._lookup = Lookup(store)
        self._execs: dict[str, Exec] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, ref: str, request: ExecRequest) -> str:
        """Prepare a command for a running container and return its id. Raises Conflict if the container does not run."""
        container = self._running(ref)
        if not request.cmd:
            raise InvalidInput("No exec command specified")
        self._runtime.expect()
        base = container.spec.process
        process = Process(
            args=request.cmd,
            env=merged_env(base.env, request.env),
            working_dir=request.working_dir or base.working_dir,
            user=request.user or base.user,
            tty=request.tty,
            open_stdin=request.attach_stdin,
        )
        made = Exec(
            id=os.urandom(32).hex(),
            container=container.id,
            process=process,
            privileged=request.privileged,
            attach_stdin=request.attach_stdin,
            attach_stdout=request.attach_stdout,
            attach_stderr=request.attach_stderr,
            detach_keys=request.detach_keys,
        )
        self._forget_old(container.id)
        self._execs[made.id] = made
        self._events.container(container, f"exec_create: {' '.join(request.cmd)}", execID=made.id)
        return made.id

    async def start(self, exec_id: str, *, detach: bool) -> ExecStreams | None:
        """Run the command; returns its streams unless detached. Raises Conflict if it ran already."""
        made = self.inspect(exec_id)
        if made.running or made.exit_code is not None:
            raise Conflict(f"exec command {exec_id} has already run")
        container = self._running(made.container)
        self._execs[exec_id] = replace(made, running=True)
        root = self._runtime.root(container.state.pid)
        try:
            user = await asyncio.to_thread(resolve_user, root, made.process.user, container.spec.security.group_add)
            execution = await self._runtime.exec(container, made, user=user, attach=not detach)
        except EngineError as error:
            self._execs[exec_id] = replace(made, exit_code=126 if "permission denied" in str(error) else 127)
            raise
        self._execs[exec_id] = replace(made, running=True, pid=execution.pid)
        self._events.container(container, f"exec_start: {' '.join(made.process.args)}", execID=made.id)
        followed = asyncio.get_running_loop().create_task(self._follow(made.id, container.id, execution))
        self._tasks.add(followed)
        followed.add_done_callback(self._tasks.discard)
        return ExecStreams(execution.attachment, followed) if execution.attachment else None

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of the command's terminal, in characters."""
        made = self.inspect(exec_id)
        if not made.running:
            raise Conflict(f"cannot resize a stopped exec: {exec_id}")
        await self._runtime.resize_exec(made.container, exec_id, height, width)

    def inspect(self, exec_id: str) -> Exec:
        """Return the exec; raises NotFound."""
        matches = [made for key, made in self._execs.items() if key == exec_id or (len(exec_id) >= 12 and key.startswith(exec_id))]
        if len(matches) != 1:
            raise NotFound(f"No such exec instance: {exec_id}")
        return matches[0]

    def of(self, container_id: str) -> tuple[str, ...]:
        """Return the ids of the container's running execs."""
        return tuple(made.id for made in self._execs.values() if made.container == container_id and made.running)

    def forget(self, container_id: str) -> None:
        """Drop the execs of a removed container."""
        self._execs = {key: made for key, made in self._execs.items() if made.container != container_id}

    def _forget_old(self, container_id: str) -> None:
        """Make room: an exec that nobody starts, or that has ended, stays only until many others came after it."""
        kept = [key for key, made in self._execs.items() if made.container == container_id and not made.running]
        for key in kept[: max(0, len(kept) - KEPT + 1)]:
            del self._execs[key]

    def _running(self, ref: str) -> Container:
        container = self._lookup.container(ref)
        if container.state.status is Status.PAUSED:
            raise Conflict(f"container {ref} is paused, unpause the container before exec")
        if container.state.status is Status.RESTARTING:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        return container

    async def _follow(self, exec_id: str, container_id: str, execution: Execution) -> None:
        code = await self._exit_code(execution)
        if exec_id in self._execs:
            self._execs[exec_id] = replace(self._execs[exec_id], running=False, exit_code=code)
        if container := self._store.container(container_id):
            self._events.container(container, "exec_die", execID=exec_id, exitCode=str(code))

    async def _exit_code(self, execution: Execution) -> int:
        """Wait for the end; what fails is tried again, or the command would seem to run for ever."""
        while True:
            try:
                return await self._runtime.wait_exec(execution)
            except EngineError as error:
                logger.warning("the end of exec %s is not seen yet: %s", execution.id[:12], error)
            await asyncio.sleep(AGAIN)
