"""Programs of others: finding, running and watching them.

A child never inherits a file descriptor that it is not handed, and gets a session of its own, so that Ctrl-C in the terminal of an engine
in the foreground does not reach it.
"""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal as signals
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from linkspan.environment import environment
from linkspan.errors import CommandFailed, KernelError, MissingTool

logger = logging.getLogger(__name__)

PACKAGES = {
    "busybox": "busybox-static",
    "catatonit": "catatonit",
    "conmon": "conmon",
    "crun": "crun",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "ps": "procps",
    "runc": "runc",
    "skopeo": "skopeo",
    "tini-static": "tini",
    "umoci": "umoci",
    "unshare": "util-linux",
}
"""Programs and the Debian packages that bring them; one that is not listed is taken to have its package's name."""

LOOK_AGAIN = 8.0
"""Seconds after which one who waits for the end of a process looks himself: an end must not go unseen for ever."""
_ENDED = ("Z", "X")
"""States of a process that runs no more: zombie, dead."""
_FURTHER_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/libexec/podman")
"""Where to look after PATH: services and users often have no sbin in it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; a negative status is the signal that killed it, as in `subprocess`."""

    status: int
    output: str
    errors: str


def watch_children() -> None:
    """Make asyncio wait for children by pidfd, with no thread per child; call it once, before the first. Newer Pythons do it unasked."""
    if sys.version_info < (3, 12):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


def find(program: str) -> Path:
    """Return the path of a program; equivalent to `command -v PROGRAM`. Raises MissingTool with its Debian package."""
    folders = os.pathsep.join(filter(None, (environment("PATH"), *_FURTHER_FOLDERS)))
    found = shutil.which(program, path=folders)
    if found is None:
        name = Path(program).name
        raise MissingTool(name, PACKAGES.get(name, name))
    return Path(found)


def run_sync(
    *args: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float | None = None, check: bool = True
) -> Finished:
    """Run a program to its end; raises MissingTool, CommandFailed with its words if it fails and `check` is set, or on timeout."""
    command = _command(args)
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=env, timeout=timeout, check=False, start_new_session=True)
    except subprocess.TimeoutExpired as error:
        raise _timed_out(command, timeout) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise _not_started(command, error) from error
    return _finished(command, done.returncode, (done.stdout, done.stderr), check=check)


async def run(
    *args: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
    pass_fds: Iterable[int] = (),
) -> Finished:
    """Run a program to its end; raises as `run_sync`. If the caller is cancelled, the program is killed."""
    source = subprocess.PIPE if stdin else subprocess.DEVNULL
    child = await start(*args, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, pass_fds=pass_fds)
    async with _ended_with_block(child):
        try:
            async with asyncio.timeout(timeout):
                said = await child.communicate(stdin or None)
        except TimeoutError as error:
            raise _timed_out(_command(args), timeout) from error
        return _finished(_command(args), await child.wait(), said, check=check)


async def start(
    *args: str | Path,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: int | IO[Any] = subprocess.DEVNULL,
    stderr: int | IO[Any] = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Iterable[int] = (),
) -> asyncio.subprocess.Process:
    """Start a program, in the folder `cwd` if that is given; the caller waits for it.

    Raises MissingTool, CommandFailed if it cannot be executed.
    """
    command = _command(args)
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, pass_fds=tuple(pass_fds), start_new_session=True
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise _not_started(command, error) from error


def parent(pid: int) -> int:
    """Return the parent of a process, 0 if it has ended; equivalent to field 4 of `cat /proc/PID/stat`."""
    state, parent_pid, *_ = _fields(pid)
    return 0 if state in _ENDED else int(parent_pid)


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot, 0 if it has ended; with the pid, it names a process for good.

    Equivalent to field 22 of `cat /proc/PID/stat`.
    """
    state, *fields = _fields(pid)
    return 0 if state in _ENDED else int(fields[18])


def age(start: int) -> float:
    """Return how many seconds ago a process was started, by its start time; not by the clock, which somebody may set."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start / os.sysconf("SC_CLK_TCK"))


def naming(text: str | Path) -> list[tuple[int, int]]:
    """Return pid and start time of the processes with `text` in their command line, without this one; equivalent to `pgrep -f TEXT`."""
    entries = os.listdir("/proc")  # noqa: PTH208  thousands of them: no Path for each
    pids = (int(entry) for entry in entries if entry.isdecimal() and int(entry) != os.getpid())
    return [(pid, start) for pid in pids if _names(pid, text) and (start := start_of(pid, text))]


def start_of(pid: int, text: str | Path) -> int:
    """Return the start time of the process if `text` is in its command line, else 0: the pid of a file may be somebody else's by now."""
    start = start_time(pid)
    return start if _names(pid, text) else 0


def _names(pid: int, text: str | Path) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  thousands of them
        return os.fsencode(text) in file.read()
    return False


def is_alive(pid: int, start: int) -> bool:
    """Whether the process that was started at `start` still runs; a zombie does not."""
    return start != 0 and start_time(pid) == start


async def wait_gone(pid: int, start: int, *, look_again: float = LOOK_AGAIN) -> None:
    """Wait until a process, which need not be a child, has ended; returns at once if it has, or if another has its pid."""
    with _opened(pid, start) as process:
        if process is None:
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        # Who had this number before may have closed it and listen to it still: asyncio would take ours for his, and not ask the kernel.
        loop.remove_reader(process)
        loop.add_reader(process, gone.set)
        try:
            while not gone.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(look_again):
                        await gone.wait()
                if not gone.is_set() and not is_alive(pid, start):
                    logger.warning("nobody told the end of process %d, which was seen by looking", pid)
                    return
        finally:
            loop.remove_reader(process)


def kill(pid: int, start: int, signal: int) -> None:
    """Send a signal to a process if it still is the one started at `start`; equivalent to `kill -SIGNAL PID`. Raises KernelError."""
    with _opened(pid, start) as process:
        if process is None:
            return
        try:
            signals.pidfd_send_signal(process, signal)
        except ProcessLookupError:
            return
        except OSError as error:
            raise KernelError(f"send signal {signal} to process {pid}", error.errno or errno.EIO) from error


def kill_child(pid: int, parent_pid: int, signal: int) -> bool:
    """Send a signal to a process if it is a child of `parent_pid`, which must live; returns whether it was. Raises KernelError."""
    start = start_time(pid)
    if not start or parent(pid) != parent_pid:
        return False
    kill(pid, start, signal)
    return True


def _fields(pid: int) -> list[str]:
    """Read /proc/PID/stat from the state on (proc(5)); a process that is gone is in state X."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ["X", "0"]
    return text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses


@contextlib.contextmanager
def _opened(pid: int, start: int) -> Iterator[int | None]:
    """Give a pidfd of the process, None if it is gone."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    except OSError as error:
        raise KernelError(f"open process {pid}", error.errno or errno.EIO) from error
    try:
        # Asked after opening: whoever is alive and has this start time now is the one that the descriptor stands for.
        yield process if is_alive(pid, start) else None
    finally:
        os.close(process)


@contextlib.asynccontextmanager
async def _ended_with_block(child: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """See to it that a child, and those it started, have ended when the block is left."""
    try:
        yield
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signals.SIGKILL)  # it leads a group, and one of its own children may hold the pipes
            await child.wait()


def _command(args: tuple[str | Path, ...]) -> tuple[str, ...]:
    program, *others = map(str, args)
    return str(find(program)), *others


def _finished(command: tuple[str, ...], status: int, said: tuple[bytes, bytes], *, check: bool) -> Finished:
    output, errors = (stream.decode(errors="replace") for stream in said)
    if check and status != 0:
        words = errors.strip() or output.strip() or (f"exit status {status}" if status > 0 else f"killed by signal {-status}")
        raise CommandFailed(f"{Path(command[0]).name}: {words}", status=status, output=errors or output)
    return Finished(status, output, errors)


def _timed_out(command: tuple[str, ...], timeout: float | None) -> CommandFailed:
    return CommandFailed(f"{Path(command[0]).name}: no end within {timeout} s", status=-signals.SIGKILL)


def _not_started(command: tuple[str, ...], error: OSError | ValueError) -> CommandFailed:
    return CommandFailed(f"{command[0]}: {error.strerror if isinstance(error, OSError) else error}", status=126)
