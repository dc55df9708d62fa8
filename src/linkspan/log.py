"""The engine's log: a message is one line of printable characters, whatever a client has put into it."""

import logging
import sys
from types import TracebackType

LONGEST = 4096
"""Characters of a message."""

_Error = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def begin(level: int) -> None:
    """Log to stderr from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class Lines(logging.Formatter):
    """Escapes what is not printable, and indents tracebacks: no message can look like another one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _Error) -> str:  # noqa: N802  logging's name
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  logging's name
        return "\n".join(f"  {printable(line)}" for line in stack_info.split("\n"))


def printable(text: str) -> str:
    """Return the text with escapes for line breaks, terminal controls and the like, and no more of it than a line should hold."""
    rest = f"… ({len(text)} characters)" if len(text) > LONGEST else ""
    shown = text[:LONGEST]
    return (shown if shown.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in shown)) + rest
