"""`make bench`: linkspan beside a real dockerd — same client, same commands, same image, taking turns.

python -m bench                        everything; writes docs/benchmarks.md
python -m bench --only run ps          some parts or rows, shown and not kept (--save keeps them)
python -m bench --quick --only run     few rounds, and nothing that takes dockerd minutes
python -m bench --engine linkspan ...  one engine; the other's figures are those kept from the last run
python -m bench --list                 what there is
python -m bench --profile [run|exec|…] where the time of one command goes, step by step
python -m bench --render               write the report again from what was kept

DOCKERD names another dockerd to compare with.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench import commands, connections, growth, isolation, names, networks, ports, profile, report, results, traffic
from bench.engines import OURS, THEIRS, Field, contestants
from bench.measure import Effort, Measured, Part

FAILURES = (RuntimeError, OSError, subprocess.TimeoutExpired)
"""What a measurement may fail of: an engine that refuses or breaks, a caller without an answer. Anything else is a bug here."""
PARTS: tuple[Part, ...] = (
    *commands.PARTS,
    *ports.PARTS,
    *growth.PARTS,
    *networks.PARTS,
    *isolation.PARTS,
    *names.PARTS,
    *connections.PARTS,
    *traffic.PARTS,
)


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that everything is cleaned up
    if given.list:
        print("\n".join(f"{part.name:12} {' '.join(part.rows)}" for part in PARTS))
    elif given.profile:
        print(profile.table(profile.profile(given.rounds, given.profile, given.among)))
    elif given.render:
        report.write(results.load())
    else:
        _measure(given)
    return 0


def _measure(given: argparse.Namespace) -> None:
    kept, now = results.load() if given.only else results.Results(), results.machine()
    parts = [part for part in PARTS if not given.only or {part.name, *part.rows} & set(given.only)]
    save, failed, new = given.save or not given.only, list[Part](), set[str]()
    for found in measure(parts, given.engine, Effort(3 if given.quick else given.rounds, full=not given.quick), failed):
        kept.add(found)
        new.add(found.row)
        if save:
            kept.save()  # at once: a run that is ended keeps what it has
    if not given.only:
        kept.machine, kept.profile = now, profile.profile(given.rounds * 2)
    if save:
        kept.save()
        report.write(kept)
    print(report.table(kept, new))
    if failed:
        sys.exit(f"failed twice, not measured anew: {', '.join(part.name for part in failed)}")


def measure(parts: Sequence[Part], names: Sequence[str], effort: Effort, failed: list[Part]) -> Iterator[Measured]:
    """Measure each part; those with the same dockerd follow one another on the same engines.

    One that fails gets a second try, on new engines; one that fails again is told of and left out.
    """
    for flags, some in _by_flags(parts):
        rest, tried = deque(some), Counter[Part]()
        while rest:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder, contestants(Path(folder), names, *flags) as field:
                try:
                    while rest:
                        yield from _told(rest[0], field, effort)
                        rest.popleft()
                except FAILURES as error:
                    print(f"  failed: {error}".rstrip(), file=sys.stderr)
                    tried[rest[0]] += 1
                    if tried[rest[0]] > 1:
                        failed.append(rest.popleft())


def _told(part: Part, field: Field, effort: Effort) -> Iterator[Measured]:
    begun = time.monotonic()
    print(f"{part.name}:", file=sys.stderr)
    yield from part.measure(field, effort)
    print(f"  ({time.monotonic() - begun:.0f} s)", file=sys.stderr)


def _by_flags(parts: Iterable[Part]) -> list[tuple[tuple[str, ...], list[Part]]]:
    groups: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        groups.setdefault(part.dockerd, []).append(part)
    return list(groups.items())


def _arguments() -> argparse.Namespace:
    names = sorted({name for part in PARTS for name in (part.name, *part.rows)})
    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="parts or rows, see --list")
    parser.add_argument("--engine", nargs="+", choices=(OURS, THEIRS), default=[OURS, THEIRS])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="three rounds, and nothing that takes dockerd minutes")
    parser.add_argument("--save", action="store_true", help="keep what was measured, and write the report")
    parser.add_argument("--render", action="store_true", help="only write the report again")
    parser.add_argument("--profile", nargs="?", const="run", choices=profile.COMMANDS, help="only show where the time of one command goes")
    parser.add_argument("--among", type=int, default=0, metavar="N", help="with --profile: while so many other containers run")
    parser.add_argument("--list", action="store_true", help="name the parts and their rows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
