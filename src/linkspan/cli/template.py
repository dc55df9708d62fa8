"""`--format`: Go's text/template on JSON values and rows of a table.

Differences from Go that follow from having no types: a struct prints as a map, and a field that is missing counts as false in a
condition, because an absent `omitempty` field cannot be told from one that does not exist.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from linkspan.cli.template_parse import Action, Branch, Function, Literal, Node, Operand, Path, Pipe, TemplateError, Text, parse

_VERB = re.compile(r"%([-+ 0#]*\d*(?:\.\d+)?)([a-zA-Z%])")


Value = Any
"""A JSON value, or what a function made of one: templates find out at run time what they can do with it."""


class _Missing(TemplateError):
    """There is no such field."""


class Template:
    """A parsed template; raises TemplateError when it is made or used."""

    def __init__(self, source: str) -> None:
        self._nodes = parse(source)
        for name in _functions(self._nodes):
            if name not in _FUNCTIONS and name not in ("and", "or"):
                raise TemplateError(f'template: :1: function "{name}" not defined')

    def render(self, value: Value) -> str:
        return "".join(_Run(value).render(self._nodes, value))


def _functions(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Text):
            continue
        yield from _functions_of_pipe(node.pipe)
        if isinstance(node, Branch):
            yield from _functions(node.body)
            yield from _functions(node.otherwise)


def _functions_of_pipe(pipe: Pipe) -> Iterator[str]:
    for command in pipe.commands:
        for operand in command:
            if isinstance(operand, Function):
                yield operand.name
            elif isinstance(operand, Path) and isinstance(operand.base, Pipe):
                yield from _functions_of_pipe(operand.base)


class _Run:
    """One rendering: the variables set so far."""

    def __init__(self, root: Value) -> None:
        self._variables: dict[str, Any] = {"$": root}

    def render(self, nodes: Sequence[Node], dot: Value) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, Text):
                yield node.text
            elif isinstance(node, Action):
                value = self._value(node.pipe, dot)
                if not node.pipe.variables:
                    yield "<no value>" if value is None else shown(value)
            elif node.word == "range":
                yield from self._range(node, dot)
            else:
                yield from self._conditional(node, dot)

    def _conditional(self, node: Branch, dot: Value) -> Iterator[str]:
        try:
            value = self._value(node.pipe, dot)
        except _Missing:
            value = None
        if value:
            yield from self.render(node.body, value if node.word == "with" else dot)
        else:
            yield from self.render(node.otherwise, dot)

    def _range(self, node: Branch, dot: Value) -> Iterator[str]:
        value = self._value(node.pipe._replace(variables=()), dot)
        pairs = _pairs(value)
        if not pairs:
            yield from self.render(node.otherwise, dot)
        for key, item in pairs:
            names = node.pipe.variables
            self._variables.update(zip(names, (key, item) if len(names) > 1 else (item,), strict=True) if names else ())
            yield from self.render(node.body, item)

    def _value(self, pipe: Pipe, dot: Value) -> Value:
        given: tuple[Any, ...] = ()
        for command in pipe.commands:
            given = (self._call(command, given, dot),)
        if pipe.variables:
            self._variables[pipe.variables[-1]] = given[0]
        return given[0]

    def _call(self, command: tuple[Operand, ...], given: tuple[Any, ...], dot: Value) -> Value:
        head, *rest = command
        if isinstance(head, Function):
            if head.name in ("and", "or"):
                return self._lazy(head.name, rest, given, dot)
            return _apply(head.name, (*(self._operand(operand, dot) for operand in rest), *given))
        value = self._operand(head, dot)
        if callable(value):
            return value(*(self._operand(operand, dot) for operand in rest), *given)
        if rest or given:
            raise TemplateError(f'template: :1:2: executing "": can\'t give argument to non-function {shown(value)}')
        return value

    def _lazy(self, name: str, operands: Sequence[Operand], given: tuple[Any, ...], dot: Value) -> Value:
        value: Value = None
        for operand in operands:
            value = self._operand(operand, dot)
            if bool(value) == (name == "or"):
                return value
        return given[0] if given else value

    def _operand(self, operand: Operand, dot: Value) -> Value:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Function):
            return _apply(operand.name, ())
        if isinstance(operand.base, Pipe):
            base = self._value(operand.base, dot)
        elif operand.base is None:
            base = dot
        elif operand.base in self._variables:
            base = self._variables[operand.base]
        else:
            raise TemplateError(f'template: :1: undefined variable "{operand.base}"')
        for field in operand.fields:
            base = _field(base, field)
        return base


def _field(value: Value, name: str) -> Value:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, Mapping):
        raise _Missing(f'template: :1:2: executing "" at <.{name}>: map has no entry for key "{name}"')
    raise _Missing(f'template: :1:2: executing "" at <.{name}>: can\'t evaluate field {name} in {shown(value)}')


def _pairs(value: Value) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, int):
        return [(number, number) for number in range(value)]
    return list(enumerate(value or ()))


def shown(value: Value) -> str:
    """Print a value as Go's fmt does: `true`, `[a b]`, `map[a:1 b:2]`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{shown(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _apply(name: str, arguments: tuple[Any, ...]) -> Value:
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise TemplateError(f'template: :1:2: executing "" at <{name}>: error calling {name}: {error}') from error


def to_json(value: Value) -> str:
    """Write JSON as Docker's `json` function does: no spaces, no escapes that JSON does not need."""
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _index(value: Value, *keys: Value) -> Value:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


def _printf(pattern: str, *arguments: Value) -> str:
    rest = list(arguments)

    def replace(match: re.Match[str]) -> str:
        flags, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        if verb == "q":
            value, verb = to_json(shown(value)), "s"
        elif verb in "svt":
            value, verb = shown(value), "s"
        return str(f"%{flags}{verb}" % value)

    return _VERB.sub(replace, pattern)


def _print(*arguments: Value) -> str:
    """Spaces go between two operands when neither is a string, as Go has it."""
    text = ""
    for position, value in enumerate(arguments):
        before = arguments[position - 1] if position else ""
        text += (" " if not isinstance(value, str) and not isinstance(before, str) else "") + shown(value)
    return text


def _slice(value: Value, first: int = 0, last: int | None = None) -> Value:
    return value[first:last]


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": to_json,
    "jsonPretty": lambda value: json.dumps(value, ensure_ascii=False, indent=4),
    "split": lambda text, separator: text.split(separator),
    "join": lambda items, separator: separator.join(items or ()),
    "title": lambda text: re.sub(r"\b\w", lambda letter: letter[0].upper(), text),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": lambda text, length: text[:length],
    "print": _print,
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "printf": _printf,
    "len": len,
    "index": _index,
    "slice": _slice,
    "not": lambda value: not value,
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
}
