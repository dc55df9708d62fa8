"""Reading JSON that strangers send: every value is checked for its type, and a refusal names the field.

As in Go, whose words the clients know: keys match in any case, null is the same as absent, unknown keys are ignored.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from linkspan import strict_json
from linkspan.errors import InvalidInput

T = TypeVar("T")

_INT64 = range(-(2**63), 2**63)


class Fields:
    """A JSON object, read field by field. Every method raises InvalidInput if the value is of another type."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = {name.lower(): value for name, value in values.items() if value is not None}
        self._path = path

    def names(self) -> frozenset[str]:
        """Return the names of the fields that are there, in lower case."""
        return frozenset(self._values)

    def has(self, name: str) -> bool:
        """Whether the field is there and says something: null, "", 0, false, [] and {} do not."""
        return bool(self._values.get(name.lower()))

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        return self._read(name, _text, default)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number of 64 bits."""
        return self._read(name, _integer, default)

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, None if it is not there."""
        return self.integer(name) if name.lower() in self._values else None

    def boolean(self, name: str) -> bool:
        """Return true or false; absent is false."""
        return self._read(name, _boolean, False)  # noqa: FBT003  the default

    def optional_boolean(self, name: str) -> bool | None:
        """Return true or false, None if it is not there."""
        return self.boolean(name) if name.lower() in self._values else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(_checked(_text, value, place) for place, value in _entries(self._name(name), self._read(name, _list, [])))

    def command(self, name: str) -> tuple[str, ...] | None:
        """Return a list of strings, also out of one string alone; None if it is not there."""
        value = self._values.get(name.lower())
        if isinstance(value, str):
            return (self.text(name),)
        return self.texts(name) if value is not None else None

    def mapping(self, name: str) -> dict[str, str]:
        """Return an object whose values are strings; null is the empty one."""
        values = self._members(name).items()
        return {_checked(_text, key, place): _checked(_text, "" if value is None else value, place) for key, (place, value) in values}

    def child(self, name: str) -> "Fields":
        """Return an object; an empty one if it is not there."""
        return Fields(self._read(name, _object, {}), self._name(name))

    def children(self, name: str) -> "list[Fields]":
        """Return a list of objects."""
        return _all_fields(self._name(name), self._read(name, _list, []))

    def child_map(self, name: str) -> "dict[str, Fields]":
        """Return an object whose values are objects; null stands for the empty one."""
        values = self._members(name).items()
        return {
            _checked(_text, key, place): Fields(_checked(_object, {} if value is None else value, place), place)
            for key, (place, value) in values
        }

    def children_map(self, name: str) -> "dict[str, list[Fields]]":
        """Return an object whose values are lists of objects; null stands for the empty list."""
        values = self._members(name).items()
        return {
            _checked(_text, key, place): _all_fields(place, _checked(_list, [] if value is None else value, place))
            for key, (place, value) in values
        }

    def _members(self, name: str) -> dict[str, tuple[str, object]]:
        """Return the values of an object by key, each with its place."""
        values: dict[str, object] = self._read(name, _object, {})
        return {key: (f"{self._name(name)}.{key}", value) for key, value in values.items()}

    def _read(self, name: str, reader: Callable[[object], T], default: T) -> T:
        value = self._values.get(name.lower())
        return default if value is None else _checked(reader, value, self._name(name))

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _entries(place: str, values: Iterable[object]) -> list[tuple[str, object]]:
    """Return the values of a list, each with its place."""
    return [(f"{place}[{index}]", value) for index, value in enumerate(values)]


def _all_fields(place: str, values: Iterable[object]) -> list[Fields]:
    return [Fields(_checked(_object, value, within), within) for within, value in _entries(place, values)]


def parse_object(body: bytes) -> Fields:
    """Parse a body that must hold a JSON object; an empty body is an empty object. Raises InvalidInput."""
    value = parse_json(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise InvalidInput(f"invalid JSON: an object is wanted, not {_kind(value)}")
    return Fields(value)


def parse_json(text: bytes | str) -> object:
    """Parse JSON; raises InvalidInput, also for what Python takes and JSON does not have."""
    try:
        return strict_json.parse(text)
    except ValueError as error:
        raise InvalidInput(f"invalid JSON: {error}") from error


class _WrongType(Exception):
    """The value is not a `wanted`."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def _checked(reader: Callable[[object], T], value: object, place: str) -> T:
    try:
        return reader(value)
    except _WrongType as refusal:
        raise InvalidInput(f"invalid JSON: {place} must be {refusal.wanted}, not {_kind(value)}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongType("a string")
    if "\0" in value:
        raise _WrongType("a string without NUL characters")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise _WrongType("a whole number of 64 bits")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongType("true or false")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _WrongType("a list")
    return value


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _WrongType("an object")
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {value}"[:40]
        case str():
            return "a string with NUL characters" if "\0" in value else "a string"
        case list():
            return "a list"
        case _:
            return "an object"
