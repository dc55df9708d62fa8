"""Published ports by the hundred and the thousand."""

import time
from collections.abc import Callable, Iterator

from bench import memory
from bench.engines import THEIRS, Contestant, Field, processes_in
from bench.measure import Effort, Measured, Part, at, calm, measured

FIRST = 20000
COUNTS = (1, 10, 100, 1000)


def span(count: int, first: int = FIRST) -> str:
    """Return the value of `-p` for so many ports."""
    last = first + count - 1
    return f"{first}-{last}:{first}-{last}"


def round_of(engine: Contestant, count: int) -> tuple[float, ...]:
    """Start and remove a container with so many ports; returns both times in ms, and what the ports cost.

    That is processes, and memory in MiB per port and family (dockerd publishes on IPv4 and IPv6).
    """
    engine.docker("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
    plain, helpers = len(processes_in(engine.namespace)), memory.helpers_memory(engine)
    engine.docker("rm", "-f", "plain")
    start = _timed(lambda: engine.docker("run", "-d", "--name", "box", "-p", span(count), "busybox", "sleep", "1000"))
    more, grown = len(processes_in(engine.namespace)) - plain, memory.helpers_memory(engine) - helpers
    each = round(max(0, grown) / (2 * count), 3)  # KiB less or more of one conmon are not the ports'
    return start, _timed(lambda: engine.docker("rm", "-f", "box")), more, each


def part(count: int) -> Part:
    """A part that starts and removes a container with so many ports. dockerd takes minutes for a thousand: once, in a full run."""
    rows = (at("ports-start", count), at("ports-remove", count), at("ports-processes", count), at("ports-memory", count))

    def measure(field: Field, effort: Effort) -> Iterator[Measured]:
        busy = calm()
        found: dict[str, list[tuple[float, ...]]] = {engine.name: [] for engine in field}
        for turn in range(effort.fewer(3)):
            for engine in field if turn % 2 else reversed(field):
                if count < 1000 or engine.name != THEIRS or (effort.full and not found[engine.name]):
                    found[engine.name].append(round_of(engine, count))
        for place, row in enumerate(rows):
            yield measured(row, {name: [figures[place] for figures in rounds] for name, rounds in found.items()}, busy)

    return Part(f"ports{count}", rows, measure)


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


PARTS = tuple(part(count) for count in COUNTS)
