"""Packets: throughput and round trip on the paths that matter."""

import contextlib
from collections.abc import Iterator

from bench.engines import Contestant, Field
from bench.measure import Effort, Measured, Part, calm, measured
from bench.network import HOST, Place, address, container, host, neighbour, serving

STREAM, ECHO, HOST_STREAM, HOST_ECHO = 5201, 5202, 5301, 5302
PATHS = ("between", "from-host", "published", "host-mode")


class Stage:
    """The containers, servers and callers of one engine."""

    def __init__(self, engine: Contestant, stack: contextlib.ExitStack) -> None:
        ports = [word for port in (STREAM, ECHO) for word in ("-p", f"{port}:{port}")]
        for name, *flags in (["server", *ports], ["caller"], ["plain", "--net=host"]):
            engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "100000")
            stack.callback(engine.docker, "rm", "-f", name)
        outside = stack.enter_context(neighbour(engine))
        for kind, name, port in (
            ("iperf3", "server", STREAM),
            ("echo", "server", ECHO),
            ("iperf3", "plain", HOST_STREAM),
            ("echo", "plain", HOST_ECHO),
        ):
            stack.enter_context(serving(container(engine, name), kind, port))
        server = address(engine, "server")
        self._paths: dict[str, tuple[Place, str, int, int]] = {
            "between": (container(engine, "caller"), server, STREAM, ECHO),
            "from-host": (host(engine), server, STREAM, ECHO),
            "published": (outside, HOST, STREAM, ECHO),
            "host-mode": (outside, HOST, HOST_STREAM, HOST_ECHO),
        }

    def throughput(self, path: str, seconds: float) -> float:
        place, where, port, _ = self._paths[path]
        return place.throughput(where, port, seconds)

    def round_trip(self, path: str, seconds: float) -> float:
        place, where, _, port = self._paths[path]
        return place.peer("exchange", where, str(port), str(seconds))


def traffic(field: Field, effort: Effort) -> Iterator[Measured]:
    """Measure each path with each engine in turn, short rounds."""
    with contextlib.ExitStack() as stack:
        stages = {engine.name: Stage(engine, stack) for engine in field}
        for row, figure, seconds in (("throughput", Stage.throughput, 1.0), ("round-trip", Stage.round_trip, 0.5)):
            busy = calm()
            found: dict[str, dict[str, list[float]]] = {path: {engine.name: [] for engine in field} for path in PATHS}
            for turn in range(max(3, effort.rounds)):
                for path in PATHS if turn % 2 else reversed(PATHS):
                    for engine in field if turn % 4 < 2 else reversed(field):
                        found[path][engine.name].append(figure(stages[engine.name], path, seconds))
            for path in PATHS:
                yield measured(f"{row}-{path}", found[path], busy)
            yield measured(f"{row}-share", _shares(found["published"], found["host-mode"]), busy)


def _shares(published: dict[str, list[float]], plain: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return, per round, the published path's figure as a share of host mode's, %."""
    return {name: [100 * mine / other for mine, other in zip(published[name], plain[name], strict=True)] for name in published}


ROWS = tuple(f"{row}-{path}" for row in ("throughput", "round-trip") for path in (*PATHS, "share"))
PARTS = (Part("traffic", ROWS, traffic),)
