"""The report: docs/benchmarks.md."""

import statistics
from collections.abc import Container
from pathlib import Path

from bench.engines import OURS, THEIRS
from bench.results import Results
from bench.rows import ROWS, SECTIONS, median, verdict

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `make bench`: both engines on one machine, each in a network namespace of its own, the same docker client, the same
image (linkspan's built-in busybox), taking turns. Medians, in brackets the lowest and the highest. A ratio above 1 means that
linkspan is better.
"""


def write(results: Results) -> None:
    """Write the report."""
    parts = [HEAD, "\n".join(f"- {line}" for line in results.machine) + "\n"]
    for title, rows in SECTIONS.items():
        parts.append(f"## {title}\n\n{table(results, rows)}")
    FILE.write_text("\n".join(parts))


def table(results: Results, wanted: Container[str]) -> str:
    """Render the wanted rows that were measured."""
    lines = ["| | linkspan | dockerd | ratio | asked | |", "|---|---:|---:|---:|---|---|"]
    lines += [_line(key, results.rows[key].samples) for key in ROWS if key in wanted and key in results.rows]
    return "\n".join(lines) + "\n"


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


def number(value: float) -> str:
    """Render a figure with three significant digits, and no more than it has."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(key: str, samples: dict[str, list[float]]) -> str:
    ours, theirs = median(samples, OURS), median(samples, THEIRS)
    if not ours or not theirs:
        return ""
    return f"{theirs / ours if ROWS[key].better == 'less' else ours / theirs:.1f}"
