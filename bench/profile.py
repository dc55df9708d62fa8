"""Where the time of one command goes: `python -m bench --profile` (`run --rm -p`), `--profile exec` and others.

At each moment of a run exactly one thing counts: the innermost function of the engine that is running; else the youngest process that the
engine has started (conmon, the runtime, the container); else what the engine waits for; else it is the client's time.
"""

import json
import pkgutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench.births import Births, Life
from bench.engines import OURS, Contestant, linkspan_command, running
from bench.spans import LOOP

SIDES = {
    "client": "the client",
    LOOP: "API",
    "linkspan.api": "API",
    "linkspan.daemon": "API",
    "linkspan.engine": "engine",
    "linkspan.drivers": "engine",
    "linkspan.model": "engine",
    "linkspan.images": "engine",
    "linkspan.undo": "engine",
    "linkspan.plan": "plan",
    "linkspan.store": "store",
    "linkspan.kernel": "other calls of the kernel",
    "linkspan.kernel.link": "netlink",
    "linkspan.kernel.address": "netlink",
    "linkspan.kernel.route": "netlink",
    "linkspan.kernel.netlink": "netlink",
    "linkspan.kernel.netns": "namespace",
    "linkspan.kernel.nft": "nft",
    "linkspan.kernel.mount": "mount",
    "linkspan.kernel._libc.mount": "mount",
    "linkspan.kernel._libc.umount2": "mount",
    "linkspan.kernel._libc.unshare": "namespace",
    "linkspan.kernel._libc.setns": "namespace",
    "linkspan.kernel.process": "starting processes",
    "linkspan.runtime": "OCI bundle",
    "linkspan.runtime.conmon": "conmon",
    "conmon": "conmon",
    "runtime": "runtime",
    "container": "the container",
}
"""Whose time it is, by the longest prefix. One that is gone is an error: its work went elsewhere, and this must say where."""
ORDER = tuple(dict.fromkeys(SIDES.values()))
CONTAINER = "true"
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "--rm", "-p", "8080:80", "busybox", CONTAINER),
    "bridge": ("run", "--rm", "busybox", CONTAINER),
    "none": ("run", "--rm", "--net=none", "busybox", CONTAINER),
    "host": ("run", "--rm", "--net=host", "busybox", CONTAINER),
    "exec": ("exec", "box", CONTAINER),
    "inspect": ("inspect", "box"),
    "ps": ("ps",),
}
"""What can be profiled; a container `box` is there."""
VERBS = ("create", "start", "delete", "kill", "state", "exec", "init")
"""What the runtime is called to do."""
STREAMS = ("/attach", "/wait", "/events", "/logs")
"""Requests that last while others are made: the client does not stand still for them."""
SETTLE = 0.4
"""Seconds between two runs: what is done after the answer must not meet the next one."""


@dataclass(frozen=True)
class Span:
    """Something that took time; of several at once, the highest rank counts, then the youngest."""

    rank: int
    start: int
    end: int
    name: str
    side: str


@dataclass
class Run:
    """One run: its window, what happened in it, and the moment at which the container's program began."""

    start: int
    end: int
    spans: list[Span] = field(default_factory=list)
    requests: list[tuple[str, int, int]] = field(default_factory=list)
    executed: int = 0


@dataclass(frozen=True)
class Profile:
    """Medians over all runs, ms. `sides`: until the program runs, until the client is done, afterwards."""

    rounds: int
    total: float
    sides: dict[str, tuple[float, float, float]]
    steps: list[tuple[float, str, str, float, float]]
    requests: list[tuple[str, float, float]]


def profile(rounds: int, what: str = "run", among: int = 0) -> Profile:
    """Run a clocked engine, so many containers and the command in it, and tell where the time went."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        notes = folder / "notes.json"
        command = [sys.executable, "-m", "bench.spans", str(notes), *linkspan_command(folder)[4:]]
        with Births() as births, running(OURS, folder, command, folder / OURS / "run/linkspan.sock") as engine:
            engine.dockers(
                *(["run", "-d", "--name", name, "busybox", "sleep", "100000"] for name in ["box", *map("many{}".format, range(among))])
            )
            runs = [_run(engine, COMMANDS[what]) for _ in range(rounds + 2)][2:]  # two warm up
            lives = births.of(engine.process.pid if engine.process else 0)
        noted = json.loads(notes.read_text())
        _check_sides()
        for run in runs:
            _fill(run, noted, lives)
        return summary(runs)


def _run(engine: Contestant, command: Sequence[str]) -> Run:
    start = time.monotonic_ns()
    engine.docker(*command)
    end = time.monotonic_ns()
    time.sleep(SETTLE)
    return Run(start, end)


def _check_sides() -> None:
    if gone := [name for name in SIDES if name.startswith("linkspan.") and not _there(name)]:
        raise SystemExit(f"bench/profile.py: {', '.join(gone)} moved: say in SIDES whose time it is now")


def _there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def _side(name: str) -> str:
    """Return whose time a function's is; a folder that is not listed stands for itself."""
    prefixes = [prefix for prefix in SIDES if name == prefix or name.startswith(f"{prefix}.")]
    return SIDES[max(prefixes, key=len)] if prefixes else ".".join(name.split(".")[1:2]) or name


def _fill(run: Run, noted: Sequence[tuple[str, str, int, int, str]], lives: Sequence[Life]) -> None:
    last = run.end + int(SETTLE * 1e9)
    for life in [life for life in lives if run.start < life.forked < last]:
        what = _process(life)
        run.spans.append(Span(2, life.begun, life.ended or last, what, _side(what.split(" ")[0].rstrip(":"))))
        if what == "container":
            run.executed = life.executed
    for kind, name, start, end, request in [item for item in noted if run.start < item[2] < last]:
        if kind == "request":
            run.requests.append((name, start, end))
        elif kind == "call" or not request.endswith(STREAMS):
            rank, shown = (3, name) if kind == "call" else (1, f"{name} (waits)")
            run.spans.append(Span(rank, start, end, shown, _side(name)))


def _process(life: Life) -> str:
    program = Path(life.command.split(" ")[0] if life.command else "?").name
    if program in ("conmon", CONTAINER):
        return "conmon" if program == "conmon" else "container"
    if program in ("crun", "runc"):
        verb = next((word for word in VERBS if f" {word} " in f"{life.command} "), "")
        return f"runtime {verb}"
    return f"runtime: {program}"  # what prepares the runtime's way


def _slices(run: Run) -> Iterator[tuple[int, int, Span | None]]:
    """Give the moments of a run and of what comes after it, each with the one thing that counts."""
    last = run.end + int(SETTLE * 1e9)
    edges = sorted({run.start, run.end, run.executed, last, *(time for span in run.spans for time in (span.start, span.end))})
    spans = sorted(run.spans, key=lambda span: (span.rank, span.start))
    for start, end in pairwise(edges):
        if run.start <= start < last:
            active = [span for span in spans if span.start <= start and span.end >= end]
            yield start, end, active[-1] if active else None


def summary(runs: Sequence[Run]) -> Profile:
    """Give each moment of each run to one thing, and take the medians."""
    middle = statistics.median
    sides: dict[str, list[list[float]]] = defaultdict(lambda: [[0.0] * len(runs) for _ in range(3)])
    own: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    for number, run in enumerate(runs):
        for start, end, span in _slices(run):
            phase = 2 if start >= run.end else 1 if run.executed and start >= run.executed else 0
            if phase == 2 and (span is None or span.rank == 1):
                continue  # nobody waits any more
            sides[span.side if span else SIDES["client"]][phase][number] += (end - start) / 1e6
            if span and phase < 2:
                own[span.name][number] += (end - start) / 1e6
    medians = {side: (middle(phases[0]), middle(phases[1]), middle(phases[2])) for side, phases in sides.items()}
    return Profile(
        len(runs),
        middle((run.end - run.start) / 1e6 for run in runs),
        {side: medians[side] for side in (*ORDER, *sorted(set(medians) - set(ORDER))) if side in medians},
        sorted(_steps(runs, own)),
        _requests(runs),
    )


def _steps(runs: Sequence[Run], own: dict[str, list[float]]) -> Iterator[tuple[float, str, str, float, float]]:
    """Give what costs a tenth of a millisecond: when it begins, its name and side, how long it takes in all, and itself alone."""
    for name, values in own.items():
        mine = statistics.median(values)
        found = [[span for span in run.spans if span.name == name and span.start < run.end] for run in runs]
        if mine < 0.1 or not all(found):
            continue
        begins = statistics.median((min(span.start for span in spans) - run.start) / 1e6 for run, spans in zip(runs, found, strict=True))
        takes = statistics.median(sum(span.end - span.start for span in spans) / 1e6 for spans in found)
        yield begins, name.removeprefix("linkspan."), found[0][0].side, takes, mine


def _requests(runs: Sequence[Run]) -> list[tuple[str, float, float]]:
    """Give each request of the client: when it comes in, how long until it is answered."""
    first = min(runs, key=lambda run: len(run.requests))
    lines = []
    for place, (name, _, _) in enumerate(first.requests):
        found = [run.requests[place] for run in runs]
        begins = statistics.median((start - run.start) / 1e6 for run, (_, start, _) in zip(runs, found, strict=True))
        lines.append((_short(name), begins, statistics.median((end - start) / 1e6 for _, start, end in found)))
    return lines


def _short(request: str) -> str:
    """Leave out the API's version and the container's id."""
    method, path = request.split(" ")
    parts = ["ID" if len(part) == 64 else part for part in path.split("/") if not part.startswith("v1.")]
    return f"{method} {'/'.join(parts)}"


def table(found: Profile) -> str:
    """Render the profile."""
    lines = ["| whose time, ms | until the program runs | until the client has its answer | afterwards |", "|---|---:|---:|---:|"]
    for side, phases in found.sides.items():
        if any(value >= 0.05 for value in phases):
            lines.append(f"| {side} | {' | '.join(f'{value:.1f}' if value >= 0.05 else '' for value in phases)} |")
    sums = [sum(phases[number] for phases in found.sides.values()) for number in range(3)]
    lines += [f"| **sum** | {' | '.join(f'**{value:.1f}**' for value in sums)} |", ""]
    lines += ["| the client's requests | come in at, ms | take, ms |", "|---|---:|---:|"]
    lines += [f"| `{name}` | {begins:.1f} | {takes:.1f} |" for name, begins, takes in found.requests]
    lines += ["", "| step | whose | begins at, ms | takes, ms | of which itself |", "|---|---|---:|---:|---:|"]
    lines += [f"| `{name}` | {side} | {begins:.1f} | {takes:.1f} | {own:.1f} |" for begins, name, side, takes, own in found.steps]
    return "\n".join(lines) + "\n"
