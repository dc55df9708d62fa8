"""System calls that Python 3.11 lacks, by libc.

Each function is one call, raises KernelError with the errno, and lets other threads run while it waits (ctypes releases the GIL).
"""

import ctypes
import functools
import os
from pathlib import Path

from linkspan.errors import KernelError

CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_REMOUNT = 32
MS_BIND = 4096

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
    libc.unshare.argtypes = (ctypes.c_int,)
    libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
    return libc


def mount(source: str | Path, target: str | Path, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` on `target`, see mount(2); empty texts are passed as NULL."""
    source_text = os.fsencode(source) if str(source) else None
    result = _libc().mount(source_text, os.fsencode(target), fstype.encode() or None, flags, os.fsencode(data) or None)
    _check(result, f"mount {source or fstype} on {target}")


def umount2(target: str | Path, flags: int = 0) -> None:
    """Unmount what is on `target`, see umount2(2)."""
    _check(_libc().umount2(os.fsencode(target), flags), f"unmount {target}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces, see unshare(2)."""
    _check(_libc().unshare(flags), "make a new namespace")


def setns(fd: int, flags: int) -> None:
    """Move the calling thread into the namespace that `fd` is open on, see setns(2)."""
    _check(_libc().setns(fd, flags), "enter a namespace")


def _check(result: int, action: str) -> None:
    if result != 0:
        raise KernelError(action, ctypes.get_errno())
