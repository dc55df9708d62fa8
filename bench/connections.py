"""New connections from outside to one published port, alone and in the midst of thousands of others."""

import contextlib
import statistics
from collections.abc import Iterator

from bench.engines import OURS, Contestant, Field
from bench.measure import Effort, Measured, Part, calm, measured, taking_turns
from bench.network import HOST, Place, container, neighbour, serving
from bench.ports import span

PORT = 8080
OTHERS = {True: 5000, False: 1000}
"""How many others linkspan has to bear, and how many dockerd: it takes half a minute for a thousand, and ever longer for more."""


def connections(field: Field, effort: Effort) -> Iterator[Measured]:
    """Call alone, then with as many others published before the port in dockerd's chain of rules as behind it."""
    rounds = max(3, effort.rounds)
    with contextlib.ExitStack() as stack:
        outside = {engine.name: stack.enter_context(neighbour(engine)) for engine in field}
        busy = calm()
        for engine in field:
            _publish(engine, "target", f"{PORT}:{PORT}")
        alone = _calls(field, outside, rounds)
        for engine in field:
            _surround(engine, OTHERS[engine.name == OURS])
        among = _calls(field, outside, rounds)
        shares = {name: [100 * statistics.median(among[name]) / statistics.median(alone[name])] for name in among}
        for engine in field:
            if engine.name == OURS:
                shares[OURS] = _shares(engine, outside[OURS], rounds)
    yield measured("connections-alone", alone, busy)
    yield measured("connections", among, busy)
    yield measured("connections-share", shares, busy)


def _calls(field: Field, outside: dict[str, Place], rounds: int) -> dict[str, list[float]]:
    with contextlib.ExitStack() as stack:
        for engine in field:
            stack.enter_context(_served(engine))
        return taking_turns(field, rounds, lambda engine: _call(outside[engine.name]))


def _shares(engine: Contestant, outside: Place, rounds: int) -> list[float]:
    """Return what is left of the connections, %, in rounds that measure both: linkspan is quick to publish the others again."""
    shares = []
    with _served(engine):
        for _ in range(rounds):
            among = _call(outside)
            engine.docker("rm", "-f", "before", "behind")
            shares.append(100 * among / _call(outside))
            _publish_others(engine, OTHERS[True])
    return shares


def _served(engine: Contestant) -> contextlib.AbstractContextManager[None]:
    return serving(container(engine, "target"), "accept", PORT)


def _call(outside: Place) -> float:
    return outside.peer("connect", HOST, str(PORT), "1")


def _surround(engine: Contestant, others: int) -> None:
    """Give the port as many neighbours published before it as after it."""
    engine.docker("rm", "-f", "target")
    engine.hurried = engine.name != OURS  # dockerd would take minutes to remove them
    _publish(engine, "before", span(others // 2))
    _publish(engine, "target", f"{PORT}:{PORT}")
    _publish(engine, "behind", span(others // 2, 40000))


def _publish_others(engine: Contestant, others: int) -> None:
    _publish(engine, "before", span(others // 2))
    _publish(engine, "behind", span(others // 2, 40000))


def _publish(engine: Contestant, name: str, ports: str) -> None:
    engine.docker("run", "-d", "--name", name, "-p", ports, "busybox", "sleep", "100000")


ROWS = ("connections-alone", "connections", "connections-share")
PARTS = (Part("connections", ROWS, connections, dockerd=("--userland-proxy=false",)),)
