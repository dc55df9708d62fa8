"""How things are measured: engines take turns, the first turn warms up and is not counted."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.engines import Contestant, Field

Action = Callable[[Contestant], object]
CALM = 0.5
"""So many busy cores before a measurement are too many."""
REST = 0.3
"""Seconds before an action is timed: what the engine before has put off, or has made quick in the kernel for a moment, is its own."""


@dataclass
class Measured:
    """What one row's measurement gave, by engine."""

    row: str
    samples: dict[str, list[float]]
    busy: float = 0.0
    """Cores that others kept busy just before it."""
    when: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M"))


@dataclass(frozen=True)
class Effort:
    """How much work to take: rounds per case; `full` takes also what lasts minutes."""

    rounds: int = 10
    full: bool = True

    def fewer(self, divisor: int, least: int = 2) -> int:
        """Return the rounds for a case that takes longer."""
        return max(least, self.rounds // divisor)


@dataclass(frozen=True)
class Part:
    """What is measured together, on engines of its own. `dockerd` are flags that dockerd needs for it."""

    name: str
    rows: tuple[str, ...]
    measure: Callable[[Field, Effort], Iterator[Measured]]
    dockerd: tuple[str, ...] = ()


def at(row: str, count: int) -> str:
    """Return the key of a row that is measured with so many things."""
    return f"{row}@{count}"


def nothing(_: Contestant) -> None:
    """Do nothing."""


def interleaved(
    field: Field, rounds: int, action: Action, *, before: Action = nothing, after: Action = nothing, rest: float = REST
) -> dict[str, list[float]]:
    """Return how long `action` takes each engine, in milliseconds; what is before and after is not timed."""

    def timed(engine: Contestant) -> float:
        before(engine)
        time.sleep(rest)
        start = time.perf_counter()
        action(engine)
        taken = time.perf_counter() - start
        after(engine)
        return taken * 1000

    return taking_turns(field, rounds, timed)


def taking_turns(field: Field, rounds: int, figure: Callable[[Contestant], float], *, warm: bool = True) -> dict[str, list[float]]:
    """Return the figures of each engine, which begin in turn; the first turn warms up."""
    samples: dict[str, list[float]] = {engine.name: [] for engine in field}
    for turn in range(rounds + warm):
        for engine in field if turn % 2 else reversed(field):
            found = figure(engine)
            if turn or not warm:
                samples[engine.name].append(found)
    return samples


def measured(row: str, samples: dict[str, list[float]], busy: float = 0.0) -> Measured:
    """Give a measurement, and tell of it."""
    told = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in samples.items() if values)
    print(f"  {row}: {told}", file=sys.stderr)
    return Measured(row, samples, busy)


def calm() -> float:
    """Wait a moment for a quiet machine; returns how many cores others keep busy, and warns if they are many."""
    busy = min(_until_calm())
    if busy > CALM:
        load = os.getloadavg()[0]
        print(
            f"  warning: {busy:.1f} cores of this machine are busy with something else (load {load:.1f}); the figures suffer",
            file=sys.stderr,
        )
    return busy


def _until_calm() -> Iterator[float]:
    for _ in range(6):
        yield (busy := _busy())
        if busy <= CALM:
            return


def _busy(span: float = 0.5) -> float:
    first = _ticks()
    time.sleep(span)
    return (_ticks() - first) / os.sysconf("SC_CLK_TCK") / span


def _ticks() -> int:
    with open("/proc/stat", encoding="ascii") as stat:  # noqa: PTH123  the first line only
        user, nice, system, _idle, _wait, *interrupts = map(int, stat.readline().split()[1:8])
    return user + nice + system + sum(interrupts)
