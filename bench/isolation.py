"""What a packet costs among many networks: new connections to a published port, and round trips, alone and among a thousand networks."""

import contextlib
from collections.abc import Iterator

from bench.connections import PORT
from bench.engines import OURS, Contestant, Field
from bench.measure import Effort, Measured, Part, calm, measured
from bench.network import HOST, Place, container, neighbour, serving

MANY = 1000
ECHO = 5202


def isolation(field: Field, effort: Effort) -> Iterator[Measured]:
    """Measure with no other network, and with many: dockerd's own pools hold about thirty, so it is left out."""
    rounds, many = max(3, effort.rounds), MANY if effort.full else MANY // 10
    for engine in (engine for engine in field if engine.name == OURS):
        ports = [word for port in (PORT, ECHO) for word in ("-p", f"{port}:{port}")]
        engine.docker("network", "create", "own")
        engine.docker("run", "-d", "--name", "target", "--network", "own", *ports, "busybox", "sleep", "100000")
        with contextlib.ExitStack() as stack:
            outside = stack.enter_context(neighbour(engine))
            for kind, port in (("accept", PORT), ("echo", ECHO)):
                stack.enter_context(serving(container(engine, "target"), kind, port))
            busy = calm()
            alone = [_figures(outside) for _ in range(rounds)]
            for number in range(many):
                engine.docker("network", "create", f"net{number}")
            among = [_figures(outside) for _ in range(rounds)]
        yield measured("isolation-connections", _shares(engine, alone, among, 0), busy)
        yield measured("isolation-round-trip", _shares(engine, alone, among, 1), busy)
        engine.docker("rm", "-f", "target")
        engine.docker("network", "rm", "own", *(f"net{number}" for number in range(many)))


def _figures(outside: Place) -> tuple[float, float]:
    return outside.peer("connect", HOST, str(PORT), "1"), outside.peer("exchange", HOST, str(ECHO), "0.5")


def _shares(engine: Contestant, alone: list[tuple[float, float]], among: list[tuple[float, float]], which: int) -> dict[str, list[float]]:
    """Return the figures among many networks as shares of those without, %."""
    return {engine.name: [100 * mine[which] / other[which] for mine, other in zip(among, alone, strict=True)]}


ROWS = ("isolation-connections", "isolation-round-trip")
PARTS = (Part("isolation", ROWS, isolation),)
