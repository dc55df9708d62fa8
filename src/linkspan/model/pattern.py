"""Regular expressions that strangers send: searched without backtracking, so that none takes for ever (as in Go, whose clients send them).

A matcher takes the positions of a text at which it may begin, and returns those at which it may end.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linkspan.errors import InvalidInput

LONGEST = 256
"""Characters of a pattern."""
_MOST_REPEATS = 255
_DEEPEST = 20
_WORK = 100_000
"""Positions that one search may look at."""
_CLASSES: dict[str, Callable[[str], bool]] = {"d": str.isdigit, "w": lambda sign: sign.isalnum() or sign == "_", "s": str.isspace}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass
class _Search:
    text: str
    left: int = _WORK

    def work(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise InvalidInput("invalid filter: the pattern takes too much time")


Matcher = Callable[[_Search, set[int]], set[int]]
Accepts = Callable[[str], bool]


def search(pattern: str, text: str) -> bool:
    """Whether the pattern fits somewhere in the text; one that is no pattern is looked for as it is. Raises InvalidInput.

    Refused are those that are long, and those that take much time.
    """
    if len(pattern) > LONGEST:
        raise InvalidInput(f"invalid filter: the pattern is longer than {LONGEST} characters")
    matcher = _compiled(pattern)
    if matcher is None:
        return pattern in text
    return bool(matcher(_Search(text), set(range(len(text) + 1))))


@functools.lru_cache(maxsize=32)
def _compiled(pattern: str) -> Matcher | None:
    try:
        return _Parser(pattern).parse()
    except ValueError:
        return None


def _one(accepts: Accepts) -> Matcher:
    def match(run: _Search, at: set[int]) -> set[int]:
        run.work(len(at) + 1)
        return {position + 1 for position in at if position < len(run.text) and accepts(run.text[position])}

    return match


def _where(holds: Callable[[str, int], bool]) -> Matcher:
    return lambda run, at: {position for position in at if holds(run.text, position)}


def _sequence(parts: Sequence[Matcher]) -> Matcher:
    return lambda run, at: functools.reduce(lambda found, part: part(run, found) if found else found, parts, at)


def _either(options: Sequence[Matcher]) -> Matcher:
    return lambda run, at: set().union(*(option(run, at) for option in options))


def _repeated(part: Matcher, least: int, most: int | None) -> Matcher:
    def match(run: _Search, at: set[int]) -> set[int]:
        for _ in range(least):
            run.work(1)
            at = part(run, at)
        reached, fresh, count = set(at), at, least
        while fresh and (most is None or count < most):
            fresh = part(run, fresh) - reached
            reached |= fresh
            count += 1
        return reached

    return match


def _is_word(text: str, position: int) -> bool:
    return 0 <= position < len(text) and _CLASSES["w"](text[position])


_PLACES: dict[str, Matcher] = {
    "^": _where(lambda _, position: position == 0),
    "$": _where(lambda text, position: position == len(text)),
    "\\b": _where(lambda text, position: _is_word(text, position) != _is_word(text, position - 1)),
}


class _Parser:
    """Reads a pattern; raises ValueError for what it does not know."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> Matcher:
        matcher = self._options()
        if self._at < len(self._pattern):
            raise ValueError("a closing parenthesis too many")
        return matcher

    def _options(self) -> Matcher:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("nested too deep")
        options = [self._parts()]
        while self._take("|"):
            options.append(self._parts())
        self._depth -= 1
        return options[0] if len(options) == 1 else _either(options)

    def _parts(self) -> Matcher:
        parts: list[Matcher] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._counted(self._part()))
        return _sequence(parts)

    def _part(self) -> Matcher:
        sign = self._next()
        if sign == "(":
            if self._take("?") and not self._take(":"):
                raise ValueError("unknown kind of group")
            inner = self._options()
            if not self._take(")"):
                raise ValueError("a closing parenthesis is missing")
            return inner
        if sign == "[":
            return _one(self._set())
        if sign in "*+?":
            raise ValueError("nothing to repeat")
        if sign == "\\":
            sign += self._next()
        if sign in _PLACES:
            return _PLACES[sign]
        return _one(_accepting(sign))

    def _set(self) -> Accepts:
        negated = self._take("^")
        accepted: list[Accepts] = []
        while not (accepted and self._take("]")):
            first = self._sign_of_set()
            if len(first) == 1 and self._pattern[self._at : self._at + 1] == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                last = self._sign_of_set()
                accepted.append(lambda sign, first=first, last=last: first <= sign <= last)  # type: ignore[misc]  # mypy infers no defaults
            else:
                accepted.append(_accepting(first) if len(first) > 1 else first.__eq__)
        return lambda sign: any(accepts(sign) for accepts in accepted) != negated

    def _sign_of_set(self) -> str:
        sign = self._next()
        return sign + self._next() if sign == "\\" else sign

    def _counted(self, part: Matcher) -> Matcher:
        if self._take("*"):
            counts: tuple[int, int | None] = (0, None)
        elif self._take("+"):
            counts = (1, None)
        elif self._take("?"):
            counts = (0, 1)
        elif self._pattern[self._at : self._at + 1] == "{":
            counts = self._braces()
        else:
            return part
        self._take("?")  # a lazy one finds the same
        return self._counted(_repeated(part, *counts))

    def _braces(self) -> tuple[int, int | None]:
        inside, found, _ = self._pattern[self._at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        if not found or not (
            least.isascii() and least.isdecimal() and len(least) < 4 and (not most or (most.isascii() and most.isdecimal()))
        ):
            raise ValueError("no count in braces")
        self._at += len(inside) + 2
        bounds = int(least), int(most[:4]) if most else None if comma else int(least)
        if max(bounds[0], bounds[1] or 0) > _MOST_REPEATS:
            raise ValueError("too many repeats")
        return bounds

    def _next(self) -> str:
        if self._at == len(self._pattern):
            raise ValueError("an end that is none")
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, sign: str) -> bool:
        taken = self._pattern[self._at : self._at + 1] == sign
        self._at += taken
        return taken


def _accepting(sign: str) -> Accepts:
    """What a sign of a pattern stands for; `\\x` is two."""
    if sign == ".":
        return lambda given: given != "\n"
    if not sign.startswith("\\"):
        return sign.__eq__
    kind = sign[1:]
    if kind.lower() in _CLASSES:
        accepts = _CLASSES[kind.lower()]
        return accepts if kind.islower() else lambda given: not accepts(given)
    if kind in _CONTROLS:
        return _CONTROLS[kind].__eq__
    if kind.isalnum():
        raise ValueError("unknown escape")
    return kind.__eq__
