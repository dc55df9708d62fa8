"""Memory as the kernel accounts it: proportional set size (PSS), so that what processes share counts once."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from bench.engines import Contestant, processes_in

HELPERS = ("conmon", "containerd-shim", "docker-proxy")
"""Processes that an engine has per container or port, by the beginning of their names; all others in its namespace are the engine."""


def engine_memory(engine: Contestant) -> float:
    """Return what the engine itself takes, MiB: dockerd and containerd together."""
    return pss(pid for pid, name in processes_in(engine.namespace).items() if not name.startswith(HELPERS))


def helpers_memory(engine: Contestant) -> float:
    """Return what all helpers together take, MiB."""
    return pss(pid for pid, name in processes_in(engine.namespace).items() if name.startswith(HELPERS))


def pss(pids: Iterable[int]) -> float:
    """Return what processes take together, MiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024
