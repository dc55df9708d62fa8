"""What an image may take of the disk: never the last of it, which the store and the logs of running containers need."""

import errno
import os
from pathlib import Path

RESERVED = 64 << 20
"""Bytes that images leave free, of a disk that is large enough for it; of a small one, a fiftieth."""
_SHARE = 50


def require(folder: Path, size: int = 0, files: int = 0) -> None:
    """Raise OSError (ENOSPC) unless so many bytes and files more fit on the file system of `folder`."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize - min(RESERVED, disk.f_blocks * disk.f_frsize // _SHARE)
    free_files = disk.f_favail - disk.f_files // _SHARE
    counts_files = disk.f_files > 0  # btrfs and others have no table of a fixed size
    if size > free or (counts_files and files > free_files):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
