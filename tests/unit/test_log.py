"""The log's lines: nothing that a client sent looks like a line of ours, or does something to a terminal."""

import io
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.log import LONGEST, Lines, printable

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) .*")


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s"))
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
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


def test_a_message_has_a_bound(output: io.StringIO) -> None:
    logging.getLogger("hostile").info("%s", "a" * 10**6)
    assert len(output.getvalue()) < LONGEST + 200
    assert "(1000000 characters)" in output.getvalue()
