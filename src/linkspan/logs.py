"""The engine's log: a message is one line of printable characters, whatever is in it."""

import logging
import sys
from types import TracebackType

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "fatal": logging.CRITICAL}
LONGEST = 4096
"""Characters of a message; it says how many there were."""

_Error = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class OneLine(logging.Formatter):
    """Writes what strangers named, such as the command of an exec, so that it cannot look like a record of its own.

    The lines of a traceback, which follow the record's line, are indented and hold as little that does not print.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name of the method that it replaces
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _Error) -> str:  # noqa: N802  as above
        return "\n".join(f"  {escaped(line)}" for line in super().formatException(ei).split("\n"))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  as above
        return "\n".join(f"  {escaped(line)}" for line in stack_info.split("\n"))


def escaped(text: str) -> str:
    """Return the text with what does not print, line breaks and terminals' commands among it, as Python writes it: `\\n`, `\\x1b`."""
    shown = text[:LONGEST]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text)} characters)"


def configure(level: str) -> None:
    """Log to stderr, from dockerd's `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
