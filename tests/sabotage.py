"""Making each step of an operation fail in turn.

The steps are found in the code, so that a new one is covered the day it is written:

    every public function and method of `kernel/`
    every one of `runtime/` and `images/` that waits for something (the others act by those of `kernel/` and on files)
    every method of the store that touches the database
    every operation on a file under the engine's roots, whoever does it (Python's audit events)

A step fails before it has done anything (`BEFORE`), after it has done it (`AFTER`: the kernel's answer is lost, a program dies at its
end), it does what it should while the operation is cancelled (`CANCEL`), or it fails and so does all that follows (`FOR_GOOD`), the
undoing too.
"""

import errno
import importlib
import inspect
import os
import pkgutil
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from enum import Enum
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import linkspan.images
import linkspan.kernel
import linkspan.runtime
import linkspan.store
from linkspan.errors import KernelError
from linkspan.kernel import process
from linkspan.runtime.attach import Attachment
from linkspan.store.sqlite import SqliteStore

EXEMPT: dict[object, str] = {
    "linkspan.kernel.thread": "runs the steps, and is none",
    "linkspan.kernel.netlink.translated": "words errors",
    "linkspan.kernel.netlink.host": "gives the socket that steps use",
    "linkspan.kernel.netlink.attributes": "reads what steps were told",
    "linkspan.store.sqlite.close": "the end of the process does it",
    Attachment: "the conversation of a client with a container, after the operation",
}
"""Modules, functions and classes of which nothing is a step, with the reason."""

FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


_RANDOM = re.compile(r"[0-9a-f]{64}|(?<=tmp/)tmp\w+")
MARK = os.strerror(errno.EIO)
"""A part of every failure's text: the user reads the reason."""


class Mode(Enum):
    """What happens at the chosen step."""

    BEFORE = "fails"
    AFTER = "fails although it is done"
    CANCEL = "is done, and the operation cancelled"
    FOR_GOOD = "fails, and all that follows"


class Saboteur:
    """Counts the steps, and makes one of them fail. Steps are made by any thread."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[str] = []
        self.fired = ""
        """The step that was made to fail, empty if the operation did not get so far."""
        self.fired_at = 0
        """Its number."""
        self.observer = 0
        """The thread that only looks: nothing that it does is a step."""
        self._folder = os.fsencode(folder)
        self._lock = threading.Lock()
        self._target = 0
        self._mode = Mode.BEFORE
        self._cancel: Callable[[], object] = lambda: None

    def arm(self, number: int, mode: Mode = Mode.BEFORE, cancel: Callable[[], object] = lambda: None) -> None:
        """Let the `number`th step from now on fail; 0: count them only."""
        with self._lock:
            self.steps, self.fired, self.fired_at = [], "", 0
            self._target, self._mode, self._cancel = number or sys.maxsize, mode, cancel

    def disarm(self) -> None:
        with self._lock:
            self._target = 0

    def begin(self, name: str) -> int:
        """A step begins. Raises its failure; returns its number if it is to fail at its end, else 0."""
        with self._lock:
            if not self._target or threading.get_ident() == self.observer:
                return 0
            self.steps.append(name)
            if len(self.steps) < self._target:
                return 0
            if self._mode is Mode.AFTER:
                return len(self.steps)
            self._fire(name)
        if self._mode is Mode.CANCEL:
            self._cancel()
            return 0
        raise self.failure(name)

    def end(self, number: int, name: str, result: object) -> None:
        """A step that is to fail at its end has come there.

        Only the kernel's answers can be lost, and programs fail late; what gives something cannot. Else the next step is tried.
        """
        if name.startswith("kernel.") and (result is None or isinstance(result, process.Finished)):
            with self._lock:
                late, self._target = bool(self._target), 0
                if late:
                    self.fired, self.fired_at = name, number
            if late:
                raise self.failure(name)

    def _fire(self, name: str) -> None:
        if not self.fired:
            self.fired, self.fired_at = name, len(self.steps)
        if self._mode is not Mode.FOR_GOOD:
            self._target = 0  # what takes the steps back works

    def failure(self, name: str) -> Exception:
        return KernelError(f"sabotage of {name}", errno.EIO)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an operation on a file under the roots for a step; it can only fail before it is done."""
        if not self._target or event not in FILE_EVENTS:
            return
        paths = [os.fsencode(arg) for arg in args if isinstance(arg, (str, bytes, os.PathLike))]
        if any(path.startswith(self._folder) for path in paths):
            try:
                self.begin(_RANDOM.sub("*", f"{event} {os.fsdecode(paths[0][len(self._folder) + 1 :])}"))
            except KernelError:
                raise OSError(errno.EIO, MARK, os.fsdecode(paths[0])) from None

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as a step."""
        if inspect.isasyncgenfunction(function):
            return self._around_generator(name, function)
        if inspect.iscoroutinefunction(function):
            return self._around_coroutine(name, function)

        @wraps(function)
        def stepping(*args: Any, **options: Any) -> Any:
            late = self.begin(name)
            result = function(*args, **options)
            if late:
                self.end(late, name, result)
            return result

        return stepping

    def _around_coroutine(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def stepping(*args: Any, **options: Any) -> Any:
            late = self.begin(name)
            result = await function(*args, **options)
            if late:
                self.end(late, name, result)
            return result

        return stepping

    def _around_generator(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def stepping(*args: Any, **options: Any) -> AsyncIterator[Any]:
            late = self.begin(name)
            async with aclosing(function(*args, **options)) as items:
                async for item in items:
                    yield item
            if late:
                self.end(late, name, None)

        return stepping


_listening: list[Saboteur] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for saboteur in _listening:
        saboteur.audit(event, args)


class Installed:
    """While the block lasts, the saboteur is between the engine and its steps."""

    def __init__(self, saboteur: Saboteur) -> None:
        self._saboteur = saboteur
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Saboteur:
        for owner, name in places():
            self._replace(owner, name)
        if not _listening:
            _hook_once()
        _listening.append(self._saboteur)
        return self._saboteur

    def __exit__(self, *_error: object) -> None:
        _listening.remove(self._saboteur)
        for undo in reversed(self._undo):
            undo()

    def _replace(self, owner: Any, name: str) -> None:
        former = inspect.getattr_static(owner, name)
        static = isinstance(former, (staticmethod, classmethod))
        function = former.__func__ if static else former
        stepping = self._saboteur.around(_title(owner, name), function)
        self._set(owner, name, former, type(former)(stepping) if static else stepping)
        if inspect.ismodule(owner):  # and where it was imported by name
            for module in [found for key, found in sys.modules.items() if key.startswith("linkspan.") and found is not owner]:
                for alias in [key for key, found in vars(module).items() if found is former]:
                    self._set(module, alias, former, stepping)

    def _set(self, owner: Any, name: str, former: object, new: object) -> None:
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, former))


def _title(owner: Any, name: str) -> str:
    if inspect.isclass(owner) and owner.__module__.startswith("linkspan.kernel."):
        return f"kernel.{owner.__name__}.{name}"
    return f"{owner.__name__.removeprefix('linkspan.')}.{name}"


_hooked: list[bool] = []


def _hook_once() -> None:
    """Audit hooks cannot be taken away again; this one does nothing while nobody listens."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)


def places() -> Iterator[tuple[object, str]]:
    """Where the steps are: (module or class, name)."""
    for package in (linkspan.kernel, linkspan.runtime, linkspan.images):
        for owner, module in _owners(package):
            for name in _functions(owner, module):
                if package is linkspan.kernel or _waits(inspect.getattr_static(owner, name)):
                    yield owner, name
    yield from ((SqliteStore, name) for name in _functions(SqliteStore, SqliteStore.__module__) if _writes(getattr(SqliteStore, name)))


def _owners(package: ModuleType) -> Iterator[tuple[object, str]]:
    """The modules of a package and their classes, with the module's name."""
    for module in _modules(package):
        yield module, module.__name__
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and kind not in EXEMPT:
                yield kind, module.__name__


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        if found.name not in EXEMPT:
            yield module


def _functions(owner: object, module: str) -> Iterator[str]:
    for name, found in vars(owner).items():
        function = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
        public = inspect.isfunction(function) and function.__module__ == module and not name.startswith("_")
        if public and f"{module}.{name}" not in EXEMPT:
            yield name


def _waits(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _writes(method: Callable[..., Any]) -> bool:
    """Whether a method of the store goes to the database; what is only read from memory cannot fail."""
    names = inspect.unwrap(method).__code__.co_names
    return "transaction" in names or "_database" in names
