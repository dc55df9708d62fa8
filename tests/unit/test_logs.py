"""The engine's log."""

import io
import logging

import pytest

from linkspan.logs import OneLine, escaped


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, with ünïcode", "plain, with ünïcode"),
        ("two\nlines", "two\\nlines"),
        ("\r\t\x1b[31m\x7f\x85\u2028", "\\r\\t\\x1b[31m\\x7f\\x85\\u2028"),
        ("\udcff", "\\udcff"),
        ("turned \u202e around", "turned \\u202e around"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, written: str) -> None:
    assert escaped(text) == written


def test_a_record_is_one_line_and_a_traceback_follows_it() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine("%(levelname)s %(message)s"))
    logger = logging.getLogger("tests.a-logger-of-its-own")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    logger.info("exec_create: %s", "sh\nINFO destroy web")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("failed: %s", "x\ny")

    lines = stream.getvalue().splitlines()
    assert lines[0] == "INFO exec_create: sh\\nINFO destroy web"
    assert lines[1] == "ERROR failed: x\\ny"
    assert lines[2] == "Traceback (most recent call last):"
