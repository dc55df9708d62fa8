"""`make bench`: linkspan beside a real dockerd — same client, same commands, same image, interleaved.

Writes docs/benchmarks.md. Figures are medians; a ratio above 1 means that linkspan is faster.
"""

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.engines import Contestant, contestants

ROUNDS = int(os.environ.get("ROUNDS", "10"))
REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Case:
    """One thing that is measured: `action` is timed, `after` is not."""

    title: str
    action: Callable[[Contestant], object]
    before: Callable[[Contestant], object] = lambda _: None
    after: Callable[[Contestant], object] = lambda _: None
    rounds: int = ROUNDS


def run(*flags: str) -> Callable[[Contestant], object]:
    return lambda engine: engine.docker("run", "--rm", *flags, "busybox", "true")


def sleeper(*flags: str) -> Callable[[Contestant], object]:
    return lambda engine: engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")


def remove(engine: Contestant) -> None:
    engine.docker("rm", "-f", "box")


def twenty(engine: Contestant) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: engine.docker("run", "--rm", "busybox", "true"), range(20)))


CASES = (
    Case("`docker run --rm`, bridge", run()),
    Case("`docker run --rm`, none", run("--net=none")),
    Case("`docker run --rm`, host", run("--net=host")),
    Case("`docker run --rm -p 8080:80`", run("-p", "8080:80")),
    Case("`docker run --rm --net=container:…`", run("--net=container:box"), before=sleeper(), after=remove),
    Case("`docker run -d`", sleeper(), after=remove),
    Case("`docker rm -f` of a running container", remove, before=sleeper()),
    Case("`docker exec`", lambda engine: engine.docker("exec", "box", "true"), before=sleeper(), after=remove),
    Case("`docker ps`", lambda engine: engine.docker("ps")),
    Case("`docker run --rm`, 20 at once", twenty, rounds=max(2, ROUNDS // 3)),
    Case("`docker run -d` with 100 published ports", sleeper("-p", "20000-20099:20000-20099"), after=remove, rounds=max(2, ROUNDS // 3)),
)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contestants(Path(folder)) as pair:
        rows = [measured(case, pair) for case in CASES]
    REPORT.write_text(report(rows))
    print(REPORT.read_text())
    return 0


def measured(case: Case, pair: tuple[Contestant, Contestant]) -> tuple[str, list[float], list[float]]:
    times: dict[str, list[float]] = {engine.name: [] for engine in pair}
    for turn in range(case.rounds + 1):
        for engine in pair if turn % 2 else reversed(pair):
            case.before(engine)
            start = time.perf_counter()
            case.action(engine)
            taken = time.perf_counter() - start
            case.after(engine)
            if turn:  # the first one warms up
                times[engine.name].append(taken * 1000)
    ours, theirs = (times[engine.name] for engine in pair)
    print(f"{case.title}: {statistics.median(ours):.0f} ms, {statistics.median(theirs):.0f} ms", file=sys.stderr)
    return case.title, ours, theirs


def report(rows: list[tuple[str, list[float], list[float]]]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`: both engines on one machine, each in a network namespace of its own, the same docker client, the same",
        "image (linkspan's built-in busybox), taking turns. Medians in milliseconds, in brackets the fastest and the slowest.",
        "",
        f"- machine: {os.cpu_count()} cores, {_memory()} GiB, Linux {platform.release()} {platform.machine()}",
        f"- linkspan {version('linkspan')} on Python {platform.python_version()}",
        f"- {_said('runc', '--version')}, {_said('conmon', '--version')}",
        f"- {_said('dockerd', '--version')}; client: {_said('docker', '--version')}",
        f"- {ROUNDS} rounds, {time.strftime('%Y-%m-%d')}",
        "",
        "| | linkspan | dockerd | ratio |",
        "|---|---:|---:|---:|",
    ]
    for title, ours, theirs in rows:
        ratio = statistics.median(theirs) / statistics.median(ours)
        lines.append(f"| {title} | {_spread(ours)} | {_spread(theirs)} | {ratio:.1f} |")
    return "\n".join(lines) + "\n"


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ({min(times):.0f}–{max(times):.0f})"


def _memory() -> int:
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return round(int(found[1]) / 2**20) if found else 0


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
