"""What the engine tells the resolver: networks, their members, and the sandboxes that ask. Valid by construction, small, in JSON.

Each unit is told whole, by its id, in place of what was told before; so telling it twice changes nothing.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from linkspan.errors import InvalidInput

T = TypeVar("T")

MOST = 2000
"""Entries of one list."""
LONGEST = 300
"""Characters of an id or a name; longer than any that can be asked for."""
LIFETIME = 600
"""Docker's TTL of local answers, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network: NAME is what follows the dot in `web.NAME`."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An endpoint: the names that its network knows it by (the first one answers who asks for its address) and its addresses."""

    id: str
    network: str
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in self.addresses:
            _address(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A name server; `inside`: it is asked from the container's own namespace, else from the host's."""

    address: str
    inside: bool = False

    def __post_init__(self) -> None:
        _address(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Who asks, and what holds for it alone."""

    id: str
    networks: tuple[str, ...] = ()
    """Ids, in the order in which names are looked up."""
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per network: alias → the name in that network that it stands for. Nobody else knows it."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further names of its own with their addresses, such as host.docker.internal; what its networks know comes first."""
    servers: tuple[Server, ...] | None = None
    """None: those of the host's resolv.conf, as it is when they are asked."""
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Domain → the servers that know it."""
    external: bool = True
    """Whether anything outside may be asked; servers `inside` are, for the namespace has the last word on that."""
    short_names_stay: bool = False
    """Names without a dot are not forwarded: the asker goes on with its search list (ndots was set)."""
    lifetime: int = LIFETIME

    def __post_init__(self) -> None:
        for addresses in (*self.names.values(), *self.routes.values()):
            for address in addresses:
                _address(address)
        if not 0 <= self.lifetime <= 86_400:
            raise InvalidInput(f"invalid lifetime: {self.lifetime}")


Unit = Network | Member | Sandbox

KINDS: dict[str, type[Unit]] = {"network": Network, "member": Member, "sandbox": Sandbox}


def kind_of(unit: Unit) -> str:
    """Return the name of the unit's kind."""
    return type(unit).__name__.lower()


def to_json(unit: Unit) -> dict[str, object]:
    """Return the unit for a message."""
    return {"kind": kind_of(unit), **asdict(unit)}


def from_json(value: object) -> Unit:
    """Read a unit; raises InvalidInput for anything that `to_json` cannot have made."""
    given = _mapping(value)
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(f"unknown kind {str(kind)[:LONGEST]!r}")
    readers = _READERS[kind]
    if given.keys() - readers.keys():
        raise InvalidInput(f"a {kind} has no {sorted(given.keys() - readers.keys())[0]!r}"[:LONGEST])
    if not given.get("id"):
        raise InvalidInput(f"a {kind} without an id")
    try:
        fields: dict[str, Any] = {name: readers[name](each) for name, each in given.items()}
        return KINDS[kind](**fields)
    except TypeError as error:
        raise InvalidInput(f"a {kind} is incomplete") from error


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) > MOST:
        raise InvalidInput("not a JSON object of a fit size")
    return dict(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InvalidInput("not a text of a fit length")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise InvalidInput("not a list of a fit length")
    return tuple(map(_text, value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("not true or false")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput("not a whole number")
    return value


def _map_of(read: Callable[[object], T]) -> Callable[[object], dict[str, T]]:
    return lambda value: {_text(name): read(each) for name, each in _mapping(value).items()}


def _servers(value: object) -> tuple[Server, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST:
        raise InvalidInput("not a list of a fit length")
    entries = [_mapping(each) for each in value]
    return tuple(Server(address=_text(each.get("address")), inside=_flag(each.get("inside"))) for each in entries)


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:64]!r} is not an IP address") from error


_READERS: dict[str, dict[str, Callable[[object], object]]] = {
    "network": {"id": _text, "name": _text},
    "member": {"id": _text, "network": _text, "names": _texts, "addresses": _texts},
    "sandbox": {
        "id": _text,
        "networks": _texts,
        "links": _map_of(_map_of(_text)),
        "names": _map_of(_texts),
        "servers": _servers,
        "routes": _map_of(_texts),
        "external": _flag,
        "short_names_stay": _flag,
        "lifetime": _number,
    },
}
