"""Start, stop and the end of containers.

One lock per container orders what happens to it; the kernel thread orders what happens to the host. What a user waits for
ends when the process runs or is gone: `cleanup` follows the answer.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace

from linkspan.config import Config
from linkspan.engine.attachments import Attachments
from linkspan.engine.cleanup import Cleanup
from linkspan.engine.events import Events
from linkspan.engine.launch import Launcher, start_code
from linkspan.engine.lookup import Lookup
from linkspan.engine.requests import WaitResult
from linkspan.engine.resolution import Resolution
from linkspan.engine.restarts import Restarts
from linkspan.engine.streams import Streams
from linkspan.engine.waiters import Waiters
from linkspan.errors import Conflict, EngineError, NotModified
from linkspan.kernel import process
from linkspan.model.container import Container, State, Status
from linkspan.model.signals import signal_number
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

_REMOVAL_ADVICE = {
    Status.RUNNING: "container is running: stop the container before removing or force remove",
    Status.PAUSED: "container is paused and must be unpaused first",
    Status.RESTARTING: "container is restarting: stop the container before removing or force remove",
}
KILL = signal_number("SIGKILL")
SURELY_DEAD = 5.0
"""Seconds after which a process that was killed is asked for again, with all that belong to it."""
SOON, RECORD_AGAIN = 0.1, 1.0
"""Seconds between the first two attempts to record an end in a store that cannot be written, and between later ones."""


class Lifecycle:
    """Everything that starts or ends a container."""

    def __init__(self, config: Config, store: Store, runtime: Runtime, launcher: Launcher, cleanup: Cleanup) -> None:
        self._config = config
        self._store = store
        self._runtime = runtime
        self._launcher = launcher
        self._cleanup = cleanup
        self._lookup = Lookup(store)
        self._attachments = Attachments(store)
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarts = Restarts(self._spawn, self.start_by_policy)
        self._timed_restarts = False
        """Whether restart policies act by themselves: not before the engine has taken over, and not when it ends."""
        self.waiters = Waiters()
        self.events: Events = launcher.events
        self.streams: Streams = launcher.streams
        self.resolution: Resolution = launcher.resolution

    def lock(self, container_id: str) -> asyncio.Lock:
        """Return the lock that orders what happens to this container."""
        return self._locks.setdefault(container_id, asyncio.Lock())

    def busy(self) -> frozenset[str]:
        """Return the containers that something is being done to, or of whose last run something may be left."""
        return self._cleanup.pending() | {container_id for container_id, lock in self._locks.items() if lock.locked()}

    async def start(self, ref: str) -> None:
        """Start a created or ended container. Raises NotModified if it runs, Conflict if it is paused."""
        container = self._lookup.container(ref)
        async with self.lock(container.id):
            container = self._lookup.container(container.id)
            if container.state.status is Status.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.state.running:
                raise NotModified(f"container {ref} is already running")
            self._restarts.cancel(container.id)
            await self._launch(replace(container, state=replace(container.state.at_rest(), restart_count=0)))

    async def start_by_policy(self, container_id: str) -> None:
        """Start a container that is to be restarted; what may pass (no target yet, its port taken) is tried again later."""
        async with self.lock(container_id):
            container = self._store.container(container_id)
            self._restarts.begun(container_id)
            if container is None or container.state.status is not Status.RESTARTING:
                return
            try:
                await self._launch(container)
            except Conflict:
                self._restarts.later(container.id)
            except EngineError:
                if left := self._store.container(container_id):
                    self._record(left, left.state.at_rest())

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """End a running container: its stop signal, and SIGKILL after `timeout` seconds (-1: never). Raises NotModified."""
        container = self._lookup.container(ref)
        if not container.state.running:
            async with self.lock(container.id):  # it may be between an end and a restart by its policy
                container = self._lookup.container(container.id)
                if container.state.status is Status.RESTARTING:
                    self._restarts.cancel(container.id)
                    self._record(container, replace(container.state.at_rest(), manually_stopped=True))
                    return
        if not container.state.running:
            raise NotModified(f"container {ref} is not running")
        await self._stop_running(container, timeout, signal)
        self.events.container(container, "stop")

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop the container if it runs, and start it. What ends because of it is started also if this fails or is cancelled."""
        container = self._lookup.container(ref)
        self._restarts.cancel(container.id)
        try:
            if container.state.running:
                await self._stop_running(container, timeout, signal, restart=True)
            container = await self._start_again(container)
        except (asyncio.CancelledError, EngineError):
            if self._timed_restarts:  # else the next engine does it
                self._spawn(self._restart_anyway(container.id))
            raise
        self.events.container(container, "restart")

    async def _start_again(self, former: Container) -> Container:
        async with self.lock(former.id):
            container = self._lookup.container(former.id)
            if not container.state.running:
                await self._launch(replace(container, state=container.state.at_rest()))
            elif container.state.monitor_pid == former.state.monitor_pid:  # else somebody else was faster
                raise EngineError(f"cannot restart container {former.name}: its end cannot be recorded{self.waiters.why(former.id)}")
        return container

    async def _restart_anyway(self, container_id: str) -> None:
        container = self._store.container(container_id)
        if container and container.state.running and container.state.restart_asked:
            await self.waiters.add(container_id, "next-exit")
        await self.start_by_policy(container_id)

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal (SIGKILL unless given, whose effect is waited for, as in Docker). Raises Conflict if the container does not run."""
        container = self._lookup.container(ref)
        number = signal_number(signal or "SIGKILL")
        if not container.state.running:
            raise Conflict(f"cannot kill container: {ref}: container {container.id} is not running")
        ending, state = number in (KILL, signal_number(container.spec.stop_signal)), container.state
        ended = self.waiters.add(container.id, "next-exit")
        with self._marked(container, manually_stopped=ending or state.manually_stopped, restart_asked=state.restart_asked):
            await self._signal(container, number, thaw=ending)
        self.events.container(container, "kill", signal=str(number))
        if number == KILL:
            await self.waiters.surely(container, ended)
        ended.cancel()

    async def pause(self, ref: str) -> None:
        """Freeze the container's processes."""
        container = self._lookup.container(ref)
        async with self.lock(container.id):
            container = self._lookup.container(container.id)
            if container.state.status is Status.PAUSED:
                raise Conflict(f"container {container.id} is already paused")
            if not container.state.running:
                raise Conflict(f"container {container.id} is not running")
            await self._runtime.pause(container.id)
            self._record(container, replace(self._lookup.container(container.id).state, status=Status.PAUSED))
        self.events.container(container, "pause")

    async def unpause(self, ref: str) -> None:
        """Let a paused container go on."""
        container = self._lookup.container(ref)
        async with self.lock(container.id):
            container = self._lookup.container(container.id)
            if container.state.status is not Status.PAUSED:
                raise Conflict(f"container {container.id} is not paused")
            await self._runtime.unpause(container.id)
            self._record(container, replace(self._lookup.container(container.id).state, status=Status.RUNNING))
        self.events.container(container, "unpause")

    def waiter(self, ref: str, condition: str = "not-running") -> asyncio.Future[WaitResult]:
        """Return what completes when the container has met `condition`: not-running, next-exit or removed."""
        container = self._lookup.container(ref)
        future = self.waiters.add(container.id, condition or "not-running")
        if condition in ("", "not-running") and not container.state.running and container.state.status is not Status.RESTARTING:
            self.waiters.ended(container.id, WaitResult(exit_code=container.state.exit_code))
        return future

    def watch(self, container: Container) -> None:
        """Follow a running container to its end, in the background."""
        self._spawn(self._follow(container))

    def take_over(self, container: Container) -> None:
        """Go on with a container that a former engine started. What that one was asked to do and did not do, was not done."""
        if container.state.manually_stopped or container.state.restart_asked:
            container = self._record(container, replace(container.state, manually_stopped=False, restart_asked=False))
        self.watch(container)
        self._spawn(self._runtime.sweep_execs(container.id))

    def act_by_policy(self) -> None:
        """From now on, restart what ends as its policy wants."""
        self._timed_restarts = True

    async def shut_down(self) -> None:
        """Stop following; with live-restore off, stop the containers first."""
        self._timed_restarts = False
        self._restarts.cancel_all()
        async with contextlib.AsyncExitStack() as last:
            last.push_async_callback(self._cleanup.close)
            if not self._config.live_restore:
                running = [container for container in self._store.containers() if container.state.running]
                stops = (self._stop_running(container, self._config.shutdown_timeout, "", manual=False) for container in running)
                await asyncio.gather(*stops, return_exceptions=True)
            await asyncio.gather(*map(self._settled, tuple(self._locks)))  # starts and clean-ups that are under way
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settled(self, container_id: str) -> None:
        async with self.lock(container_id):
            return

    async def _launch(self, container: Container) -> None:
        """Start it under its lock: all of it, or none of it."""
        try:
            started = await self._launcher.launch(container)
        except EngineError as error:
            await self._launch_failed(container, error)
            raise
        self.watch(started)
        self._tell_network(started, "connect")
        self.events.container(started, "start")

    async def _launch_failed(self, container: Container, error: EngineError) -> None:
        code = start_code(str(error))
        self._record(container, replace(container.state, error=str(error), exit_code=code))
        logger.info("start of %s refused: %s", container.name, error)
        self.streams.abandon(container.id)
        if container.spec.auto_remove:
            self.destroy(container, code)

    async def _stop_running(
        self, container: Container, timeout: int | None, signal: str, *, manual: bool = True, restart: bool = False
    ) -> None:
        number = signal_number(signal or container.spec.stop_signal)
        seconds = container.spec.stop_timeout if timeout is None else timeout
        ended = self.waiters.add(container.id, "next-exit")
        with self._marked(container, manually_stopped=manual or container.state.manually_stopped, restart_asked=restart):
            await self._signal(container, number)
        self.events.container(container, "kill", signal=str(number))
        certain = number == KILL
        try:
            async with asyncio.timeout(SURELY_DEAD if certain else None if seconds < 0 else seconds):
                await asyncio.shield(ended)
        except TimeoutError:
            # Its own PID namespace dies with its first process; in the host's, the others are asked for.
            await self._signal(container, KILL, everyone=certain or container.spec.security.pid_mode == "host")
            self.events.container(container, "kill", signal=str(KILL))
            await self.waiters.surely(container, ended)

    async def _signal(self, container: Container, number: int, *, everyone: bool = False, thaw: bool = True) -> None:
        """Send a signal to this run of a container, never to its next one; a frozen one gets it when somebody lets it go on."""
        async with self.lock(container.id):
            current = self._store.container(container.id)
            if current is None or current.state.monitor_pid != container.state.monitor_pid:
                return
            await self._runtime.kill(container.id, number, everyone=everyone)
            if thaw and current.state.status is Status.PAUSED:
                with contextlib.suppress(Conflict):  # it has just ended
                    await self._runtime.unpause(container.id)
                    self._record(container, replace(self._lookup.container(container.id).state, status=Status.RUNNING))

    @contextlib.contextmanager
    def _marked(self, container: Container, *, manually_stopped: bool, restart_asked: bool = False) -> Iterator[None]:
        """Record what is asked of a running container; if that cannot be done, take it back: its restart policy goes by it."""
        former = container.state
        marked = replace(former, manually_stopped=manually_stopped, restart_asked=restart_asked)
        if marked != former:
            self._record(container, marked)
        try:
            yield
        except EngineError:
            if (left := self._store.container(container.id)) and left.state.running:
                state = replace(left.state, manually_stopped=former.manually_stopped, restart_asked=former.restart_asked)
                self._record(left, state)
            raise

    async def _follow(self, container: Container) -> None:
        """Wait for the end and record it; what fails is tried again, or the container would seem to run for ever."""
        state, delay, code = container.state, SOON, None
        while True:
            try:
                if code is None:  # not again: without its files, it would end the next run
                    code = await self._runtime.wait(container.id, state.monitor_pid, state.monitor_start)
                async with self.lock(container.id):
                    self.waiters.untold.pop(container.id, None)
                    return await self.ended(container.id, code) if not self._runs_again(container) else None
            except EngineError as error:
                self.waiters.untold[container.id] = error
                if delay == SOON:
                    logger.error("cannot record the end of %s yet: %s", container.name, error)  # noqa: TRY400  no bug
            if code is not None:  # the disk has failed: nobody must wait for it
                self.streams.ended(container.id)
                self.waiters.ended(container.id, WaitResult(exit_code=code))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RECORD_AGAIN)

    def _runs_again(self, former: Container) -> bool:
        """Whether it has another run than the one that we know it by."""
        current = self._store.container(former.id)
        return current is not None and current.state.running and current.state.monitor_pid != former.state.monitor_pid

    async def ended(self, container_id: str, code: int) -> None:
        """Record the end of a container's process, tell those who wait, then clean up; may be called again. Called under its lock."""
        container = self._store.container(container_id)
        if container and container.state.running:
            container = await self._end(container, code)
        if container and container.state.status is Status.EXITED and container.spec.auto_remove:
            self.destroy(container, code)
            await self.resolution.refresh(container_id)

    async def _end(self, container: Container, code: int) -> Container:
        await self._launcher.unpublish(container)  # before the record: whoever reads it may take the ports at once
        container = self._lookup.container(container.id)  # a stop may have been asked for meanwhile
        ran = process.age(container.state.monitor_start)
        state = replace(container.state, status=Status.EXITED, pid=0, monitor_pid=0, exit_code=code, finished=time.time_ns(), error="")
        state = replace(state, oom_killed=self._runtime.out_of_memory(container.id))
        by_policy = container.restarts_after(state)
        if by_policy or state.restart_asked:
            state = replace(state, status=Status.RESTARTING, restart_count=state.restart_count + by_policy)
        left = replace(container, state=state, sandbox="", publishes=())
        self._store.put_container(left)
        await self.resolution.ended([container.sandbox])
        self.events.container(container, "die", exitCode=str(code), execDuration=str(int(ran)))
        self._tell_network(container, "disconnect")
        self.streams.ended(container.id)
        self.waiters.ended(container.id, WaitResult(exit_code=code))
        self._cleanup.add(container)
        if by_policy and self._timed_restarts:
            self._restarts.later(left.id, ran)
        return left

    def destroy(self, container: Container, code: int) -> None:
        """Remove an ended container: its record now, its address and its files soon after. Called under its lock."""
        self._store.delete_container(container.id)
        self._cleanup.add(container)
        self.events.container(container, "destroy")
        self.streams.abandon(container.id)
        self.waiters.removed(container.id, WaitResult(exit_code=code))
        self._restarts.forget(container.id)
        self._locks.pop(container.id, None)

    async def remove(self, ref: str, *, force: bool = False) -> None:
        """Remove a container; a running one only by `force`, in Docker's words."""
        container = self._lookup.container(ref)
        while True:
            if not force and (advice := _REMOVAL_ADVICE.get(container.state.status)):
                raise Conflict(f'cannot remove container "{ref}": {advice}')
            if container.state.running:
                await self._stop_running(container, 0, "SIGKILL")
            async with self.lock(container.id):
                left = self._store.container(container.id)
                if left is None:
                    return  # --rm was faster
                if not left.state.running:
                    self._restarts.cancel(container.id)
                    self.destroy(left, left.state.exit_code)
                    await self.resolution.refresh(left.id)
                    if self._store.full:  # somebody is making room: the answer says that it is there
                        await self._cleanup.cleared(left.id)
                    return
            container = left  # its restart policy was faster: once more

    def _tell_network(self, container: Container, action: str) -> None:
        for _, network in self._attachments.of(container):
            if network is not None:
                self.events.connection(container.id, network, action)

    def _record(self, container: Container, state: State) -> Container:
        current = self._store.container(container.id) or container
        changed = replace(current, state=state)
        self._store.put_container(changed)
        return changed

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a container's watcher failed", exc_info=error)
