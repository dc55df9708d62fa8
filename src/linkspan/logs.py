"""The engine's log: one line per record, whatever is in it."""

import logging
import sys

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "fatal": logging.CRITICAL}


class OneLine(logging.Formatter):
    """Writes what strangers named, such as the command of an exec, so that it cannot look like a record of its own.

    Tracebacks, which follow the record's line, stay as they are.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name of the method that it replaces
        record.message = escaped(record.message)
        return super().formatMessage(record)


def escaped(text: str) -> str:
    """Return the text with what does not print, line breaks and terminals' commands among it, as Python writes it: `\\n`, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def configure(level: str) -> None:
    """Log to stderr, from dockerd's `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
