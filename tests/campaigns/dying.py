"""An engine that dies at a chosen step: `python dying.py CONTROL daemon …` runs `linkspan daemon …` and watches the file CONTROL.

As soon as CONTROL holds a number, the steps are counted and their names written to CONTROL.steps; with the step of that number the process
kills itself (0: never). A step is whatever changes something outside the process: a call of a function of `kernel`, a commit of the
store, a file made, moved or removed (Python's audit events tell), a program started or ended. Nothing in the product knows of this.
"""

import functools
import importlib
import inspect
import os
import pkgutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

READING = {
    *("dump exists find find_init get holder index is_alive is_bridge is_foreign list_ours local mounts_under of pids reserved".split()),
    *("start_time wait_gone watch_children ephemeral_range host inspect_host connected_subnets changed translated".split()),
    *("links addresses routes uplinks inside existing route_changes settle fd scratch run_in_new".split()),
    *("age choose_runtime raise_limit started_with up_message default_message question require_index read wait pids".split()),
}
"""Functions after which nothing is different: dying there is dying at the step before."""
FILE_EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "subprocess.Popen"}


class Steps:
    """Counts, and ends the process in time."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._log = os.open(f"{control}.steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lock = threading.RLock()
        self._count = 0
        self._target = 0
        self._order = (0, 0)
        self._thread = threading.local()

    def passed(self, name: str) -> None:
        """Count a step that has been done, or is about to be."""
        with self._lock:
            if not self._armed():
                return
            self._count += 1
            os.write(self._log, f"{name}\n".encode())
            if self._count == self._target:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # the signal comes first

    def ended(self, name: str) -> None:
        """Count the end of a call, unless a call in it has just been counted: nothing happened since."""
        if not getattr(self._thread, "ended", False):
            self.passed(name)
        self._thread.ended = True

    def begins(self, name: str) -> None:
        """Count what is about to happen."""
        self.passed(f"before {name}")
        self._thread.ended = False

    def _armed(self) -> bool:
        try:
            order = self._control.stat()
        except FileNotFoundError:
            return False
        if (order.st_ino, order.st_mtime_ns) != self._order:
            self._order = order.st_ino, order.st_mtime_ns
            self._count, self._target = 0, int(self._control.read_text())
        return True

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its end counted as a step."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def stepping(*args: Any, **options: Any) -> Any:
                result = await function(*args, **options)
                self.passed(name)
                return result
        else:

            @functools.wraps(function)
            def stepping(*args: Any, **options: Any) -> Any:
                self._thread.ended = False
                result = function(*args, **options)
                self.ended(name)
                return result

        return stepping

    def watch_module(self, module: ModuleType, *, only_slow: bool) -> None:
        """Count the calls of a module's functions and of its classes' methods; only of those that wait for something, if asked."""
        owners: list[Any] = [module]
        owners += [found for found in vars(module).values() if inspect.isclass(found) and found.__module__ == module.__name__]
        for owner in owners:
            for name, function in list(vars(owner).items()):
                if not inspect.isfunction(function) or function.__module__ != module.__name__:
                    continue
                if self._changes(name, function) and (inspect.iscoroutinefunction(function) or not only_slow):
                    setattr(owner, name, self.around(f"{owner.__name__.rpartition('.')[2]}.{name}", function))

    @staticmethod
    def _changes(name: str, function: Callable[..., Any]) -> bool:
        generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        wrapped = hasattr(function, "__wrapped__")  # a context manager
        return not (name.startswith("_") or name in READING or generates or wrapped)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Count what Python says it is about to do to files; see the table of audit events."""
        if event in FILE_EVENTS:
            self.begins(f"{event} {_name(args[0])}")
        elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and args[0] != os.devnull:
            self.begins(f"open {_name(args[0])}")

    def watch_database(self) -> None:
        """Count what is committed."""
        steps, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                within = self.in_transaction
                cursor = super().execute(sql, *args)
                if sql.startswith("COMMIT") or not (within or self.in_transaction or sql.startswith(("SELECT", "PRAGMA", "ROLLBACK"))):
                    steps.passed(f"sqlite {sql.split(maxsplit=1)[0]}")
                return cursor

        sqlite3.connect = functools.partial(connect, factory=Connection)  # type: ignore[assignment]


def _name(path: Any) -> str:
    return Path(os.fsdecode(path)).name if isinstance(path, (str, bytes, Path)) else ""


def main() -> int:
    steps = Steps(Path(sys.argv[1]))
    steps.watch_database()
    for package, only_slow in (("linkspan.kernel", False), ("linkspan.runtime", True)):
        loaded = importlib.import_module(package)
        for found in pkgutil.iter_modules(loaded.__path__, f"{package}."):
            steps.watch_module(importlib.import_module(found.name), only_slow=only_slow)
    sys.addaudithook(steps.audit)
    from linkspan.daemon import main as daemon  # noqa: PLC0415  what it imports by name must be wrapped by now

    return daemon(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
