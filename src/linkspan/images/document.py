"""JSON that others wrote, read with suspicion: every accessor gives the asked type or says what is wrong."""

from collections.abc import Iterable, Iterator, Mapping

from linkspan import strict_json
from linkspan.errors import InvalidInput


class Document:
    """A JSON object. `what` names it in the errors; missing and null mean empty, as in Go's decoder."""

    def __init__(self, fields: Mapping[str, object], what: str) -> None:
        self._fields = fields
        self._what = what

    @classmethod
    def parse(cls, data: bytes, what: str) -> "Document":
        """Parse a JSON object; raises InvalidInput if it is none."""
        return cls(_object(_parse(data, what), what), what)

    @classmethod
    def parse_all(cls, data: bytes, what: str) -> list["Document"]:
        """Parse a JSON array of objects; raises InvalidInput if it is none."""
        raw = _parse(data, what)
        if not isinstance(raw, list):
            raise InvalidInput(f"{what} is malformed: it is no list")
        return [cls(_object(item, what), what) for item in raw]

    def text(self, key: str) -> str:
        value = self._fields.get(key)
        if value is None:
            return ""
        return self._text(key, value)

    def number(self, key: str) -> int:
        value = self._fields.get(key)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._wrong(key)
        return value

    def flag(self, key: str) -> bool:
        return self._fields.get(key) is True

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._text(key, item) for item in self._list(key))

    def pairs(self, key: str) -> dict[str, str]:
        return {name: self._text(key, value) for name, value in self._mapping(key).items()}

    def keys(self, key: str) -> tuple[str, ...]:
        """The names in an object whose values mean nothing, such as ExposedPorts."""
        return tuple(self._mapping(key))

    def child(self, key: str) -> "Document":
        return Document(self._mapping(key), self._what)

    def children(self, key: str) -> Iterator["Document"]:
        for item in self._list(key):
            if not isinstance(item, dict):
                raise self._wrong(key)
            yield Document(item, self._what)

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise self._wrong(key)
        return value

    def _list(self, key: str) -> Iterable[object]:
        value = self._fields.get(key)
        if value is not None and not isinstance(value, list):
            raise self._wrong(key)
        return value or ()

    def _mapping(self, key: str) -> Mapping[str, object]:
        value = self._fields.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key)
        return value or {}

    def _wrong(self, key: str) -> InvalidInput:
        return InvalidInput(f"{self._what} is malformed: {key} has the wrong type")


def _parse(data: bytes, what: str) -> object:
    try:
        return strict_json.parse(data)
    except ValueError as error:
        raise InvalidInput(f"{what} is malformed: {error}") from error


def _object(raw: object, what: str) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise InvalidInput(f"{what} is malformed: it is no object")
    return raw
