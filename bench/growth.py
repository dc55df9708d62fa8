"""What grows with the number of running containers, and what should not: run, ps, memory, the engine's start."""

import statistics
from collections.abc import Iterator

from bench import memory
from bench.commands import run
from bench.engines import OURS, Contestant, Field
from bench.measure import Effort, Measured, Part, at, calm, interleaved, measured, taking_turns

STEPS = (0, 50, 100, 200, 500)
MIDDLE, LAST = 200, 500


def growth(field: Field, effort: Effort) -> Iterator[Measured]:
    """Add containers step by step, and measure at each of them. Few rounds go no further than the middle."""
    found: dict[str, dict[str, list[float]]] = {}
    there = 0
    for count in STEPS if effort.full else STEPS[: STEPS.index(MIDDLE) + 1]:
        for engine in field:
            _fill(engine, there, count)
        there = count
        for each in _at(field, effort, count):
            found[each.row] = each.samples
            yield each
        if count == MIDDLE:
            yield from _middle(field, effort)
            for engine in field:
                engine.hurried = engine.name != OURS  # dockerd would take minutes to remove all that comes now
    if there == LAST:
        for row in ("run", "ps"):
            yield measured(f"grow-{row}", _factors(found[at(row, LAST)], found[at(row, 0)]))


def _fill(engine: Contestant, there: int, count: int) -> None:
    engine.dockers(*(["run", "-d", "--name", f"many{number}", "busybox", "sleep", "100000"] for number in range(there, count)))


def _at(field: Field, effort: Effort, count: int) -> Iterator[Measured]:
    busy = calm()
    yield measured(at("run", count), interleaved(field, effort.rounds, run()), busy)
    yield measured(at("ps", count), interleaved(field, effort.rounds, lambda engine: engine.docker("ps")), busy)
    many = effort.rounds * 5
    yield measured(at("ps-raw", count), interleaved(field, many, lambda engine: engine.ask("/containers/json")), busy)
    yield measured(at("memory", count), {engine.name: [memory.engine_memory(engine)] for engine in field}, busy)


def _middle(field: Field, effort: Effort) -> Iterator[Measured]:
    busy = calm()
    yield measured("helpers", {engine.name: [memory.helpers_memory(engine) / MIDDLE] for engine in field}, busy)
    yield measured("restart", taking_turns(field, effort.fewer(3), _restart, warm=False), busy)


def _restart(engine: Contestant) -> float:
    """End the engine and start it again over its running containers; returns how long until it serves, ms."""
    engine.stop()
    took = engine.start() * 1000
    if (running := len(engine.docker("ps", "-q").split())) != MIDDLE:
        raise RuntimeError(f"{engine.name} has {running} of {MIDDLE} containers after its restart")
    return took


def _factors(last: dict[str, list[float]], first: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [statistics.median(last[name]) / statistics.median(first[name])] for name in last}


ROWS = (*(at(row, count) for count in STEPS for row in ("run", "ps", "ps-raw", "memory")), "helpers", "restart", "grow-run", "grow-ps")
PARTS = (Part("growth", ROWS, growth, dockerd=("--live-restore",)),)
