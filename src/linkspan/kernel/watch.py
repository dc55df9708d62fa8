"""Waiting for a file to change (inotify).

All watches of an event loop share one inotify instance: a host has few of them for each user (sysctl fs.inotify.max_user_instances).
"""

import asyncio
import ctypes
import errno
import functools
import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from linkspan.errors import KernelError, NotFound

_IN_MODIFY = 0x002
_IN_CLOSE_WRITE = 0x008
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_IGNORED = 0x8000
_EVENTS = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_DELETE_SELF | _IN_MOVE_SELF
_EVERY = -1
"""The watch that an event names when the kernel's queue has overflowed: any of them may have changed."""
_EVENT = struct.Struct("iIII")
_LARGEST_READ = 1 << 16


class FileWatch:
    """Sees a file being written to, moved or deleted, from the moment the `async with` block is entered.

    Equivalent to `inotifywait -e modify,close_write,move_self,delete_self FILE`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._inotify: _Inotify | None = None
        self._watch = 0

    async def changed(self) -> None:
        """Return when something has changed since the last return, or since the block was entered."""
        await self._changed.wait()
        self._changed.clear()

    def notify(self) -> None:
        """Let `changed` return."""
        self._changed.set()

    async def __aenter__(self) -> Self:
        """Start to watch; raises NotFound, KernelError if the host's number of watches is used up."""
        self._inotify = _Inotify.of(asyncio.get_running_loop())
        self._watch = self._inotify.add(self._path, self)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._inotify is not None:
            self._inotify.remove(self._watch, self)
            self._inotify = None


class _Inotify:
    """An inotify instance: open as long as somebody watches by it. Used on its event loop only."""

    _instances: "dict[asyncio.AbstractEventLoop, _Inotify]" = {}  # noqa: RUF012  one for each event loop

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watchers: dict[int, set[FileWatch]] = defaultdict(set)
        self._fd: int = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise KernelError("watch files", ctypes.get_errno(), "see sysctl fs.inotify.max_user_instances")
        loop.add_reader(self._fd, self._read)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Inotify":
        """Return the loop's instance, a new one if nobody watches anything."""
        if loop not in cls._instances:
            cls._instances[loop] = cls(loop)
        return cls._instances[loop]

    def add(self, path: Path, watcher: FileWatch) -> int:
        """Watch a file; a file that several watch has one watch. Raises NotFound, KernelError."""
        watch: int = _libc().inotify_add_watch(self._fd, os.fsencode(path), _EVENTS)
        if watch < 0:
            code = ctypes.get_errno()
            self._close_if_unused()
            raise NotFound(f"no file {path}") if code == errno.ENOENT else KernelError(f"watch {path}", code)
        self._watchers[watch].add(watcher)
        return watch

    def remove(self, watch: int, watcher: FileWatch) -> None:
        """Watch no more; also after the file is gone."""
        if watch in self._watchers:
            self._watchers[watch].discard(watcher)
            if not self._watchers[watch]:
                del self._watchers[watch]
                _libc().inotify_rm_watch(self._fd, watch)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._watchers and self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._instances.pop(self._loop, None)

    def _read(self) -> None:
        for watch, mask in events(os.read(self._fd, _LARGEST_READ)):  # what is left beyond it calls again
            for watcher in {w for group in self._watchers.values() for w in group} if watch == _EVERY else self._watchers.get(watch, ()):
                watcher.notify()
            if mask & _IN_IGNORED:
                self._watchers.pop(watch, None)


def events(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the watch and the mask of each event in what inotify says (inotify(7)); what is no whole event is left out."""
    position = 0
    while position + _EVENT.size <= len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, position)
        yield watch, mask
        position += _EVENT.size + length


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_init1.argtypes = (ctypes.c_int,)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
    return libc
