"""Waiting for a file to change (inotify)."""

import asyncio
import ctypes
import errno
import functools
import os
from pathlib import Path
from typing import Self

from linkspan.errors import KernelError, NotFound

_IN_MODIFY = 0x002
_IN_CLOSE_WRITE = 0x008
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_EVENTS = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_DELETE_SELF | _IN_MOVE_SELF
_LARGEST_READ = 1 << 16


class FileWatch:
    """Sees a file being written to, moved or deleted, from the moment the `async with` block is entered.

    Equivalent to `inotifywait -e modify,close_write,move_self,delete_self FILE`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._fd = -1

    async def changed(self) -> None:
        """Return when something has changed since the last return, or since the block was entered."""
        await self._changed.wait()
        self._changed.clear()

    async def __aenter__(self) -> Self:
        """Start to watch; raises NotFound, KernelError if the host's number of watches is used up."""
        self._fd = _watch(self._path)
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    async def __aexit__(self, *_error: object) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        os.read(self._fd, _LARGEST_READ)  # what is left beyond it calls again
        self._changed.set()


def _watch(path: Path) -> int:
    libc = _libc()
    fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise KernelError(f"watch {path}", ctypes.get_errno(), "see sysctl fs.inotify.max_user_instances")
    if libc.inotify_add_watch(fd, os.fsencode(path), _EVENTS) < 0:
        code = ctypes.get_errno()
        os.close(fd)
        raise NotFound(f"no file {path}") if code == errno.ENOENT else KernelError(f"watch {path}", code)
    return fd


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_init1.argtypes = (ctypes.c_int,)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    return libc
