"""All sandboxes that are served, and what the engine told of them and of their networks."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Sequence

from linkspan.errors import InvalidInput, NotFound
from linkspan.kernel.visit import Visitor
from linkspan.resolver.cache import Cache
from linkspan.resolver.forward import Forwarder
from linkspan.resolver.records import Book
from linkspan.resolver.server import Listener
from linkspan.resolver.slots import Slots
from linkspan.resolver.units import KINDS, Sandbox, Unit, kind_of

SANDBOXES = 20_000


class Desk:
    """Takes what the engine tells and hands it to where it belongs."""

    def __init__(self, forwarder: Forwarder, cache: Cache, slots: Slots, visitor: Visitor, idle: Callable[[bool], None]) -> None:
        self.listeners: dict[str, Listener] = {}
        self._book = Book()
        self._forwarder = forwarder
        self._cache = cache
        self._slots = slots
        self._visitor = visitor
        self._idle = idle
        self._stale: set[tuple[str, str]] | None = None

    def listener(self, sandbox: str) -> Listener:
        """Return who serves the sandbox; raises NotFound."""
        found = self.listeners.get(sandbox)
        if found is None:
            raise NotFound(f"no names are served in sandbox {sandbox[:64]}")
        return found

    def change(self, units: Sequence[Unit], gone: Sequence[tuple[str, str]], files: list[int]) -> None:
        """Learn and forget, all of it or nothing. The files are those of the one sandbox among the units; those taken leave the list."""
        sandboxes = [unit for unit in units if isinstance(unit, Sandbox)]
        if unknown := [kind for kind, _ in gone if kind not in KINDS]:
            raise InvalidInput(f"unknown kind {unknown[0][:64]!r}")
        if files and len(sandboxes) != 1:
            raise InvalidInput("sockets without their sandbox")
        for sandbox in sandboxes:
            if not files and sandbox.id not in self.listeners:
                raise NotFound(f"the sockets of sandbox {sandbox.id[:64]} are not here")
        if files:
            self._take(sandboxes[0], files)
        for kind, unit_id in gone:
            self._forget(kind, unit_id)
        for unit in units:
            self._learn(unit)
        self._idle(not self.listeners)

    def begin(self) -> None:
        """Take everything for outdated that is not told again before `commit`."""
        self._stale = set(self._book.known())

    def commit(self) -> int:
        """Forget what was not told again; returns how many units."""
        stale, self._stale = self._stale or set(), None
        for kind, unit_id in stale:
            self._forget(kind, unit_id)
        self._idle(not self.listeners)
        return len(stale)

    def status(self) -> dict[str, object]:
        """Return some figures."""
        busy = {each: self._slots.active(each) + self._slots.waiting(each) for each in self.listeners}
        return {
            "pid": os.getpid(),
            "sandboxes": len(self.listeners),
            "answered": sum(each.answered for each in self.listeners.values()),
            "asked": self._forwarder.asked,
            "kept": len(self._cache),
            "kept_bytes": self._cache.size,
            "under_way": {each: count for each, count in sorted(busy.items())[:500] if count},
            "tasks": len(asyncio.all_tasks()),
        }

    def close(self) -> None:
        """Let all sockets go."""
        for listener in self.listeners.values():
            listener.close()
        self.listeners.clear()

    def _learn(self, unit: Unit) -> None:
        self._book.put(unit)
        if self._stale:
            self._stale.discard((kind_of(unit), unit.id))

    def _forget(self, kind: str, unit_id: str) -> None:
        if kind == "sandbox" and (listener := self.listeners.pop(unit_id, None)):
            listener.close()
        self._book.drop(kind, unit_id)

    def _take(self, unit: Sandbox, files: list[int]) -> None:
        """Serve the sandbox by these sockets from now on."""
        if len(files) != 3 or not all(map(_is_socket, files[:2])):
            raise InvalidInput("a sandbox has a UDP and a TCP socket, and its namespace")
        if len(self.listeners) >= SANDBOXES:
            raise InvalidInput("there are too many sandboxes")
        sockets = socket.socket(fileno=files.pop(0)), socket.socket(fileno=files.pop(0))
        if (sockets[0].type, sockets[1].type) != (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            for each in sockets:
                each.close()
            raise InvalidInput("a sandbox has a UDP and a TCP socket, and its namespace")
        if former := self.listeners.pop(unit.id, None):
            former.close()
        listener = self.listeners[unit.id] = Listener(unit.id, self._book, self._forwarder, sockets)
        listener.enter_by(files.pop(0), self._visitor.run)


def _is_socket(file: int) -> bool:
    return stat.S_ISSOCK(os.fstat(file).st_mode)
