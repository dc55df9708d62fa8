"""Control groups of either version; a path is below the root of each hierarchy."""

import contextlib
import threading
import time
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")

_AHEAD = 0.05
"""Seconds that a process may be on its way into its cgroup: a client's next request, the monitor, the runtime."""
_AGAIN = 0.01
"""Seconds between two moves that keep the lock quick to take: as long as a grace period is at least, of the kernel's 4 ms ticks."""


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


class SwiftMoves:
    """Makes it quick, for the moment after `expect`, to put a process into a cgroup.

    The kernel moves processes under one lock (cgroup_threadgroup_rwsem). Whoever takes it when nobody has for a while waits for an RCU
    grace period, 5 to 20 ms; whoever comes shortly after does not. So a thread takes it ahead, and again until the process is there, by
    moving the engine to where it is. Mounting the hierarchies with `favordynmods` does the same for good, but that is the host's to decide
    (kernel documentation: Control Group v2, mount options).
    """

    def __init__(self, processes: Path | None) -> None:
        """Of the list of processes of the cgroup that this process is in; None if there is none: moves are as slow as ever then."""
        self._processes = processes
        self._lock = threading.Lock()
        self._until = 0.0
        self._going = False

    def expect(self) -> None:
        """Say that a process is about to be put into a cgroup. Does not wait."""
        if not self._processes:
            return
        with self._lock:
            self._until = time.monotonic() + _AHEAD
            if self._going:
                return
            self._going = True
        threading.Thread(target=self._keep, args=(self._processes,), name="swift-moves", daemon=True).start()

    def _keep(self, processes: Path) -> None:
        while self._goes_on():
            with contextlib.suppress(OSError):
                processes.write_bytes(b"0")  # the writer itself
            time.sleep(_AGAIN)

    def _goes_on(self) -> bool:
        with self._lock:
            self._going = time.monotonic() < self._until
            return self._going


def own_processes() -> Path | None:
    """Return the list of processes of the cgroup that this process is in, of the first hierarchy that is mounted where it is looked for."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        processes = _ROOT / controllers.removeprefix("name=") / path.lstrip("/") / "cgroup.procs"
        if processes.exists():
            return processes
    return None
