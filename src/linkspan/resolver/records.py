"""Which name means what to whom. Pure: no sockets, no clock."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from linkspan.resolver import wire
from linkspan.resolver.units import Member, Network, Sandbox, Unit

_REVERSE_4 = b"\x07in-addr\x04arpa\0"
_REVERSE_6 = b"\x03ip6\x04arpa\0"
_STAR = b"\x01*"


@dataclass(frozen=True, slots=True)
class Found:
    """What a name is here. No records: the name exists, with nothing of the kind that was asked for."""

    records: tuple[bytes, ...]
    where: str
    """For people: which network or list knows it."""


class Zone:
    """The names of one network."""

    def __init__(self) -> None:
        self.name = ""
        self.key: bytes | None = None
        self.wild = 0
        """How many names in it begin with a star."""
        self._by_name: dict[bytes, dict[str, Member]] = {}
        self._by_address: dict[bytes, dict[str, Member]] = {}

    def __bool__(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.name or self._by_name or self._by_address)

    def call(self, name: str) -> None:
        """Give the network its name."""
        self.name, self.key = name, wire.encode_name(name) if name else None

    def add(self, member: Member) -> None:
        """Let the network know a member."""
        for key in _keys(member.names):
            self.wild += key.startswith(_STAR)
            self._by_name.setdefault(key, {})[member.id] = member
        for address in member.addresses:
            self._by_address.setdefault(_packed(address), {})[member.id] = member

    def remove(self, member: Member) -> None:
        """Forget a member that was added."""
        for key in _keys(member.names):
            self.wild -= key.startswith(_STAR)
            _discard(self._by_name, key, member.id)
        for address in member.addresses:
            _discard(self._by_address, _packed(address), member.id)

    def named(self, key: bytes) -> Iterable[Member]:
        """Return the members with the name, or with a star that stands for its beginning."""
        if (members := self._by_name.get(key)) or not self.wild:
            return members.values() if members else ()
        rest = key
        while len(rest) > 1:
            rest = rest[1 + rest[0] :]
            if members := self._by_name.get(_STAR + rest):
                return members.values()
        return ()

    def name_of(self, address: bytes) -> str:
        """Return the first name of the member with this address, empty if there is none."""
        for member in self._by_address.get(address, {}).values():
            if member.names:
                return member.names[0]
        return ""


class Book:
    """All that the engine has told."""

    def __init__(self) -> None:
        self.generation = 0
        """Grows with each change: an answer of an older one may be wrong."""
        self.sandboxes: dict[str, Sandbox] = {}
        self._members: dict[str, Member] = {}
        self._zones: dict[str, Zone] = {}

    def put(self, unit: Unit) -> None:
        """Learn a unit, in place of what was told of it before."""
        self.generation += 1
        match unit:
            case Network():
                self._zone(unit.id).call(unit.name)
            case Member():
                self._forget_member(unit.id)
                self._members[unit.id] = unit
                self._zone(unit.network).add(unit)
            case Sandbox():
                self.sandboxes[unit.id] = unit

    def drop(self, kind: str, unit_id: str) -> None:
        """Forget a unit. Idempotent."""
        self.generation += 1
        if kind == "member":
            self._forget_member(unit_id)
        elif kind == "sandbox":
            self.sandboxes.pop(unit_id, None)
        elif zone := self._zones.get(unit_id):
            zone.call("")
            self._tidy(unit_id)

    def known(self) -> Iterator[tuple[str, str]]:
        """Yield kind and id of every unit."""
        yield from (("member", each) for each in self._members)
        yield from (("sandbox", each) for each in self.sandboxes)
        yield from (("network", each) for each, zone in self._zones.items() if zone.name)

    def find(self, sandbox: Sandbox, key: bytes, kind: int) -> Found | None:
        """Return what the name (folded, of the wire) means to this asker, None if it must be asked elsewhere."""
        if kind == wire.PTR and (address := _reversed(key)) is not None:
            return self._find_pointer(sandbox, address)
        if kind not in (wire.A, wire.AAAA, wire.MX):
            return None
        size = 0 if kind == wire.MX else 4 if kind == wire.A else 16
        where = ""
        for zone, members in self._candidates(sandbox, key):
            where = where or f"network {zone.name}"
            records = tuple({record: None for each in members for record in map(_packed, each.addresses) if len(record) == size})
            if records:
                return Found(records, f"network {zone.name}")
        return Found((), where) if where else _own(sandbox, key, size)

    def _candidates(self, sandbox: Sandbox, key: bytes) -> Iterator[tuple[Zone, Iterable[Member]]]:
        """Yield the networks that know the name, the first choice first: Docker's order."""
        zones = [(network, zone) for network in sandbox.networks if (zone := self._zones.get(network))]
        for network, zone in zones:
            if (members := _linked(sandbox, network, zone, key)) or (members := zone.named(key)):
                yield zone, members
        for beginning, end in _splits(key):
            for network, zone in zones:
                if zone.key == end and ((members := _linked(sandbox, network, zone, beginning)) or (members := zone.named(beginning))):
                    yield zone, members

    def _find_pointer(self, sandbox: Sandbox, address: bytes) -> Found | None:
        for network in sandbox.networks:
            zone = self._zones.get(network)
            if zone and (name := zone.name_of(address)):
                full = wire.encode_name(f"{name}.{zone.name}") or wire.encode_name(name)
                return Found((full,) if full else (), f"network {zone.name}")
        return None

    def _zone(self, network: str) -> Zone:
        return self._zones.setdefault(network, Zone())

    def _forget_member(self, member_id: str) -> None:
        member = self._members.pop(member_id, None)
        if member:
            self._zones[member.network].remove(member)
            self._tidy(member.network)

    def _tidy(self, network: str) -> None:
        if not self._zones[network]:
            del self._zones[network]


def _linked(sandbox: Sandbox, network: str, zone: Zone, key: bytes) -> Iterable[Member]:
    for alias, target in sandbox.links.get(network, {}).items():
        if wire.encode_name(alias) == key and (target_key := wire.encode_name(target)):
            return zone.named(target_key)
    return ()


def _own(sandbox: Sandbox, key: bytes, size: int) -> Found | None:
    for name, addresses in sandbox.names.items():
        if wire.encode_name(name) == key:
            return Found(tuple(record for record in map(_packed, addresses) if len(record) == size), "the engine's own names")
    return None


def _splits(key: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name's beginnings with what follows, the longest first: a.b and c, a and b.c."""
    cuts = []
    offset = 1 + key[0] if key else 0
    while offset < len(key) and key[offset]:
        cuts.append(offset)
        offset += 1 + key[offset]
    for cut in reversed(cuts):
        yield key[:cut] + b"\0", key[cut:]


def _reversed(key: bytes) -> bytes | None:
    """Return the address that a reverse name stands for."""
    labels = []
    offset = 0
    while length := key[offset]:
        labels.append(key[offset + 1 : offset + 1 + length])
        offset += 1 + length
    try:
        if key.endswith(_REVERSE_4) and len(labels) == 6 and all(map(bytes.isdigit, labels[:4])):
            return bytes(int(label) for label in reversed(labels[:4]))
        if key.endswith(_REVERSE_6) and len(labels) == 34:
            return bytes.fromhex(b"".join(reversed(labels[:32])).decode("ascii"))
    except ValueError:
        pass
    return None


def _keys(names: Iterable[str]) -> dict[bytes, None]:
    return {key: None for name in names if (key := wire.encode_name(name))}


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _discard(table: dict[bytes, dict[str, Member]], key: bytes, member_id: str) -> None:
    members = table.get(key)
    if members:
        members.pop(member_id, None)
        if not members:
            del table[key]
