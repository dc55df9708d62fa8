"""conmon's log: records, tails, bounds and damaged lines."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linkspan.runtime import logs
from linkspan.runtime.logs import LogRecord

BASE = 1_795_485_835
"""2026-11-24T02:03:55Z"""


def line(second: int, stream: str, tag: str, text: str) -> str:
    return f"2026-11-24T02:{3 + (55 + second) // 60:02}:{(55 + second) % 60:02}.000000007+00:00 {stream} {tag} {text}\n"


def time(second: int) -> int:
    return (BASE + second) * 10**9 + 7


def read(path: Path, *, follow: asyncio.Event | None = None, tail: int | None = None, since: int = 0, until: int = 0) -> list[LogRecord]:
    async def everything() -> list[LogRecord]:
        return [record async for record in logs.read(path, follow=follow, tail=tail, since=since, until=until)]

    return asyncio.run(everything())


def texts(records: list[LogRecord]) -> list[bytes]:
    return [record.data for record in records]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "container.log"
    path.write_text("".join(line(number, "stdout" if number % 2 else "stderr", "F", f"line {number}") for number in range(6)))
    return path


def test_a_record_has_its_stream_its_time_and_its_newline(log: Path) -> None:
    assert read(log)[:2] == [LogRecord(2, b"line 0\n", time(0)), LogRecord(1, b"line 1\n", time(1))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2026-11-24T02:03:55.000000007+00:00 stdout F a b  c", LogRecord(1, b"a b  c\n", time(0))),
        (b"2026-11-24T02:03:55.000000007+00:00 stderr P part", LogRecord(2, b"part", time(0))),
        (b"2026-11-24T02:03:55.000000007+00:00 stdout F ", LogRecord(1, b"\n", time(0))),
        (b"2026-11-24T03:33:55.000000007+01:30 stdout F x", LogRecord(1, b"x\n", time(0))),
        (b"2026-11-24T02:03:55.000000007Z stdout F x", LogRecord(1, b"x\n", time(0))),
        (b"2026-11-24T02:03:55.000000007+00:00 stdout F \xff\x00\r", LogRecord(1, b"\xff\x00\r\n", time(0))),
        (b"", None),
        (b"nonsense", None),
        (b"2026-11-24T02:03:55.000000007+00:00 stdin F x", None),
        (b"2026-11-24T02:03:55.000000007+00:00 stdout X x", None),
        (b"2026-11-24T02:03:55+00:00 stdout F x", None),
        (b"2026-11-24T02:03:55.000000007 stdout F x", None),
        (b"2026-99-24T02:03:55.000000007+00:00 stdout F x", None),
        (b"\xff\xfe stdout F x", None),
    ],
)
def test_lines(text: bytes, expected: LogRecord | None) -> None:
    assert logs.parse(text) == expected


@given(st.binary(max_size=120))
def test_no_line_is_an_exception(text: bytes) -> None:
    logs.parse(text)


@pytest.mark.parametrize(("tail", "first"), [(None, 0), (0, 6), (1, 5), (4, 2), (6, 0), (100, 0)])
def test_the_last_lines(log: Path, tail: int | None, first: int) -> None:
    assert texts(read(log, tail=tail)) == [f"line {number}\n".encode() for number in range(first, 6)]


def test_the_parts_of_a_line_count_as_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rows = [("F", "one"), ("P", "tw"), ("P", "o"), ("F", ""), ("P", "th"), ("P", "ree")]
    path.write_text("".join(line(number, "stdout", tag, text) for number, (tag, text) in enumerate(rows)))
    assert b"".join(texts(read(path, tail=1))) == b"three"
    assert b"".join(texts(read(path, tail=2))) == b"two\nthree"
    assert b"".join(texts(read(path, tail=3))) == b"one\ntwo\nthree"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 90), max_size=30), tail=st.integers(0, 32), chunk=st.integers(1, 200))
def test_a_tail_is_the_same_wherever_the_file_is_cut(tmp_path: Path, lengths: list[int], tail: int, chunk: int) -> None:
    path = tmp_path / "log"
    path.write_text("".join(line(0, "stdout", "F", "x" * length) for length in lengths))
    with path.open("rb") as file:
        logs.seek_to_tail(file, tail, chunk=chunk)
        rest = file.read().count(b"\n")
    assert rest == min(tail, len(lengths))


def test_times_bound_it(log: Path) -> None:
    assert texts(read(log, since=time(2), until=time(3))) == [b"line 2\n", b"line 3\n"]
    assert texts(read(log, since=time(4) + 1)) == [b"line 5\n"]
    assert texts(read(log, tail=2, since=time(5))) == [b"line 5\n"]


def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "container.log"
    path.write_text("".join(line(second, "stdout", "F", f"at {second}") for second in (1, 50, 2, 3)))
    assert texts(read(path)) == [b"at 1\n", b"at 50\n", b"at 2\n", b"at 3\n"]
    assert texts(read(path, until=time(9))) == [b"at 1\n", b"at 2\n", b"at 3\n"]
    assert texts(read(path, since=time(9))) == [b"at 50\n"]


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"garbage\n\0\0\0\n" + line(0, "stdout", "F", "good").encode() + b"2026-11-24T02:03:55.0000")
    assert texts(read(path)) == [b"good\n"]
    assert texts(read(path, tail=2)) == [b"good\n"]


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []


def test_following_yields_what_is_added_and_stops_at_the_end(log: Path) -> None:
    async def scenario() -> list[bytes]:
        end = asyncio.Event()
        seen = []
        with log.open("a") as more:
            async for record in logs.read(log, follow=end, tail=1, since=0, until=0):
                seen.append(record.data)
                if record.data == b"line 5\n":
                    added = line(6, "stdout", "F", "added in two writes")
                    for part in (added[:50], added[50:]):
                        more.write(part)
                        more.flush()
                if record.data == b"added in two writes\n":
                    more.write(line(7, "stderr", "P", "last"))
                    more.flush()
                    end.set()
        return seen

    async def bounded() -> list[bytes]:
        async with asyncio.timeout(10):
            return await scenario()

    assert asyncio.run(bounded()) == [b"line 5\n", b"added in two writes\n", b"last"]


def test_following_what_has_ended_reads_it_once(log: Path) -> None:
    async def ended() -> list[LogRecord]:
        end = asyncio.Event()
        end.set()
        async with asyncio.timeout(10):
            return [record async for record in logs.read(log, follow=end, tail=None, since=0, until=0)]

    assert len(asyncio.run(ended())) == 6
