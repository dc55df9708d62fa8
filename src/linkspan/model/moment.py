"""Moments as people write them in filters: `1136073600.5`, `2026-11-24T02:03:04Z`, `2026-11-24`, `24h` (that long ago)."""

import re
from datetime import UTC, datetime

from linkspan.errors import InvalidInput

SECOND = 10**9

_UNIX = re.compile(r"(-?[0-9]{1,11})(?:\.([0-9]{1,9}))?")
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}


def parse_moment(text: str, now: int) -> int:
    """Return the moment in nanoseconds since the epoch, as `now` is; a date without a zone is UTC. Raises InvalidInput."""
    if match := _UNIX.fullmatch(text):
        return int(match[1]) * SECOND + int((match[2] or "0").ljust(9, "0"))
    if _DURATION.fullmatch(text):
        return now - sum(int(float(number) * _UNITS[unit]) for number, unit in _PART.findall(text))
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * SECOND + moment.microsecond * 1000
    except (ValueError, OverflowError):
        raise InvalidInput(f"invalid time {text!r}: use seconds since 1970, a date and time, or a duration such as 24h") from None
