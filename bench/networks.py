"""User-defined networks: how `network create` grows with their number. An engine without them is left out, and it is said."""

import statistics
import sys
import time
from collections.abc import Iterator

from bench.engines import OURS, Contestant, Field
from bench.measure import Effort, Measured, Part, at, calm, interleaved, measured

STEPS = (0, 5, 10, 20)
"""dockerd's own pools hold about thirty networks."""
MANY, EACH = 500, 50


def networks(field: Field, effort: Effort) -> Iterator[Measured]:
    """Make networks step by step, and measure the next one at each step."""
    having = [engine for engine in field if _has_them(engine)]
    there = 0
    for count in STEPS if having else ():
        busy = calm()
        for engine in having:
            for number in range(there, count):
                engine.docker("network", "create", f"net{number}")
        there = count
        found = {engine.name: [_create(engine) for _ in range(effort.fewer(2))] for engine in having}
        yield measured(at("network-create", count), found, busy)
    if having:
        yield measured("network-cycle", interleaved(having, effort.rounds, _cycle), calm())
    for engine in having:
        engine.docker("network", "rm", *(f"net{number}" for number in range(there)))
    if effort.full:
        yield from _many([engine for engine in having if engine.name == OURS])


def _cycle(engine: Contestant) -> None:
    engine.docker("network", "create", "next")
    engine.docker("network", "rm", "next")


def _many(ours: Field) -> Iterator[Measured]:
    """Measure the engine's own answer, with no network and with hundreds: dockerd's pools do not hold so many."""
    for engine in ours:
        busy = calm()
        taken = [_answer(engine, f"many{number}") for number in range(MANY + EACH)]
        yield measured(at("network-raw", 0), {engine.name: taken[:EACH]}, busy)
        yield measured(at("network-raw", MANY), {engine.name: taken[MANY:]}, busy)
        yield measured("grow-network", {engine.name: [statistics.median(taken[MANY:]) / statistics.median(taken[:EACH])]}, busy)
        engine.docker("network", "prune", "-f")


def _answer(engine: Contestant, name: str) -> float:
    start = time.perf_counter()
    engine.ask("/networks/create", {"Name": name})
    return (time.perf_counter() - start) * 1000


def _has_them(engine: Contestant) -> bool:
    try:
        engine.docker("network", "create", "probe")
    except RuntimeError as error:
        print(f"  left out: {error}".rstrip(), file=sys.stderr)
        return False
    engine.docker("network", "rm", "probe")
    return True


def _create(engine: Contestant) -> float:
    start = time.perf_counter()
    engine.docker("network", "create", "next")
    taken = time.perf_counter() - start
    engine.docker("network", "rm", "next")
    return taken * 1000


ROWS = (
    *(at("network-create", count) for count in STEPS),
    "network-cycle",
    *(at("network-raw", count) for count in (0, MANY)),
    "grow-network",
)
PARTS = (Part("networks", ROWS, networks),)
