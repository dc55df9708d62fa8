"""The benchmark's own arithmetic: verdicts, axes, and whose time a moment of a run is."""

import asyncio

import pytest

from bench import charts, spans
from bench.profile import Run, Span, summary
from bench.rows import ROWS, SECTIONS, Limit, below, number, share, times
from bench.words import NOTES


@pytest.mark.parametrize(
    ("limit", "ours", "theirs", "verdict"),
    [
        (share(1 / 4), 25, 100, "met"),
        (share(1 / 4), 26, 100, "**not met**"),
        (times(2), 200, 100, "met"),
        (times(2), 199, 100, "**not met**"),
        (Limit("", bound=500), 500, None, "met"),
        (Limit("", bound=500), 501, 1, "**not met**"),
        (Limit("", share=1, at_least=True, slack=0.03), 98, 100, "equal within 3%"),
        (Limit("", share=1, at_least=True, slack=0.03), 96, 100, "**not met**"),
        (below(), 10, None, ""),
    ],
)
def test_a_figure_is_judged_by_what_is_asked_of_it(limit: Limit, ours: float, theirs: float | None, verdict: str) -> None:
    assert limit.verdict(ours, theirs) == verdict


def test_every_section_of_the_report_has_its_words() -> None:
    assert NOTES.keys() == SECTIONS.keys()


def test_the_limits_of_the_report_read_as_they_are_meant() -> None:
    assert share(1 / 1.5).text == "1/1.5 of dockerd's"
    assert {key: row.limit.text for key, row in ROWS.items() if row.limit}["ports-start@1000"] == "500 ms"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.4567, "0.457"), (12.34, "12.3"), (99.96, "100"), (1234.5, "1,234"), (4.0, "4"), (3450.4, "3,450")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_axes_end_at_round_figures() -> None:
    assert charts.steps(843) == [0, 250, 500, 750, 1000]
    assert charts.steps(0.3) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert charts.decades(35, 4564) == [10, 100, 1000, 10000]


def test_each_moment_of_a_run_is_given_to_one_only() -> None:
    ms = 1_000_000
    run = Run(0, 100 * ms, executed=60 * ms)
    run.spans = [
        Span(3, 10 * ms, 50 * ms, "linkspan.engine.launch", "engine"),
        Span(3, 20 * ms, 30 * ms, "linkspan.kernel.nft.apply", "nft"),
        Span(2, 25 * ms, 70 * ms, "runtime create", "runtime"),
        Span(3, 110 * ms, 120 * ms, "linkspan.kernel.link.delete", "netlink"),
    ]
    found = summary([run])
    assert found.total == 100
    assert found.sides["the client"] == (10, 30, 0)  # before the engine's work and after the runtime's
    assert found.sides["engine"] == (30, 0, 0)  # 40, of which nft did 10
    assert found.sides["nft"] == (10, 0, 0)
    assert found.sides["runtime"] == (10, 10, 0)  # the engine worked while it began
    assert found.sides["netlink"] == (0, 0, 10)
    assert sum(map(sum, found.sides.values())) == 110
    assert [(name, takes, own) for _, name, _, takes, own in found.steps] == [
        ("engine.launch", 40, 30),
        ("kernel.nft.apply", 10, 10),
        ("runtime create", 45, 20),
    ]


def test_a_clock_changes_nothing_of_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[spans.Noted] = []
    monkeypatch.setattr(spans, "NOTED", noted)
    monkeypatch.setattr(spans, "LEAST", 0)

    async def inner(value: int) -> int:
        await asyncio.sleep(0)
        if value < 0:
            raise ValueError(value)
        return value + 1

    async def outer(value: int) -> int:
        try:
            return int(await clocked_inner(value))
        except ValueError:
            return -1

    clocked_inner, clocked_outer = spans.clocked(inner, "inner"), spans.clocked(outer, "outer")
    assert asyncio.run(clocked_outer(1)) == 2
    assert asyncio.run(clocked_outer(-5)) == -1
    assert spans.clocked(max, "max")(1, 2) == 2
    assert [name for kind, name, *_ in noted if kind == "wait"] == ["inner", "inner"]  # the outer one waits for the inner one only


def test_a_clocked_coroutine_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "NOTED", [])

    async def forever() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.ensure_future(spans.clocked(forever, "forever")())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
