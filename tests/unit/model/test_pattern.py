"""Patterns of filters: they find what Python's own engine finds, and none takes for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import InvalidInput
from linkspan.model.pattern import search

PIECES = ["a", "b", "-", ".", "a*", "b+", "a?", "(ab)", "(a|b)", "(?:a|bb)*", "[ab]", "[^a]", "[a-c]+", "\\d", "\\w", "\\.", "a{2}",
          "b{1,2}",          "(a*)*", "(a|a)+", "^", "$", "\\b", "a*?", "(b|)", "[-a]", "[]a]", "[\\w.]"]  # fmt: skip


@given(pattern=st.lists(st.sampled_from(PIECES), max_size=6).map("".join), text=st.text("abc-.1_", max_size=8))
def test_it_finds_what_python_finds(pattern: str, text: str) -> None:
    try:
        expected = re.search(pattern, text) is not None
    except re.error:
        return  # two counts on one part, e.g. `^*`
    assert search(pattern, text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("web", "my-web-1", True),
        ("^web$", "my-web-1", False),
        ("^/?web-[0-9]+$", "web-12", True),
        ("(foo|bar)", "a-bar", True),
        ("", "anything", True),
        ("a.c", "abc", True),
        ("a\\.c", "abc", False),
        ("(", "a(b", True),
        ("(?i)WEB", "web", False),
        ("[", "[", True),
        ("*", "a*", True),
        ("x{2,3}", "xx", True),
        ("x{2,}", "x", False),
    ],
)
def test_patterns_of_people(pattern: str, text: str, found: bool) -> None:
    assert search(pattern, text) is found


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(a*)*b", "a?" * 60 + "a" * 60, "(.*)(.*)(.*)(.*)(.*)x", "((((a*)*)*)*)*b"])
def test_what_makes_backtracking_explode_ends(pattern: str) -> None:
    assert not search(pattern, "a" * 59 + "!")


@pytest.mark.parametrize("pattern", ["a" * 300, "(((a*){250}){250}){250}"])
def test_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        search(pattern, "a" * 255)
