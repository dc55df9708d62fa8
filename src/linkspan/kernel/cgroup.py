"""Control groups of either version; a path is below the root of each hierarchy."""

import contextlib
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def remove(path: str) -> bool:
    """Remove a cgroup from every hierarchy; equivalent to `rmdir /sys/fs/cgroup/PATH /sys/fs/cgroup/*/PATH`. Idempotent.

    Returns False if something is left: processes, or groups that they made.
    """
    left = False
    for folder in (_ROOT / path, *_ROOT.glob(f"*/{path}")):
        try:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
        except OSError:
            left = True
    return not left
