"""Moments as people write them in filters."""

import pytest

from linkspan.errors import InvalidInput
from linkspan.model.moment import SECOND, parse_moment

NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1136073600", 1136073600 * SECOND),
        ("1136073600.000000001", 1136073600 * SECOND + 1),
        ("1136073600.5", 1136073600 * SECOND + SECOND // 2),
        ("24h", NOW - 24 * 3600 * SECOND),
        ("1h30m", NOW - 5400 * SECOND),
        ("1.5s", NOW - 1_500_000_000),
        ("10ms", NOW - 10_000_000),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14", NOW - (22 * 3600 + 13 * 60 + 20) * SECOND),
    ],
)
def test_a_moment(text: str, moment: int) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "x", "1h x", "nan", "inf", "1e400", "-", "9" * 5000, "1" * 13 + "h", "0001-01-01T00:00:00+23:59x"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid time"):
        parse_moment(text, NOW)
