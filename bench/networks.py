"""User-defined networks: how `network create` grows with their number. An engine without them is left out, and it is said."""

import sys
import time
from collections.abc import Iterator

from bench.engines import Contestant, Field
from bench.measure import Effort, Measured, Part, at, calm, measured

STEPS = (0, 5, 10, 20)
"""dockerd's own pools hold about thirty networks."""


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
    for engine in having:
        engine.docker("network", "rm", *(f"net{number}" for number in range(there)))


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


ROWS = tuple(at("network-create", count) for count in STEPS)
PARTS = (Part("networks", ROWS, networks),)
