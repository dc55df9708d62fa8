"""Starting and stopping the engine: `up`, `down`, and the start that any command makes when nothing runs.

The engine is forked and executed here rather than by kernel.process, which the command does not import: it must be detached, and must
inherit the environment, which only one module may read.
"""

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from linkspan import config
from linkspan.cli import settings
from linkspan.cli.client import Client, container_path
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import Flag, Given
from linkspan.cli.output import complain
from linkspan.cli.parallel import at_once
from linkspan.errors import InvalidInput

_PATIENCE = 30.0
_PAUSE = 0.02
_STOP_PATIENCE = 60
_SHOWN_LOG_LINES = 20
_DOWN_FLAGS = (
    Flag("containers", "Stop the containers first"),
    Flag("purge", "Stop the containers, and take the interfaces, rules, namespaces and mounts off the host; images and containers stay"),
)
_OWN_FLAGS = tuple(f"--{flag.name}" for flag in _DOWN_FLAGS)


class Place(NamedTuple):
    """Where an engine with given flags serves, notes its pid, and logs."""

    host: str
    pidfile: Path
    log: Path


def place(flags: Sequence[str]) -> Place:
    """Read the engine's own flags and configuration file.

    Raises CommandError in the engine's words if they are wrong.
    """
    try:
        loaded = config.load(flags)
    except InvalidInput as error:
        raise CommandError(str(error)) from error
    host = next((host for host in loaded.sockets if host.startswith("unix://")), loaded.sockets[0])
    return Place(host, loaded.pid_path, loaded.exec_root / "linkspan.log")


def autostart(host: str) -> bool:
    """Start the engine if that is what a user would expect: on the default socket, as root, not forbidden. Return whether it runs."""
    if host != settings.DEFAULT_HOST or os.geteuid() != 0 or settings.autostart_forbidden():
        return False
    complain("linkspan: starting the engine")
    _start(place(()), ())
    return True


def _flags(client: Client, given: Given) -> list[str]:
    """Return the engine's flags: those that were given, and the socket that `-H` or the environment named."""
    flags = [flag for flag in given.arguments if flag not in ("--", *_OWN_FLAGS)]
    if client.host == settings.DEFAULT_HOST or any(flag.startswith(("-H", "--host")) for flag in flags):
        return flags
    return ["--host", client.host, *flags]


def _up(client: Client, given: Given) -> int:
    flags = _flags(client, given)
    where = place(flags)
    started = _start(where, flags)
    print(f"linkspan is {'' if started else 'already '}running on {where.host} (pid {_pid(where) or '?'})")
    return 0


def _start(where: Place, flags: Sequence[str]) -> bool:
    """Start the engine and wait until it answers; return False if it does already.

    Raises CommandError with the end of its log if it dies.
    """
    try:
        where.log.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(where.log.with_name("linkspan.up.lock")):
            if answers(where.host):
                return False
            _await(where, _spawn(flags, where.log))
    except OSError as error:
        hint = ": use sudo" if isinstance(error, PermissionError) else ""
        raise CommandError(f"cannot start the engine: {error.filename or ''} {error.strerror}{hint}") from error
    return True


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Two commands that find no engine at the same time shall start one: the second waits, and finds it running."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def answers(host: str) -> bool:
    """Whether an engine serves there."""
    try:
        with Client(host).stream("GET", "/_ping"):
            return True
    except CommandError:
        return False


def _spawn(flags: Sequence[str], log: Path) -> int:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        _become_engine(flags, output)
    os.close(output)
    return pid


def _become_engine(flags: Sequence[str], output: int) -> NoReturn:
    """Leave the terminal and its session, and become `python -m linkspan daemon`."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir("/")
        os.execv(sys.executable, [sys.executable, "-m", "linkspan", "daemon", *flags])  # noqa: S606 - no shell is what is wanted
    finally:
        os._exit(127)


def _await(where: Place, pid: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    size = where.log.stat().st_size
    while not answers(where.host):
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise CommandError(f"the engine did not start; the end of its log, {where.log}:\n{_end_of(where.log, size)}")
        if time.monotonic() > deadline:
            raise CommandError(f"the engine does not answer on {where.host} after {_PATIENCE:.0f} s; its log is {where.log}")
        time.sleep(_PAUSE)


def _end_of(log: Path, start: int) -> str:
    """Return the last lines that were written to the log after byte `start`."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_SHOWN_LOG_LINES:]) or "  (it is empty)"


def _down(client: Client, given: Given) -> int:
    flags = _flags(client, given)
    where = place(flags)
    if set(_OWN_FLAGS) & set(given.arguments) and answers(where.host):
        _stop_containers(where.host)
    if pid := _pid(where):
        _terminate(pid)
    print(f"linkspan is stopped (pid {pid})" if pid else "linkspan is not running")
    if "--purge" in given.arguments:
        _purge(flags)
    return 0


def _purge(flags: Sequence[str]) -> None:
    """Let the engine's own program take off the host what it made there."""
    program = [sys.executable, "-m", "linkspan", "daemon", *flags, "--purge"]
    if os.spawnv(os.P_WAIT, sys.executable, program):  # noqa: S606 - no shell is what is wanted
        raise CommandError("what linkspan made on this host could not be removed")
    print("interfaces, rules, namespaces and mounts of linkspan are removed; images and containers are kept")


def _stop_containers(host: str) -> None:
    client = Client(host)

    def stop(name: str) -> str:
        client.post(container_path(name, "stop"))
        return name

    running = [str(container["Names"][0]).removeprefix("/") for container in client.get("/containers/json")]
    if at_once(running, stop):
        raise CommandError("the engine goes on running, because a container could not be stopped")


def _pid(where: Place) -> int:
    """Return the pid in the pid file if that process is an engine, else 0."""
    try:
        pid = int(where.pidfile.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if b"daemon" in words and any(b"linkspan" in word for word in words) else 0


def _terminate(pid: int) -> None:
    """Send SIGTERM and wait until the process is gone."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poller = select.poll()
        poller.register(process, select.POLLIN)
        if not poller.poll(_STOP_PATIENCE * 1000):
            raise CommandError(f"the engine (pid {pid}) did not stop within {_STOP_PATIENCE} s")
    except PermissionError as error:
        raise CommandError(f"the engine (pid {pid}) is not yours to stop: use sudo") from error
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def _daemon(_client: Client, _given: Given) -> int:
    raise CommandError("the engine's flags go after its name: linkspan daemon [ENGINE FLAGS]")


COMMANDS = {
    "up": Command("up", "[-- ENGINE FLAGS]", _up, most=None, raw=True, offline=True),
    "down": Command("down", "[OPTIONS] [-- ENGINE FLAGS]", _down, _DOWN_FLAGS, most=None, raw=True, offline=True),
    "daemon": Command("daemon", "[ENGINE FLAGS]", _daemon, most=None, raw=True, offline=True),
}
