"""Sizes, durations and times as docker reads and writes them."""

import pytest

from linkspan.cli import units


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2KiB", 2048),
        ("3 k", 3072),
        ("5b", 5),
    ],
)
def test_read_size(text: str, size: int) -> None:
    assert units.read_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("x", "invalid size: 'x'"),
        ("-1", "invalid size: '-1'"),
        ("1.2.3", "invalid size: '1.2.3'"),
        ("3x", "invalid suffix: 'x'"),
        ("3kx", "invalid suffix: 'kx'"),
        ("3mibb", "invalid suffix: 'mibb'"),
    ],
)
def test_no_size(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        units.read_size(text)
    assert str(caught.value) == message


def test_unlimited() -> None:
    assert units.read_size_or_unlimited("-1") == -1
    assert units.read_size_or_unlimited("1k") == 1024


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("1.5s", 1.5), ("-2h", -7200)])
def test_read_duration(text: str, seconds: float) -> None:
    assert units.read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5x", "m", "1h 2m"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="time: invalid duration"):
        units.read_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", ""),
        ("1136073600", "1136073600"),
        ("1136073600.000000001", "1136073600.000000001"),
        ("10m", "400.000000000"),
        ("2006-01-02T15:04:05Z", "1136214245.000000"),
        ("2006-01-02T15:04:05.5+01:00", "1136210645.500000"),
        ("2006-01-02T15:04", "1136214240.000000"),
        ("2006-01-02", "1136160000.000000"),
    ],
)
def test_read_moment(text: str, moment: str) -> None:
    assert units.read_moment(text, 1000.0) == moment


def test_no_moment() -> None:
    with pytest.raises(ValueError, match='failed to parse value as time or duration: "yesterday"'):
        units.read_moment("yesterday", 0)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (12345, "12.3kB"), (4260000, "4.26MB"), (1234567890, "1.23GB"), (5e18, "5e+03PB")],
)
def test_decimal_size(size: float, text: str) -> None:
    assert units.decimal_size(size, 3) == text


def test_binary_size() -> None:
    assert units.binary_size(8123456789) == "7.566GiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (3 * 365 * 86400, "3 years"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert units.duration_text(seconds) == text
    assert units.since_text(1000, 1000 + seconds) == f"{text} ago"


def test_times_are_printed_as_go_does() -> None:
    assert units.moment_text(1790000000) == "2026-09-21 14:13:20 +0000 UTC"
    assert units.nanosecond_text(1790000000123456789) == "2026-09-21T14:13:20.123456789Z"
