"""The report: docs/benchmarks.md."""

import statistics
from collections.abc import Collection
from pathlib import Path

from bench import charts, profile
from bench.engines import OURS, THEIRS
from bench.measure import CALM
from bench.results import Results, machine
from bench.rows import ROWS, SECTIONS, median, number, verdict
from bench.words import GROWTH, HEAD, NOTES, PROFILE

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def write(results: Results) -> None:
    """Write the report, and draw its pictures."""
    drawn = charts.write(results)
    parts = [HEAD, "\n".join(f"- {line}" for line in results.machine or machine()) + "\n"]
    parts += _warnings(results)
    if charts.SHARES in drawn:
        parts.append(f"![What linkspan takes of dockerd's time]({charts.SHARES.name})\n")
    for title, rows in SECTIONS.items():
        if any(key in results.rows for key in rows):
            parts.append(f"## {title}\n\n{table(results, rows)}\n{NOTES[title]}\n")
    if charts.GROWTH in drawn:
        parts.append(f"## Growth\n\n![Time and memory against the number of containers and ports]({charts.GROWTH.name})\n\n{GROWTH}\n")
    if results.profile:
        parts += [PROFILE.format(total=results.profile.total, rounds=results.profile.rounds), profile.table(results.profile)]
    FILE.write_text("\n".join(parts))


def table(results: Results, wanted: Collection[str]) -> str:
    """Render the wanted rows that were measured."""
    lines = ["| | linkspan | dockerd | ratio | asked | |", "|---|---:|---:|---:|---|---|"]
    lines += [_line(key, results.rows[key].samples) for key in ROWS if key in wanted and key in results.rows]
    return "\n".join(lines) + "\n"


def _warnings(results: Results) -> list[str]:
    """Say so if the machine was not quiet."""
    loud = [key for key, found in results.rows.items() if found.busy > CALM]
    if not loud:
        return []
    return [f"**The machine was not quiet:** more than {CALM} cores were busy just before {len(loud)} rows were measured.\n"]


def _line(key: str, samples: dict[str, list[float]]) -> str:
    row = ROWS[key]
    cells = [f"{row.title}{f', {row.unit}' if row.unit else ''}", _figure(samples, OURS), _figure(samples, THEIRS), _ratio(key, samples)]
    return f"| {' | '.join([*cells, row.limit.text if row.limit else '', verdict(key, samples)])} |"


def _figure(samples: dict[str, list[float]], name: str) -> str:
    values = samples.get(name)
    if not values:
        return "–"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 or min(values) == max(values) else f"{middle} ({number(min(values))}–{number(max(values))})"


def _ratio(key: str, samples: dict[str, list[float]]) -> str:
    ours, theirs = median(samples, OURS), median(samples, THEIRS)
    if not ours or not theirs or ROWS[key].unit in ("×", "%"):
        return ""
    return f"{theirs / ours if ROWS[key].better == 'less' else ours / theirs:.1f}"
