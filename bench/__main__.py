"""`make bench`: linkspan beside a real dockerd — same client, same commands, same image, taking turns.

python -m bench                        everything; writes docs/benchmarks.md
python -m bench --only run ps          some parts or rows, shown and not kept (--save keeps them)
python -m bench --quick --only run     few rounds, and nothing that takes dockerd minutes
python -m bench --engine linkspan ...  one engine; the other's figures are those kept from the last run
python -m bench --list                 what there is
python -m bench --render               write the report again from what was kept
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench import commands, connections, growth, ports, profile, report, results, traffic
from bench.engines import OURS, THEIRS, contestants
from bench.measure import Effort, Measured, Part

PARTS: tuple[Part, ...] = (*commands.PARTS, *ports.PARTS, *growth.PARTS, *connections.PARTS, *traffic.PARTS)


def main() -> int:
    given = _arguments()
    if given.list:
        print("\n".join(f"{part.name:12} {' '.join(part.rows)}" for part in PARTS))
        return 0
    kept = results.load()
    if given.profile:
        print(profile.table(profile.profile(given.profile)))
        return 0
    if not given.render:
        parts = [part for part in PARTS if not given.only or {part.name, *part.rows} & set(given.only)]
        for found in measure(parts, given.engine, Effort(3 if given.quick else given.rounds, full=not given.quick)):
            kept.add(found)
        print(report.table(kept, {row for part in parts for row in part.rows}))
    if given.render or given.save or not given.only:
        kept.save()
        report.write(kept)
    return 0


def measure(parts: Sequence[Part], names: Sequence[str], effort: Effort) -> Iterator[Measured]:
    """Measure each part; those with the same dockerd follow one another on the same engines."""
    for flags, some in _by_flags(parts):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, contestants(Path(folder), names, *flags) as field:
            for part in some:
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
    parser.add_argument("--profile", type=int, nargs="?", const=15, metavar="RUNS", help="only show where the time of one run goes")
    parser.add_argument("--list", action="store_true", help="name the parts and their rows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
