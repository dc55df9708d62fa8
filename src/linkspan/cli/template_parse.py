"""The grammar of Go's text/template, as much of it as `--format` is used with: text in, a tree out."""

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

LONGEST = 16 << 10
"""Characters of a template; more than anybody writes on a command line."""
_ACTION = re.compile(r"""\{\{(-(?=\s))?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|/\*.*?\*/|(?!\}\}).)*?)((?<=\s)-)?\}\}""", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<raw>`[^`]*`)|(?P<number>[+-]?\d+(?:\.\d+)?)|(?P<variable>\$\w*(?:\.\w+)*)"""
    r"""|(?P<field>(?:\.\w+)+)|(?P<dot>\.)|(?P<word>[A-Za-z_]\w*)|(?P<close>\)(?:\.\w+)*)|(?P<mark>\(|\||:=|=|,))"""
)
_MOST_DIGITS = 20
_CONSTANTS = {"true": True, "false": False, "nil": None}


class TemplateError(Exception):
    """The template is wrong, or does not fit what it is applied to."""


class Literal(NamedTuple):
    """A constant."""

    value: Any


class Path(NamedTuple):
    """Fields of something: of the dot (`base` None), of a variable (its name with `$`), or of a pipeline in parentheses."""

    base: "str | Pipe | None"
    fields: tuple[str, ...]


class Function(NamedTuple):
    """The name of a function."""

    name: str


Operand = Literal | Path | Function


class Pipe(NamedTuple):
    """Commands, each fed by the one before; its value may go to variables."""

    commands: tuple[tuple[Operand, ...], ...]
    variables: tuple[str, ...] = ()


class Text(NamedTuple):
    """Text as it stands."""

    text: str


class Action(NamedTuple):
    """`{{PIPE}}`: print it, unless it only sets a variable."""

    pipe: Pipe


class Branch(NamedTuple):
    """`{{if}}`, `{{with}}` or `{{range}}`, by `word`."""

    word: str
    pipe: Pipe
    body: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"


Node = Text | Action | Branch


def parse(source: str) -> tuple[Node, ...]:
    """Parse a template.

    Raises TemplateError.
    """
    if len(source) > LONGEST:
        raise TemplateError(f"template: :1: longer than {LONGEST} characters")
    try:
        return _Parser(source).parse()
    except RecursionError:
        raise TemplateError("template: :1: nested too deep") from None


class _Parser:
    def __init__(self, source: str) -> None:
        self._pieces = deque(_pieces(source))

    def parse(self) -> tuple[Node, ...]:
        nodes, end = self._block()
        if end:
            raise TemplateError(f"template: :1: unexpected {{{{{end}}}}}")
        return nodes

    def _block(self) -> tuple[tuple[Node, ...], str]:
        """Read nodes up to `else …`, `end` or the end of the source; that word is the second value."""
        nodes: list[Node] = []
        while self._pieces:
            piece = self._pieces.popleft()
            if isinstance(piece, Text):
                nodes.append(piece)
                continue
            word, _, rest = piece.partition(" ")
            if word in ("end", "else"):
                return tuple(nodes), piece
            if word in ("if", "with", "range"):
                nodes.append(self._branch(word, rest))
            elif piece:
                nodes.append(Action(_pipe(piece)))
        return tuple(nodes), ""

    def _branch(self, word: str, condition: str) -> Branch:
        pipe = _pipe(condition)
        body, end = self._block()
        otherwise: tuple[Node, ...] = ()
        if end == "else":
            otherwise, end = self._block()
        elif end.startswith("else "):
            nested, _, rest = end.removeprefix("else ").partition(" ")
            otherwise, end = (self._branch(nested, rest),), "end"
        if end != "end":
            raise TemplateError("template: :1: unexpected EOF")
        return Branch(word, pipe, body, otherwise)


def _pieces(source: str) -> Iterator[Text | str]:
    """Yield texts, and the insides of actions as str."""
    position, trim = 0, False
    for action in _ACTION.finditer(source):
        text = source[position : action.start()]
        text = text.lstrip() if trim else text
        yield Text(text.rstrip() if action[1] else text)
        inside = " ".join(action[2].split()) if '"' not in action[2] and "`" not in action[2] else action[2].strip()
        if not inside:
            raise TemplateError("template: :1: missing value for command")
        yield "" if inside.startswith("/*") else inside
        position, trim = action.end(), bool(action[3])
    rest = source[position:]
    if "{{" in rest:
        raise TemplateError("template: :1: unclosed action")
    yield Text(rest.lstrip() if trim else rest)


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    position = 0
    source = source.rstrip()
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(f'template: :1: unexpected "{source[position:].strip()[:1]}" in operand')
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()


def _pipe(source: str) -> Pipe:
    tokens = list(_tokens(source))
    pipe, _ = _read_pipe(tokens, 0, nested=False)
    return pipe


def _read_pipe(tokens: list[tuple[str, str]], at: int, *, nested: bool) -> tuple[Pipe, int]:
    """Read a pipeline from token `at`; return it and the index of its closing parenthesis, or of the end."""
    variables, at = _read_variables(tokens, at)
    commands: list[tuple[Operand, ...]] = []
    operands: list[Operand] = []
    while at < len(tokens) and tokens[at][0] != "close":
        kind, text = tokens[at]
        if text == "|" and kind == "mark":
            commands.append(_command(operands))
            operands = []
        elif text == "(" and kind == "mark":
            inner, at = _read_pipe(tokens, at + 1, nested=True)
            operands.append(Path(inner, _fields(tokens[at][1].removeprefix(")"))))
        else:
            operands.append(_operand(kind, text))
        at += 1
    if nested != (at < len(tokens)):
        raise TemplateError("template: :1: unclosed left paren" if nested else "template: :1: unexpected right paren")
    commands.append(_command(operands))
    return Pipe(tuple(commands), variables), at


def _read_variables(tokens: list[tuple[str, str]], at: int) -> tuple[tuple[str, ...], int]:
    """Read `$a :=`, `$a =` or `$a, $b :=`."""
    texts = [text for _, text in tokens[at : at + 4]]
    if len(texts) > 1 and texts[0].startswith("$") and texts[1] in (":=", "="):
        return (texts[0],), at + 2
    if len(texts) > 3 and texts[0].startswith("$") and texts[1] == "," and texts[3] == ":=":
        return (texts[0], texts[2]), at + 4
    return (), at


def _command(operands: list[Operand]) -> tuple[Operand, ...]:
    if not operands:
        raise TemplateError("template: :1: missing value for command")
    return tuple(operands)


def _operand(kind: str, text: str) -> Operand:
    if kind in ("variable", "field", "dot"):
        name, *fields = text.split(".")
        return Path(name or None, tuple(field for field in fields if field))
    if kind == "word":
        return Literal(_CONSTANTS[text]) if text in _CONSTANTS else Function(text)
    return Literal(_constant(kind, text))


def _constant(kind: str, text: str) -> str | int | float:
    if kind == "string":
        return _unquote(text)
    if kind == "raw":
        return text[1:-1]
    if kind == "number":
        return float(text) if "." in text or len(text) > _MOST_DIGITS else int(text)
    raise TemplateError(f'template: :1: unexpected "{text}" in operand')


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise TemplateError(f"template: :1: bad string {text}") from error


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")[1:])
