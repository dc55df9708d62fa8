"""Names on a user-defined network: one look-up, ten thousand at once, and what the name server takes."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.engines import Contestant, Field, processes_in
from bench.measure import Effort, Measured, Part, at, calm, measured, taking_turns
from bench.memory import pss
from bench.network import Place, container, host

NETWORK, CONTAINERS, EACH = "names", 50, 200


def names(field: Field, effort: Effort) -> Iterator[Measured]:
    """Ask in one container for another; then in all of them at once."""
    with contextlib.ExitStack() as stack:
        for engine in field:
            engine.docker("network", "create", NETWORK)
            stack.callback(engine.docker, "network", "rm", NETWORK)
        few = _run(field, stack, 1)
        alone = {engine.name: _resolver(engine) for engine in field}
        places = {engine.name: container(engine, few[0]) for engine in field}
        for row, kind in (("names-udp", "resolve"), ("names-tcp", "resolve-tcp")):
            busy = calm()
            yield measured(row, taking_turns(field, effort.rounds, partial(_look_up, places, kind)), busy)
        _run(field, stack, CONTAINERS, first=1)
        where = {engine.name: [f"/proc/{pid}/ns/net" for pid in _pids(engine)] for engine in field}
        busy, found = calm(), {engine.name: [(0.0, 0.0)] for engine in field}
        for engine in (each for _ in range(effort.fewer(2)) for each in field):
            found[engine.name].append(host(engine).peer_figures("flood", str(EACH), "box0", *where[engine.name]))
        for row, index in ((at("names-lost", CONTAINERS), 0), (at("names-flood", CONTAINERS), 1)):
            yield measured(row, {name: [figures[index] for figures in values[1:]] for name, values in found.items()}, busy)
        yield measured("names-memory", {name: [memory * 1024] for name, memory in alone.items() if memory}, busy)
        growth = {engine.name: 1024 * (_resolver(engine) - alone[engine.name]) / (CONTAINERS - 1) for engine in field}
        yield measured(at("names-memory", CONTAINERS), {name: [kib] for name, kib in growth.items() if alone[name]}, busy)


def _run(field: Field, stack: contextlib.ExitStack, count: int, first: int = 0) -> list[str]:
    """Run containers box0, box1… up to `count` on the network of each engine."""
    new = [f"box{number}" for number in range(first, count)]
    for engine in field:
        engine.dockers(*(("run", "-d", "--name", name, "--network", NETWORK, "busybox", "sleep", "100000") for name in new))
        stack.callback(engine.docker, "rm", "-f", *new)
    return new


def _pids(engine: Contestant) -> list[str]:
    ids = engine.docker("ps", "-q").split()
    return engine.docker("inspect", "-f", "{{.State.Pid}}", *ids).split()


def _look_up(places: Mapping[str, Place], kind: str, engine: Contestant) -> float:
    return places[engine.name].peer(kind, "box0", "0.5")


def _resolver(engine: Contestant) -> float:
    """Return what a name server beside the engine takes, MiB; 0 for one inside the engine."""
    return pss(pid for pid in processes_in(engine.namespace) if b"\0resolver\0" in Path(f"/proc/{pid}/cmdline").read_bytes())


ROWS = ("names-udp", "names-tcp", *(at(row, CONTAINERS) for row in ("names-lost", "names-flood", "names-memory")), "names-memory")
PARTS = (Part("names", ROWS, names),)
