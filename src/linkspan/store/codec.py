"""Model values as JSON and back: one rule per kind of type, so that a new field needs no code here."""

import contextlib
import dataclasses
import functools
import ipaddress
import json
import types
import typing
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

from linkspan.errors import EngineError, InvalidInput

T = TypeVar("T")

_AS_THEY_ARE = {str, int, bool, float, type(None)}

_TEXTUAL = (
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)


class Damaged(EngineError):
    """A row of the store is no value of its kind."""


def encode(value: object) -> str:
    """Return the JSON text of a model value."""
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def decode(kind: type[T], text: str) -> T:
    """Return the model value that `encode` made the text of; raises Damaged if it is none."""
    try:
        return typing.cast(T, _typed(kind, json.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError, InvalidInput) as error:
        raise Damaged(f"damaged {kind.__name__.lower()}: {error}") from error


def _plain(value: Any) -> Any:  # noqa: ANN401  any model value, any JSON
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is tuple or kind is list:
        return [_plain(item) for item in value]
    if kind is dict:
        return {str(key): _plain(item) for key, item in value.items()}
    if issubclass(kind, (*_TEXTUAL, Enum)):
        return str(value)
    return {name: _plain(getattr(value, name)) for name in _names(typing.cast(type, kind))}


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _typed(kind: Any, raw: Any) -> Any:  # noqa: ANN401  any model type, any JSON
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        return kind(**{name: _typed(hints[name], item) for name, item in raw.items()})  # type: ignore[operator]  # a class, not an instance
    origin = get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return None if raw is None else _either([option for option in get_args(kind) if option is not type(None)], raw)
    if origin is tuple:
        options = get_args(kind)
        items = options[:1] * len(raw) if options[1:] == (...,) else options
        return tuple(_typed(option, item) for option, item in zip(items, raw, strict=True))
    if origin is dict:
        return {key: _typed(get_args(kind)[1], item) for key, item in raw.items()}
    if kind in _TEXTUAL or (isinstance(kind, type) and issubclass(kind, Enum)):
        return kind(raw)
    return raw


def _either(kinds: Sequence[Any], raw: Any) -> Any:  # noqa: ANN401  any model type, any JSON
    """Return the value as the first of the kinds that it can be of: addresses are of one family or the other."""
    for kind in kinds[:-1]:
        with contextlib.suppress(ValueError):
            return _typed(kind, raw)
    return _typed(kinds[-1], raw)
