"""Containers as processes: started and ended by an OCI runtime, each watched by a conmon that outlives the engine."""

import asyncio
import contextlib
import json
import logging
import os
import weakref
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from linkspan.errors import CommandFailed, Conflict, EngineError, KernelError
from linkspan.kernel import cgroup, mount, process, tree
from linkspan.model.container import Container, Exec, Process, Spec
from linkspan.runtime import attach as attachments
from linkspan.runtime import devices
from linkspan.runtime.attach import Attachment
from linkspan.runtime.conmon import Conmon, Folder, Running, last_error, refused
from linkspan.runtime.exec import Execution, Starter, exec_folder
from linkspan.runtime.filters import Filters
from linkspan.runtime.host import inspect_host
from linkspan.runtime.oci import Choice
from linkspan.runtime.spec import Launch, cgroup_path, render, validate
from linkspan.runtime.users import User

T = TypeVar("T")

logger = logging.getLogger(__name__)

KILLED = 137
"""Exit code of what SIGKILL ended (128 + 9)."""

_GONE = ("not running", "does not exist", "already finished", "no such process", "no such file or directory")
"""How runc and crun say that there is nothing left to signal."""
_PATIENCE = 5.0
"""Seconds that a monitor gets to end after its container, before it is killed."""
_MOMENT = 0.01
"""Seconds between two looks at what cannot be waited for."""
_AGAIN = 0.5
"""Seconds before what failed is tried again."""
_LARGEST_SIZE = 1000
"""Of a terminal, in characters: conmon ignores more."""


class Runtime:
    """Starts, watches and ends the processes of containers. All state is in files, so the next engine goes on with them."""

    def __init__(self, choice: Choice, exec_root: Path, containers: Path) -> None:
        self._choice = choice
        self._host = inspect_host()
        self._root = exec_root / "runtime"
        self._monitors = exec_root / "monitor"
        self._containers = containers
        self._scratch = exec_root / "scratch"
        self._conmon = Conmon(program=process.find("conmon"), choice=choice, root=self._root, scratch=self._scratch)
        self._starter = Starter(conmon=self._conmon, host=self._host)
        self._filters = Filters(self._root)
        self._moves = cgroup.SwiftMoves(cgroup.own_processes())
        self._attachments: defaultdict[str, weakref.WeakSet[Attachment]] = defaultdict(weakref.WeakSet)

    def validate(self, spec: Spec) -> None:
        """Raise InvalidInput for rights that `create` would refuse, so that a wrong request fails when it is made."""
        validate(spec, self._host)

    def expect(self) -> None:
        """Say that a container or a command is about to be started: what the kernel takes its time for begins now."""
        self._moves.expect()

    def tidy(self) -> None:
        """Take away what runtimes have left that were killed in the middle of something. Used when none works here."""
        try:
            self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in mount.mounts_under(self._scratch):
                mount.unmount(left)
            for left in self._scratch.iterdir():
                left.unlink()
        except (OSError, KernelError) as error:
            logger.warning("cannot clear away what runtimes have left: %s", error)

    async def create(self, launch: Launch) -> Running:
        """Make the container's process, which waits for `start`. All of it, or none of it.

        Raises InvalidInput for what is asked wrongly and CommandFailed for the rest, in Docker's words.
        """
        container = launch.container
        folder = self._folder(container.id)
        config = render(launch, self._host, devices.gather(container.spec.resources.devices, privileged=container.spec.security.privileged))
        self._filters.supply(config)
        await self.delete(container.id)  # a crash may have left something
        try:
            self._prepare(folder, config)
            running = await _completed(
                self._conmon.run(
                    folder,
                    *("--cid", container.id, "--cuuid", container.id, "--name", container.name),
                    *("--log-path", f"k8s-file:{self._containers / container.id / 'container.log'}"),
                    *_stream_options(container.spec.process),
                    way=self._choice.way,
                    pass_fds=launch.reserved,
                )
            )
        except BaseException as error:
            await self.delete(container.id)
            if isinstance(error, CommandFailed):
                prefix = "failed to create task for container: failed to create shim task: OCI runtime create failed"
                raise refused(prefix, error) from error
            raise
        self._filters.learn(config, container.id)
        return running

    async def start(self, container_id: str) -> None:
        """Let the created process go. Raises CommandFailed, InvalidInput."""
        try:
            await self._call("start", container_id)
        except CommandFailed as error:
            raise refused("failed to start task for container: OCI runtime start failed", error) from error

    async def kill(self, container_id: str, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the container's first process, or to all of them. If it is gone, that is no error."""
        if not everyone and self._signalled(self._folder(container_id), number):
            return
        try:
            await self._call("kill", *(["--all"] if everyone else []), container_id, str(number))
        except CommandFailed as error:
            if not any(words in str(error).lower() for words in _GONE):
                raise

    async def pause(self, container_id: str) -> None:
        """Freeze all processes of the container. Raises Conflict if it has just ended."""
        await self._call_running("pause", container_id)

    async def unpause(self, container_id: str) -> None:
        """Let the container's processes go on. Raises Conflict if it has just ended."""
        await self._call_running("resume", container_id)

    async def delete(self, container_id: str) -> None:
        """End what still runs of the container and remove what lasts no longer than its run. Idempotent."""
        folder = self._folder(container_id)
        record = self._root / container_id
        if not folder.bundle.exists() and not record.exists():
            return
        if not await asyncio.to_thread(_is_over, folder, container_id):
            await self._call("delete", "--force", container_id)
        self._unbind(container_id)
        await self._end_monitor(folder)
        self._attachments.pop(container_id, None)
        for left in (record, folder.bundle):
            await _remove(left)

    async def sweep(self, container_id: str) -> None:
        """End a start that an engine did not live to record. It may still be under way: then it is let come to its end first."""
        folder = self._folder(container_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while _under_way(folder):  # noqa: ASYNC110  others' doing: there is no event
                    await asyncio.sleep(_MOMENT)
        await self.delete(container_id)

    async def sweep_execs(self, container_id: str) -> None:
        """Remove what commands have left whose engine was killed, each when it has ended."""
        for entry in _exec_folders(self._folder(container_id)):
            while under_way := process.naming(entry):
                await process.wait_gone(*under_way[0])
            await _remove(entry)

    async def wait(self, container_id: str, monitor_pid: int, monitor_start: int) -> int:
        """Return the container's exit code when it has ended and its output is complete.

        If its monitor was killed, nobody can know how the container goes on: it is ended, with the code of SIGKILL.
        """
        folder = self._folder(container_id)
        draining = asyncio.create_task(self._drain_at_end(container_id, folder))
        try:
            await process.wait_gone(monitor_pid, monitor_start)
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        code = _exit_code(folder)
        if code is None:
            logger.warning("the monitor of container %s ended before it: the container is killed", container_id)
            await self.delete(container_id)
        return KILLED if code is None else code

    def out_of_memory(self, container_id: str) -> bool:
        """Whether the kernel killed a process of the container's last run because its memory limit was reached."""
        return self._folder(container_id).out_of_memory.exists()

    async def attach(self, container_id: str, *, stdin: bool = True) -> Attachment:
        """Connect to a created or running container; `stdin` says whether there will be input."""
        attachment = await attachments.connect(self._folder(container_id).bundle, stdin=stdin)
        self._attachments[container_id].add(attachment)
        return attachment

    async def resize(self, container_id: str, height: int, width: int) -> None:
        """Set the size of the container's terminal, in characters. Raises Conflict if it does not run."""
        _resize(self._folder(container_id), height, width)

    async def pids(self, container_id: str) -> list[int]:
        """Return the processes of the container, as the host numbers them."""
        listed = await self._call("ps", "--format", "json", container_id)
        return [int(pid) for pid in json.loads(listed) or ()]

    async def exec(self, container: Container, made: Exec, *, user: User, attach: bool) -> Execution:
        """Run a command in a running container; `attach` connects to it before it starts, so that nothing is lost.

        Raises InvalidInput, CommandFailed in Docker's words.
        """
        try:
            execution = await _completed(self._starter.start(self._folder(container.id), made, user, attach=attach))
        except BaseException:
            await self._forget_exec(container.id, made.id)
            raise
        if execution.attachment:
            self._attachments[container.id].add(execution.attachment)
        return execution

    async def wait_exec(self, execution: Execution) -> int:
        """Return the exit code of a command when it has ended, and remove its files."""
        await process.wait_gone(execution.monitor_pid, execution.monitor_start)
        try:
            code = _exit_code(exec_folder(self._folder(execution.container), execution.id))
        finally:
            await self._forget_exec(execution.container, execution.id)
        return KILLED if code is None else code

    async def resize_exec(self, container_id: str, exec_id: str, height: int, width: int) -> None:
        """Set the size of a command's terminal, in characters. Raises Conflict if it does not run."""
        _resize(exec_folder(self._folder(container_id), exec_id), height, width)

    def root(self, pid: int) -> Path:
        """Return where the host sees the root of a container whose first process this is."""
        return Path(f"/proc/{pid}/root")

    def watches(self, monitor_pid: int, monitor_start: int) -> bool:
        """Whether this monitor is still there."""
        return process.is_alive(monitor_pid, monitor_start)

    def ids(self) -> frozenset[str]:
        """Return every container that left something here: for the sweep after a crash."""
        return frozenset(entry.name for folder in (self._monitors, self._root) if folder.exists() for entry in folder.iterdir())

    def _folder(self, container_id: str) -> Folder:
        return Folder(bundle=self._monitors / container_id)

    async def _call(self, *args: str) -> str:
        try:
            first = (self._choice.program, f"--root={self._root}", "--log-format=json")
            finished = await process.run(*first, *args, env=self._conmon.environment)
        except CommandFailed as error:
            raise CommandFailed(last_error(error.output) or str(error), status=error.status, output=error.output) from error
        return finished.output

    async def _call_running(self, command: str, container_id: str) -> None:
        try:
            await self._call(command, container_id)
        except CommandFailed as error:
            if any(words in str(error).lower() for words in _GONE):
                raise Conflict(f"container {container_id} is not running") from error
            raise

    @staticmethod
    def _signalled(folder: Folder, number: int) -> bool:
        """Send a signal without the runtime, a process less: whoever is the monitor's child is the container's first process."""
        pid, monitor = _number(folder.process_pid) or 0, _number(folder.monitor_pid) or 0
        return pid > 0 and monitor > 0 and process.kill_child(pid, monitor, number)

    @staticmethod
    def _prepare(folder: Folder, config: dict[str, object]) -> None:
        try:
            folder.bundle.mkdir(parents=True, mode=0o700)
            folder.config.write_text(json.dumps(config))
        except OSError as error:  # a full disk
            raise EngineError(f"cannot write {error.filename or folder.config}: {error.strerror}") from error

    def _unbind(self, container_id: str) -> None:
        for attachment in tuple(self._attachments.get(container_id, ())):
            attachment.unbound()

    async def _drain_at_end(self, container_id: str, folder: Folder) -> None:
        """When the process is gone, take its last output off the monitor, however slow the clients are: it ends after that."""
        pid = _number(folder.process_pid)
        while pid:
            try:
                await process.wait_gone(pid, process.start_time(pid))
            except KernelError as error:
                logger.warning("the end of container %s is not seen yet: %s", container_id[:12], error)
                await asyncio.sleep(_AGAIN)
            else:
                self._unbind(container_id)
                return

    async def _end_monitor(self, folder: Folder) -> None:
        pid = _number(folder.monitor_pid) or 0
        start = process.start_of(pid, folder.bundle) if pid else 0
        if not start:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.wait_gone(pid, start)
        except TimeoutError:
            process.kill(pid, start, 9)
            await process.wait_gone(pid, start)

    async def _forget_exec(self, container_id: str, exec_id: str) -> None:
        folder = exec_folder(self._folder(container_id), exec_id)
        try:
            await _remove(folder.bundle)
        except EngineError as error:
            logger.warning("%s; it goes with the container", error)


async def _remove(folder: Path) -> None:
    """Remove a folder that nobody writes to any more. Raises KernelError if it cannot be, not even a moment later."""
    for delay in (0.1, 1.0, None):
        try:
            await asyncio.to_thread(tree.remove, folder)
        except (OSError, KernelError) as error:
            if delay is None:
                raise KernelError(f"remove {folder}", error.errno or 0) from error
            await asyncio.sleep(delay)
        else:
            return


async def _completed(start: Coroutine[None, None, T]) -> T:
    """Await a start to its end, also if the caller is cancelled: what clears it away must not come in the middle of it."""
    task = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _is_over(folder: Folder, container_id: str) -> bool:
    """Whether nothing of a container runs any more, and then remove its cgroups.

    The runtime has nothing left to do then but to forget its record, which is a folder: a process less at the end of each container.
    """
    pids = (_number(folder.process_pid), _number(folder.monitor_pid))
    return not any(pid is None or process.start_time(pid) for pid in pids) and cgroup.remove(cgroup_path(container_id))


def _under_way(folder: Folder) -> bool:
    """Whether a monitor, or the runtime for it, is about to make a container's process."""
    monitor, waiting = _number(folder.monitor_pid), _number(folder.process_pid)
    pids = {pid for pid, _ in process.naming(folder.bundle)}
    # A process that waits for its start may still have the runtime's command line.
    return bool(pids) and (waiting is None or not pids <= {monitor, waiting})


def _exec_folders(container: Folder) -> list[Path]:
    parent = exec_folder(container, "any").bundle.parent
    return sorted(parent.iterdir()) if parent.is_dir() else []


def _stream_options(asked: Process) -> list[str]:
    if asked.tty:
        return ["--terminal"]
    if not asked.open_stdin:
        return []
    return ["--stdin"] if asked.stdin_once else ["--stdin", "--leave-stdin-open"]


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _exit_code(folder: Folder) -> int | None:
    """Return the code that a monitor left, None if it left none. Raises KernelError if that cannot be told now."""
    try:
        return int(folder.exit_code.read_text())
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise KernelError(f"read {folder.exit_code}", error.errno or 0) from error


def _resize(folder: Folder, height: int, width: int) -> None:
    try:
        fifo = os.open(folder.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict("cannot resize a stopped container") from error
    try:
        os.write(fifo, f"1 {min(height, _LARGEST_SIZE)} {min(width, _LARGEST_SIZE)}\n".encode())
    finally:
        os.close(fifo)
