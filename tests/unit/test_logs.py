"""The engine's log: nothing that a client sent looks like a line of ours, or does something to a terminal."""

import io
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.logs import LONGEST, OneLine, escaped

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) .*")


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
    assert lines[2] == "  Traceback (most recent call last):"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("hostile")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield text
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "bad", ["a\n2026-01-01 00:00:00,000 INFO forged", "\x1b[2J", "\r", "\x00", "\x85", "\u2028", "\u202e", "\ud800", "\x9b1m"]
)
def test_a_message_is_one_printable_line(output: io.StringIO, bad: str) -> None:
    logging.getLogger("hostile").info("start of %s refused", bad)
    line, end = output.getvalue().split("\n")
    assert end == ""
    assert line.isprintable()
    assert LINE.fullmatch(line)


def test_a_traceback_is_indented(output: io.StringIO) -> None:
    try:
        raise ValueError("x\n2026-01-01 00:00:00,000 INFO forged \x1b[2J")
    except ValueError:
        logging.getLogger("hostile").exception("%s failed", "GET /\n")
    first, *rest = output.getvalue().rstrip("\n").split("\n")
    assert LINE.fullmatch(first)
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert any("Traceback" in line for line in rest)


@given(st.text())
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(text) == text or not text.isprintable()


def test_a_message_has_a_bound(output: io.StringIO) -> None:
    logging.getLogger("hostile").info("%s", "a" * 10**6)
    assert len(output.getvalue()) < LONGEST + 200
    assert "(1000000 characters)" in output.getvalue()
