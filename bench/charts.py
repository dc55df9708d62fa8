"""The pictures of the report, as SVG."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.engines import OURS, THEIRS
from bench.growth import STEPS
from bench.measure import at
from bench.networks import STEPS as NETWORKS
from bench.ports import COUNTS
from bench.results import Results
from bench.rows import ROWS, median, number

FOLDER = Path(__file__).parent.parent / "docs"
GROWTH, SHARES = FOLDER / "benchmarks-growth.svg", FOLDER / "benchmarks-shares.svg"

COLOURS = {OURS: "#2b6cb0", THEIRS: "#b7791f"}
STYLE = """<style>
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1a202c }
.h { font-size: 15px; font-weight: 700 } .n { font-size: 11.5px; fill: #4a5568 }
.v { font-size: 12px; font-weight: 600 } .s { font-size: 13px } .asked { stroke: #c53030; stroke-width: 2 }
text.w { font-size: 12px; font-weight: 600; fill: #ffffff }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round } .dot { fill: #ffffff; stroke-width: 2 }
.grid { stroke: #e2e8f0; stroke-width: 1 } .axis { stroke: #a0aec0; stroke-width: 1 }
</style>"""

Samples = dict[str, list[float]]
Axis = Callable[[float], float]


@dataclass(frozen=True)
class Curve:
    """A figure over a number of things. `logarithmic` axes show what spans orders of magnitude."""

    title: str
    row: str
    counts: tuple[int, ...]
    along: str
    unit: str
    logarithmic: bool = False

    def points(self, results: Results) -> dict[str, list[tuple[int, list[float]]]]:
        """Return each engine's figures by count, as far as they were measured."""
        found: dict[str, list[tuple[int, list[float]]]] = {}
        for count in self.counts:
            measured = results.rows.get(at(self.row, count))
            for name, values in (measured.samples if measured else {}).items():
                if values:
                    found.setdefault(name, []).append((count, values))
        return found


CURVES = (
    Curve("docker run --rm busybox true", "run", STEPS, "containers running", "ms"),
    Curve("docker ps", "ps", STEPS, "containers running", "ms"),
    Curve("docker run -d with published ports", "ports-start", COUNTS, "ports", "ms", logarithmic=True),
    Curve("docker rm -f of that container", "ports-remove", COUNTS, "ports", "ms", logarithmic=True),
    Curve("the engine's answer to ps, without the client", "ps-raw", STEPS, "containers running", "ms"),
    Curve("the engine's own memory (PSS)", "memory", STEPS, "containers running", "MiB"),
    Curve("docker network create", "network-create", NETWORKS, "networks", "ms"),
)
WIDTH, HEIGHT = 470, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 92, 46, 48
"""Of a panel: its size, and what is kept free around its plot."""


def write(results: Results) -> list[Path]:
    """Draw what was measured; returns the pictures."""
    drawn = []
    curves = [curve for curve in CURVES if len(curve.points(results).get(OURS, ())) > 1]
    if curves:
        GROWTH.write_text(_growth(curves, results))
        drawn.append(GROWTH)
    if shares := _shares(results):
        SHARES.write_text(shares)
        drawn.append(SHARES)
    return drawn


def _growth(curves: Sequence[Curve], results: Results) -> str:
    height = HEIGHT * math.ceil(len(curves) / 2)
    panels = []
    for number_, curve in enumerate(curves):
        place = f"translate({WIDTH * (number_ % 2)},{HEIGHT * (number_ // 2)})"
        panels.append(f'<g transform="{place}">\n{_panel(curve, curve.points(results))}\n</g>')
    return _picture(2 * WIDTH, height, "How linkspan and dockerd grow with containers, ports and networks", panels)


def _panel(curve: Curve, points: dict[str, list[tuple[int, list[float]]]]) -> str:
    values = [value for line in points.values() for _, figures in line for value in _middle_half(figures)]
    ticks = decades(min(values), max(values)) if curve.logarithmic else steps(max(values))
    across = _scale(min(curve.counts), max(curve.counts), LEFT, WIDTH - RIGHT, logarithmic=curve.logarithmic)
    up = _scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, logarithmic=curve.logarithmic)
    parts = [f'<text x="{LEFT}" y="24" class="h">{escape(curve.title)}</text>']
    for tick in ticks:
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" class="grid"/>')
        parts.append(_text(LEFT - 7, up(tick) + 4, number(tick), "n", "end"))
    parts.append(_text(LEFT - 7, TOP - 8, curve.unit, "n", "end"))
    for count in curve.counts:
        parts.append(
            f'<line x1="{across(count):.1f}" x2="{across(count):.1f}" y1="{up(ticks[0]):.1f}" y2="{up(ticks[0]) + 4:.1f}" class="axis"/>'
        )
        parts.append(_text(across(count), up(ticks[0]) + 17, number(count), "n", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, up(ticks[0]) + 34, curve.along, "n", "middle"))
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(ticks[0]):.1f}" y2="{up(ticks[0]):.1f}" class="axis"/>')
    parts += [line for name in points for line in _line(name, points[name], across, up)]
    return "\n".join([*parts, *_labels(points, across, up)])


def _line(name: str, points: Sequence[tuple[int, list[float]]], across: Axis, up: Axis) -> Iterator[str]:
    """Draw an engine's medians, and shade where the middle half of its figures lies."""
    colour = COLOURS[name]
    halves = [(across(count), *(up(value) for value in _middle_half(values))) for count, values in points]
    outline = [(x, low) for x, low, _ in halves] + [(x, high) for x, _, high in reversed(halves)]
    yield f'<polygon points="{_path(outline)}" fill="{colour}" opacity="0.15"/>'
    places = [(across(count), up(statistics.median(values))) for count, values in points]
    yield f'<polyline points="{_path(places)}" class="line" stroke="{colour}"/>'
    for x, y in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="dot" stroke="{colour}"/>'


def _middle_half(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    first, _, last = statistics.quantiles(values, n=4, method="inclusive")
    return first, last


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _labels(points: dict[str, list[tuple[int, list[float]]]], across: Axis, up: Axis) -> Iterator[str]:
    """Name each line at its end, with the last figure; lines that end close together get their names apart."""
    ends = sorted((up(statistics.median(line[-1][1])), name, line[-1]) for name, line in points.items())
    lowest = -math.inf
    for y, name, (count, values) in ends:
        place = lowest = max(y, lowest + 32)
        x = across(count) + 10
        yield f'<text x="{x:.1f}" y="{place - 2:.1f}" class="v" style="fill:{COLOURS[name]}">{name}</text>'
        yield f'<text x="{x:.1f}" y="{place + 12:.1f}" class="n">{number(statistics.median(values))}</text>'


BAR, NAME, FULL = 34, 360, 430
"""Of the picture of shares: a row's height, where its bar begins, and how long dockerd's is."""


def _shares(results: Results) -> str:
    """Draw what linkspan takes of dockerd's time, for each row of which a part is asked."""
    found = [(key, results.rows[key].samples) for key, row in ROWS.items() if row.limit and 0 < row.limit.share < 1 and key in results.rows]
    rows = [(key, median(samples, OURS), median(samples, THEIRS)) for key, samples in found]
    bars = [_bar(number_, key, ours, theirs) for number_, (key, ours, theirs) in enumerate(rows) if ours and theirs]
    if not bars:
        return ""
    title = (
        f'<text x="20" y="30" class="h">What linkspan takes of dockerd’s time</text>{_text(NAME + FULL, 30, "dockerd = 100 %", "n", "end")}'
    )
    key = _text(NAME + FULL + 12, 30, "red: what is asked", "n", "start")
    return _picture(
        NAME + FULL + 160, 60 + BAR * len(bars), "What linkspan takes of dockerd's time, command by command", [title, key, *bars]
    )


def _bar(place: int, key: str, ours: float, theirs: float) -> str:
    row, y = ROWS[key], 48 + BAR * place
    asked = NAME + FULL * (row.limit.share if row.limit else 1.0)
    title = full_title(key).replace("`", "")
    end = NAME + FULL * min(1.0, ours / theirs)
    wide = end > NAME + FULL - 50
    beside, looks = ((end - 8, y + 17), ("w", "end")) if wide else ((max(end, asked) + 8, y + 17), ("v", "start"))
    figures = f"{number(ours)} of {number(theirs)} {row.unit}"
    return "\n".join(
        [
            _text(NAME - 12, y + 17, title, "s", "end"),
            f'<rect x="{NAME}" y="{y + 2}" width="{FULL}" height="22" rx="4" fill="#f3e3c3"/>',
            f'<rect x="{NAME}" y="{y + 2}" width="{end - NAME:.1f}" height="22" rx="4" fill="{COLOURS[OURS]}"/>',
            f'<line x1="{asked:.1f}" x2="{asked:.1f}" y1="{y - 1}" y2="{y + 27}" class="asked"/>',
            _text(*beside, f"{100 * ours / theirs:.0f} %", *looks),
            _text(NAME + FULL + 12, y + 17, figures, "n", "start"),
        ]
    )


def full_title(key: str) -> str:
    """Return a row's title; one that continues the row before it gets its beginning."""
    title, before = ROWS[key].title, ""
    for other, row in ROWS.items():
        if not row.title.startswith("…"):
            before = row.title
        if other == key:
            break
    return title if title == before else f"{before.split(',')[0].removesuffix(' busybox true')} {title.removeprefix('… ')}"


def steps(highest: float) -> list[float]:
    """Return round figures from 0 to beyond the highest, four to six of them."""
    raw = highest / 4
    unit = 10 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw)
    return [step * place for place in range(math.ceil(highest / step) + 1)]


def decades(lowest: float, highest: float) -> list[float]:
    """Return the powers of ten around the figures."""
    return [10.0**power for power in range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)]


def _scale(low: float, high: float, first: float, last: float, *, logarithmic: bool) -> Axis:
    turn = math.log10 if logarithmic else float
    return lambda value: first + (turn(value) - turn(low)) / (turn(high) - turn(low)) * (last - first)


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, STYLE, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"
