"""Which address, which subnet: pure choices out of what is taken."""

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from linkspan.errors import AddressInUse, Exhausted, InvalidInput
from linkspan.model.network import IPAddress, Subnet


@dataclass(frozen=True, slots=True)
class Used:
    """The addresses that a network ever gave, as numbers: a pool may have a million."""

    held: AbstractSet[int] = field(default_factory=set)
    released: Collection[int] = ()
    """In the order of their release, the longest ago first."""


def choose(pool: Subnet, used: Used, *, network: str, reserved: Iterable[IPAddress] = ()) -> IPAddress:
    """Return a free address of the pool: the lowest that nobody ever had, else the one that was released longest ago.

    `reserved` are never chosen; `network` names the network in the error. Raises Exhausted.
    """
    usable = range(int(pool.range.network_address), int(pool.range.broadcast_address) + 1)
    unusable = _unusable(pool, reserved)
    known = (used.held, used.released, unusable)
    fresh = (number for number in usable if not any(number in numbers for numbers in known))
    released = (number for number in used.released if number in usable and number not in unusable)
    found = next(fresh, None) or next(released, None)
    if found is None:
        raise Exhausted(f"no available IPv{pool.subnet.version} addresses on this network's address pools: {network}")
    return _address(pool, found)


def asked(pool: Subnet, address: IPAddress, used: Used, *, reserved: Iterable[IPAddress] = ()) -> IPAddress:
    """Return the address that was asked for; raises AddressInUse if it is somebody's, InvalidInput if it is not of the pool."""
    if address not in pool.subnet:
        raise InvalidInput(f"no configured subnet contains IP address {address}")
    if int(address) in used.held or int(address) in _unusable(pool, reserved):
        raise AddressInUse
    return address


def _unusable(pool: Subnet, reserved: Iterable[IPAddress]) -> set[int]:
    unusable = {*map(int, reserved), *map(int, pool.auxiliary.values()), *([int(pool.gateway)] if pool.gateway else ())}
    if pool.subnet.prefixlen < pool.subnet.max_prefixlen - 1:  # RFC 3021, RFC 6164: a link of two has none of these
        unusable.add(int(pool.subnet.network_address))
        if pool.subnet.version == 4:
            unusable.add(int(pool.subnet.broadcast_address))
    return unusable


def _address(pool: Subnet, number: int) -> IPAddress:
    return ipaddress.IPv4Address(number) if pool.subnet.version == 4 else ipaddress.IPv6Address(number)


def free_subnet(
    candidates: Sequence[ipaddress.IPv4Network],
    used: Iterable[ipaddress.IPv4Network],
) -> ipaddress.IPv4Network:
    """Return the first candidate that overlaps nothing in `used`; raises Exhausted."""
    occupied = tuple(used)
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in occupied):
            return candidate
    raise Exhausted(
        "all predefined address pools overlap addresses or routes of this host: choose the default network's address with --bip"
    )
