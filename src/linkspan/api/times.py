"""Times as Docker writes and reads them. Inside they are nanoseconds since the epoch, 0 for never."""

import re
from datetime import UTC, datetime

from linkspan.errors import InvalidInput

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time."""
SECOND = 10**9

_TIMESTAMP = re.compile(r"(-?[0-9]{1,11})(?:\.([0-9]{1,9}))?")


def rfc3339(nanoseconds: int) -> str:
    """Return Go's RFC3339Nano: the fraction without trailing zeros; the zero time for 0."""
    if not nanoseconds:
        return NEVER
    fraction = f"{nanoseconds % SECOND:09d}".rstrip("0")
    return _seconds(nanoseconds) + (f".{fraction}" if fraction else "") + "Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """Return RFC 3339 with all nine digits of the fraction, as log lines have it."""
    return f"{_seconds(nanoseconds)}.{nanoseconds % SECOND:09d}Z"


def parse_timestamp(text: str, name: str) -> int:
    """Parse `SECONDS[.FRACTION]` since the epoch; empty is 0. Raises InvalidInput, saying that `name` is wrong."""
    if not text:
        return 0
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise InvalidInput(f'invalid value for "{name}": {text!r} is not a time in seconds since 1970, such as 1136073600.000000001')
    return int(match[1]) * SECOND + int((match[2] or "0").ljust(9, "0"))


def human_duration(nanoseconds: int) -> str:
    """Return what go-units' HumanDuration says: `5 minutes`, `About an hour`."""
    seconds = max(nanoseconds, 0) // SECOND
    hours = (seconds + 1800) // 3600
    if seconds < 60:
        return "Less than a second" if seconds < 1 else _count(seconds, "second")
    if seconds < 3600:
        return "About a minute" if seconds < 120 else _count(seconds // 60, "minute")
    if hours < 48:
        return "About an hour" if hours == 1 else _count(hours, "hour")
    for limit, unit, name in ((24 * 14, 24, "day"), (24 * 60, 24 * 7, "week"), (24 * 730, 24 * 30, "month")):
        if hours < limit:
            return _count(hours // unit, name)
    return _count(hours // (24 * 365), "year")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _seconds(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
