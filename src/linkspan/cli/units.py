"""Sizes, durations and times, read and written as docker does (docker/go-units, api/types/time)."""
# ruff: noqa: PLC0415 - `ps` reads no dates, and does not import datetime

import re
import time

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_SIZE = re.compile(r"(.*[\d. ])(.*)", re.DOTALL)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_UNIX = re.compile(r"\d+(\.\d{1,9})?", re.ASCII)


def read_size(text: str) -> int:
    """Return the bytes of `64m`, `1.5g`, `100`, `2KiB`; units are powers of 1024.

    Raises ValueError in Docker's words.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = match[1].removesuffix(" "), match[2].lower()
    try:
        size = float(number)
    except ValueError as error:
        raise ValueError(f"invalid size: '{text}'") from error
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    if not re.fullmatch(r"b?|[kmgtp](i?b)?", suffix):
        raise ValueError(f"invalid suffix: '{suffix}'")
    if size > 2**63:
        raise ValueError(f"invalid size: '{text}'")
    return int(size * 1024 ** "bkmgtp".index(suffix[:1] or "b"))


def read_size_or_unlimited(text: str) -> int:
    """As `read_size`, and -1 for no limit."""
    return -1 if text == "-1" else read_size(text)


def read_duration(text: str) -> float:
    """Return the seconds of Go's `1h30m`, `250ms`, `0`.

    Raises ValueError in Go's words.
    """
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if body == "0":
        return 0.0
    if not _DURATION.fullmatch(body):
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(body))
    return -seconds if text.startswith("-") else seconds


def read_moment(text: str, now: float) -> str:
    """Return `--since 10m`, `--until 2026-01-02T03:04`, a Unix time or nothing as the API takes them: seconds with a fraction.

    Raises ValueError in Docker's words.
    """
    if not text or _UNIX.fullmatch(text):
        return text
    try:
        return f"{now - read_duration(text):.9f}"
    except ValueError:
        pass  # it is a date then
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'failed to parse value as time or duration: "{text}"') from error
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return f"{moment.timestamp():.6f}"


def decimal_size(size: float, digits: int = 4) -> str:
    """Return `4.26MB`."""
    return _human(size, 1000, _DECIMAL, digits)


def binary_size(size: float) -> str:
    """Return `7.566GiB`."""
    return _human(size, 1024, _BINARY, 4)


def _human(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    return f"{size:.{digits}g}{units[step]}"


def duration_text(seconds: float) -> str:
    """Return `3 minutes`, `About an hour`, `2 months`."""
    whole, minutes, hours = int(seconds), int(seconds / 60), int(seconds / 3600 + 0.5)
    steps = (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 14, f"{hours // 24} days"),
        (hours < 24 * 60, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 730, f"{hours // 24 // 30} months"),
    )
    return next((text for holds, text in steps if holds), f"{int(seconds / 3600) // 24 // 365} years")


def since_text(created: float, now: float) -> str:
    """Return `3 minutes ago`."""
    return f"{duration_text(now - created)} ago"


def moment_text(created: float) -> str:
    """Return a time as Go prints it in the local zone: `2026-11-24 01:52:00 +0000 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(created))


def nanosecond_text(moment: int) -> str:
    """Return a time in nanoseconds as docker's events print it: RFC 3339 with nine digits, in the local zone."""
    seconds, fraction = divmod(moment, 1_000_000_000)
    local = time.localtime(seconds)
    zone = "Z" if local.tm_gmtoff == 0 else time.strftime("%z", local)[:3] + ":" + time.strftime("%z", local)[3:]
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{fraction:09d}{zone}"
