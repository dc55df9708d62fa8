"""One call of conmon: its files, its command line, and what it reports.

conmon forks into the background and outlives the engine. The container's pid, or why there is none, comes through a pipe
(`_OCI_SYNCPIPE`) as a line of JSON; the runtime's own sentence is in its log.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from linkspan import strict_json
from linkspan.errors import CommandFailed, EngineError, InvalidInput
from linkspan.kernel import process
from linkspan.runtime.oci import Choice

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""Nothing of the engine's own: LISTEN_FDS or NOTIFY_SOCKET would change what the runtime does."""

_SCRATCH = "_LIBCONTAINER_STATEDIR"
"""Where crun mounts its own program for a moment, so that no container can write to it; /tmp unless set."""
_LONGEST_LOG = 64 << 10
"""Bytes at the end of a runtime's log that are looked at."""
_CALLERS_FAULT = ("executable file not found", "no such file or directory", "permission denied", "is a directory")
"""What dockerd takes for a mistake of the caller's (moby: translateContainerdStartErr)."""
_CRUN_WORDS = (
    (
        re.compile(r"^executable file `(.*)` not found in \$PATH.*$"),
        r'unable to start container process: exec: "\1": executable file not found in $PATH',
    ),
    (re.compile(r"^open executable: .*$"), "unable to start container process: exec: permission denied"),
)
"""crun's sentences that people know by runc's words, and scripts look for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The files of one monitor. They are not on the containers' disk: an exit code must be written also when that is full."""

    bundle: Path

    @property
    def config(self) -> Path:
        return self.bundle / "config.json"

    @property
    def process_pid(self) -> Path:
        return self.bundle / "pid"

    @property
    def monitor_pid(self) -> Path:
        return self.bundle / "monitor.pid"

    @property
    def runtime_log(self) -> Path:
        return self.bundle / "runtime.log"

    @property
    def control(self) -> Path:
        """The fifo that conmon takes terminal sizes from."""
        return self.bundle / "ctl"

    @property
    def exit_code(self) -> Path:
        return self.bundle / "exit"

    @property
    def out_of_memory(self) -> Path:
        return self.bundle / "oom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process in a container, and its monitor."""

    pid: int
    monitor_pid: int
    monitor_start: int
    """Start time of the monitor, as kernel.process.start_time tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conmon:
    """How to call conmon for the containers of one engine.

    `root` is where the OCI runtime keeps its state, `scratch` where it puts what it needs for a moment.
    """

    program: Path
    choice: Choice
    root: Path
    scratch: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the runtime is to know, whoever calls it."""
        return {**_ENVIRONMENT, _SCRATCH: str(self.scratch)}

    async def run(
        self,
        folder: Folder,
        *options: str | Path,
        way: Sequence[str | Path] = (),
        pass_fds: Sequence[int] = (),
        attach: Callable[[], Awaitable[None]] | None = None,
    ) -> Running:
        """Start a process under a monitor of its own and return when the process exists.

        `way` is the command that leads to the runtime, if it needs one. `attach` is called when the monitor's socket is there and the
        process is not yet (for an exec).
        Raises CommandFailed with the runtime's sentence, InvalidInput if that says that the command cannot be run.
        """
        async with contextlib.AsyncExitStack() as stack:
            sync = await stack.enter_async_context(_messages())
            attaching = await stack.enter_async_context(_attaching()) if attach else None
            environment = {**self.environment, "_OCI_SYNCPIPE": str(sync.write_end), **(attaching.environment if attaching else {})}
            descriptors = (sync.write_end, *(attaching.descriptors if attaching else ()), *pass_fds)
            monitor = await process.start(
                *(*self._command(folder, way), *options),
                cwd=folder.bundle,  # conmon drops a mark into its working directory when memory runs out
                env=environment,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=descriptors,
            )
            sync.close_write_end()
            if attach and attaching:
                try:
                    await attaching.between(attach)
                except BaseException:
                    attaching.give_up()
                    await sync.reader.read()  # it ends with the monitor, which writes into its folder until then
                    raise
            report = await _line(sync.reader)
            _, errors = await monitor.communicate()
        return self._running(folder, report, errors.decode(errors="replace") or _silence(folder, monitor.returncode))

    def _command(self, folder: Folder, way: Sequence[str | Path]) -> list[str | Path]:
        program, *first = (*way, self.choice.program)
        runtime = [*first, f"--root={self.root}", f"--log={folder.runtime_log}", "--log-format=json"]
        return [
            *(self.program, "--api-version", "1", "--runtime", program, "--bundle", folder.bundle),
            # Once it is in the background, what it cannot do is told to the system's log alone.
            *("--full-attach", "--persist-dir", folder.bundle, "--no-sync-log", "--log-level", "error", "--syslog"),
            *("--container-pidfile", folder.process_pid, "--conmon-pidfile", folder.monitor_pid),
            *(f"--runtime-arg={argument}" for argument in runtime),
        ]

    def _running(self, folder: Folder, report: bytes, errors: str) -> Running:
        pid, said = reported_pid(report)
        if pid <= 0:
            raise CommandFailed(_logged_error(folder) or (said or errors).strip(), status=1)
        try:
            monitor_pid = int(folder.monitor_pid.read_text())
        except (OSError, ValueError) as error:
            raise CommandFailed(f"the monitor did not leave its pid: {error}", status=1) from error
        return Running(pid=pid, monitor_pid=monitor_pid, monitor_start=process.start_time(monitor_pid))


def reported_pid(report: bytes) -> tuple[int, str]:
    """Read the line that conmon reports by: the process's pid, or nothing above 0 and what it says of that."""
    try:
        message = strict_json.parse(report)
    except ValueError:
        return -1, ""
    if not isinstance(message, dict):
        return -1, ""
    pid, said = message.get("data"), message.get("message")
    return pid if isinstance(pid, int) else -1, said if isinstance(said, str) else ""


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return a line, nothing if it is longer than any that conmon writes."""
    try:
        return await reader.readline()
    except ValueError:
        return b""


def _silence(folder: Folder, status: int | None) -> str:
    """Say how far a monitor got that did not say it itself.

    conmon (2.1.6) passes on what the runtime wrote; so the runtime wrote nothing, as when a signal ends it, or conmon itself was killed.
    """
    seen = [f"exit status {status}"]
    try:
        seen.append(f"it left {', '.join(sorted(os.listdir(folder.bundle))) or 'nothing'}")  # noqa: PTH208  names
        seen += [f"{path.name}: {text}" for path in (folder.exit_code, folder.runtime_log) if path.exists() and (text := _end_of(path))]
    except OSError as error:
        seen.append(f"its folder: {error.strerror}")
    return f"the runtime or its monitor was killed, or ended without a word ({'; '.join(seen)})"


def refused(prefix: str, error: CommandFailed) -> EngineError:
    """Return the runtime's refusal as Docker words and classes it: InvalidInput if the command or a mount is at fault."""
    said = str(error)
    for crun, runc in _CRUN_WORDS:
        said = crun.sub(runc, said)
    text = f"{prefix}: {said}: unknown"
    if "not a directory" in said.lower():
        hint = "Are you trying to mount a directory onto a file (or vice-versa)?"
        return InvalidInput(f"{text}: {hint} Check if the specified host path exists and is the expected type")
    if any(words in said.lower() for words in _CALLERS_FAULT):
        return InvalidInput(text)
    return CommandFailed(text, status=error.status, output=said)


def last_error(log: str) -> str:
    """Return the last error in what a runtime logged as JSON, empty for none."""
    for line in reversed(log.splitlines()):
        with contextlib.suppress(ValueError):
            entry = strict_json.parse(line)
            if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
                return str(entry.get("msg", "")).strip()
    return ""


def _logged_error(folder: Folder) -> str:
    try:
        return last_error(_end_of(folder.runtime_log, _LONGEST_LOG))
    except OSError:
        return ""


def _end_of(path: Path, size: int = 200) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size).decode(errors="replace").strip()


class _Messages:
    """A pipe that conmon writes lines of JSON to."""

    def __init__(self, reader: asyncio.StreamReader, write_end: int) -> None:
        self.reader = reader
        self.write_end = write_end
        self._open = True

    def close_write_end(self) -> None:
        if self._open:
            self._open = False
            os.close(self.write_end)


@contextlib.asynccontextmanager
async def _messages() -> AsyncIterator[_Messages]:
    read_end, write_end = os.pipe()
    messages = _Messages(asyncio.StreamReader(), write_end)
    with contextlib.closing(open(read_end, "rb", buffering=0)) as pipe:  # noqa: ASYNC230, PTH123  a descriptor, never blocking
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(messages.reader), pipe)
            try:
                yield messages
            finally:
                transport.close()
        finally:
            messages.close_write_end()


class _Attaching:
    """The two pipes by which conmon says that its socket is there, and is told that somebody has connected."""

    def __init__(self, ready: _Messages, start_read_end: int, start_write_end: int) -> None:
        self._ready = ready
        self._start_read_end = start_read_end
        self._start_write_end = start_write_end
        self.environment = {"_OCI_ATTACHPIPE": str(ready.write_end), "_OCI_STARTPIPE": str(start_read_end)}
        self.descriptors = (ready.write_end, start_read_end)

    async def between(self, attach: Callable[[], Awaitable[None]]) -> None:
        """Let conmon begin, call `attach` when it can be attached to, and let the process start."""
        self._ready.close_write_end()
        os.write(self._start_write_end, b"\n")
        if await self._ready.reader.readline():
            await attach()
            os.write(self._start_write_end, b"\n")

    def give_up(self) -> None:
        """Let conmon end without starting anything."""
        if self._start_write_end >= 0:
            os.close(self._start_write_end)
            self._start_write_end = -1


@contextlib.asynccontextmanager
async def _attaching() -> AsyncIterator[_Attaching]:
    async with _messages() as ready:
        read_end, write_end = os.pipe()
        attaching = _Attaching(ready, read_end, write_end)
        try:
            yield attaching
        finally:
            os.close(read_end)
            attaching.give_up()
