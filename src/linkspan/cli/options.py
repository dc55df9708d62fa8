"""Command lines as docker reads them: what a command takes, and what was given.

argparse would cost 10 ms at each call, guesses at abbreviations, and cannot stop at the first positional, which `run` needs: what
follows the image belongs to the container. Records are NamedTuples here and everywhere in the command, because importing dataclasses
costs another 10 ms.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from linkspan.cli.failures import UsageError

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Kind(NamedTuple):
    """A type of value: its name in the help, its reader (raises ValueError with the reason), and how often it may be given."""

    label: str
    read: Callable[[str], Any]
    many: bool = False
    switch: bool = False


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _pair(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


BOOL = Kind("", _boolean, switch=True)
STRING = Kind("string", str)
INT = Kind("int", _integer)
LIST = Kind("list", str, many=True)
LABELS = Kind("list", _pair, many=True)
MAP = Kind("map", _pair, many=True)
FILTER = Kind("filter", _filter, many=True)


class Flag(NamedTuple):
    """One flag. `also` are other names for it that the help does not list."""

    name: str
    help: str
    kind: Kind = BOOL
    short: str = ""
    default: str = ""
    also: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def title(self) -> str:
        """How error messages name it: `-p, --publish`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


HELP = Flag("help", "Print usage", hidden=True)


class Given:
    """What the user gave: flags by name, and positional arguments."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        self._flags = {flag.name: flag for flag in flags}
        self._values: dict[str, Any] = {}
        self.arguments: list[str] = []

    def has(self, name: str) -> bool:
        """Whether the flag was given at all."""
        return name in self._values

    def switch(self, name: str) -> bool:
        return bool(self._value(name))

    def text(self, name: str) -> str:
        return str(self._value(name) or "")

    def number(self, name: str) -> int:
        value = self._value(name)
        return value if isinstance(value, int) else 0

    def many(self, name: str) -> list[Any]:
        return list(self._values.get(name, ()))

    def add(self, flag: Flag, text: str) -> None:
        """Take `text` as the flag's value.

        Raises UsageError if the flag does not take it.
        """
        try:
            value = flag.kind.read(text)
        except ValueError as error:
            raise UsageError(f'invalid argument "{text}" for "{flag.title}" flag: {error}', flag=True) from error
        if flag.kind.many:
            self._values.setdefault(flag.name, []).append(value)
        else:
            self._values[flag.name] = value

    def _value(self, name: str) -> object:
        if name in self._values:
            return self._values[name]
        flag = self._flags[name]
        return flag.kind.read(flag.default) if flag.default else None


class Parser:
    """Reads the words of one command line, left to right, as spf13/pflag does."""

    def __init__(self, flags: Iterable[Flag], *, interspersed: bool = True) -> None:
        known = [*flags, HELP]
        self._long = {name: flag for flag in known for name in (flag.name, *flag.also)}
        self._short = {flag.short: flag for flag in known if flag.short}
        self._interspersed = interspersed
        self._given = Given(known)

    def parse(self, words: Sequence[str]) -> Given:
        """Split `words` into flags and positional arguments.

        Without `interspersed` everything from the first positional on is positional. Raises UsageError.
        """
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                self._given.arguments += rest
                break
            if word.startswith("--"):
                self._read_long(word[2:], rest)
            elif word.startswith("-") and word != "-":
                self._read_short(word[1:], rest)
            else:
                self._given.arguments.append(word)
                if not self._interspersed:
                    self._given.arguments += rest
                    break
        return self._given

    def _read_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: --{word}", flag=True)
        flag = self._long.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}", flag=True)
        if not equals:
            value = self._next(flag, rest, f"--{name}")
        self._given.add(flag, value)

    def _read_short(self, letters: str, rest: list[str]) -> None:
        while letters:
            flag = self._short.get(letters[0])
            if flag is None and letters[0] == "h":
                flag = HELP
            if flag is None:
                raise UsageError(f"unknown shorthand flag: '{letters[0]}' in -{letters}", flag=True)
            tail = letters[1:]
            if tail.startswith("="):
                self._given.add(flag, tail[1:])
                return
            if not flag.kind.switch and tail:
                self._given.add(flag, tail)
                return
            self._given.add(flag, self._next(flag, rest, f"'{letters[0]}' in -{letters}"))
            letters = tail

    @staticmethod
    def _next(flag: Flag, rest: list[str], where: str) -> str:
        if flag.kind.switch:
            return "true"
        if not rest:
            raise UsageError(f"flag needs an argument: {where}", flag=True)
        return rest.pop(0)
