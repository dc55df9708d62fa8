"""What a container wrote, as conmon keeps it: lines of `TIME STREAM F|P TEXT` (Kubernetes' format; P is a line's part)."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from linkspan.kernel.watch import FileWatch

LONGEST_LINE = 1 << 20
"""Bytes. conmon writes lines of some kilobytes; a crash of the host can leave gigabytes of zeros."""
_CHUNK = 256 << 10
_STREAMS = {b"stdout": 1, b"stderr": 2}


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line, newline and all, or the part of one that the container wrote at once."""

    stream: int
    """1 stdout, 2 stderr."""
    data: bytes
    time: int
    """Nanoseconds since the epoch."""


async def read(path: Path, *, follow: asyncio.Event | None, tail: int | None, since: int, until: int) -> AsyncIterator[LogRecord]:
    """Yield the records of a log between two times (0: no bound), of the last `tail` lines if that is not None.

    With `follow`, wait for more until that event is set, then yield the rest. A damaged line is left out; a log that does not exist is
    empty.
    """
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        return
    with file:
        if tail is not None:
            await asyncio.to_thread(seek_to_tail, file, tail)
        lines = _lines(file) if follow is None else _followed_lines(file, path, follow)
        async for line in lines:
            record = parse(line)
            if record is None or record.time < since:
                continue
            if until and record.time > until:
                if follow is not None:
                    return
                continue  # the clock may have been set back since: what follows may be older
            yield record


def parse(line: bytes) -> LogRecord | None:
    """Return the record in a line of the log without its newline; None if it is damaged."""
    match line.split(b" ", 3):
        case [time, stream, (b"F" | b"P") as tag, text] if stream in _STREAMS:
            try:
                nanoseconds = _nanoseconds(time)
            except ValueError:
                return None
            return LogRecord(_STREAMS[stream], text + b"\n" if tag == b"F" else text, nanoseconds)
    return None


def _nanoseconds(text: bytes) -> int:
    """Read `2026-11-24T02:03:55.581111997+00:00`, conmon's form of RFC 3339."""
    second, fraction, zone = text[:19], text[20:29], text[29:]
    if text[19:20] != b"." or len(fraction) != 9:
        raise ValueError(f"not a time: {text!r}")
    return _second(second + zone) * 10**9 + int(fraction)


@functools.lru_cache(maxsize=64)
def _second(text: bytes) -> int:
    """Neighbouring lines share their second, and parsing it is what costs."""
    time = datetime.fromisoformat(text.decode())
    if time.tzinfo is None:
        raise ValueError(f"no time zone: {text!r}")
    return int(time.timestamp())


async def _lines(file: BinaryIO) -> AsyncIterator[bytes]:
    splitter = _Splitter()
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        for line in splitter.feed(chunk):
            yield line


async def _followed_lines(file: BinaryIO, path: Path, end: asyncio.Event) -> AsyncIterator[bytes]:
    splitter = _Splitter()
    async with FileWatch(path) as watch:
        while True:
            last = end.is_set()  # before reading: what came before the end is then surely read
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                for line in splitter.feed(chunk):
                    yield line
            if last:
                return
            await _changed_or_ended(watch, end)


async def _changed_or_ended(watch: FileWatch, end: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(watch.changed()), asyncio.ensure_future(end.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class _Splitter:
    """Cuts chunks into whole lines; what has no newline yet waits for the next chunk. Lines that are too long are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._overlong = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that are now whole, without their newlines."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._overlong and lines:
            del lines[0]
            self._overlong = False
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._overlong = b"", True
        return lines


def seek_to_tail(file: BinaryIO, count: int, *, chunk: int = _CHUNK) -> None:
    """Move to the start of the last `count` lines that the container wrote; the parts of a line count as one with its end."""
    end = start = file.seek(0, os.SEEK_END)
    seen = 0
    for offset, line in _lines_backwards(file, end, chunk):
        if start == end or _is_end(line):
            seen += 1
            if seen > count:
                break
        start = offset
    file.seek(start)


def _is_end(line: bytes) -> bool:
    return line.split(b" ", 3)[2:3] == [b"F"]


def _lines_backwards(file: BinaryIO, end: int, chunk: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line without newline) from the last line to the first, reading no more of the file than is asked for."""
    position, rest, overlong = end, b"", False
    while position > 0:
        size = min(chunk, position)
        position -= size
        file.seek(position)
        block = file.read(size) + rest
        first, newline, others = block.partition(b"\n")
        offset = position + len(block)
        for line in reversed(others.split(b"\n") if newline else ()):
            offset -= len(line)
            if line and not overlong:
                yield offset, line
            offset -= 1
            overlong = False
        rest = first + newline
        if overlong or len(rest) > LONGEST_LINE:
            rest, overlong = b"", True
    if rest:
        yield 0, rest.removesuffix(b"\n")
