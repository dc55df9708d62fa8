"""Which address, which subnet: pure choices out of what is taken."""

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from linkspan.errors import Exhausted
from linkspan.model.network import Subnet


@dataclass(frozen=True, slots=True)
class Used:
    """The addresses that a network ever gave, as numbers: a pool may have a million."""

    held: AbstractSet[int] = field(default_factory=set)
    released: Collection[int] = ()
    """In the order of their release, the longest ago first."""


def choose(pool: Subnet, used: Used, *, network: str, reserved: Iterable[ipaddress.IPv4Address] = ()) -> ipaddress.IPv4Address:
    """Return a free address of the pool: the lowest that nobody ever had, else the one that was released longest ago.

    `reserved` are never chosen; `network` names the network in the error. Raises Exhausted.
    """
    usable = range(int(pool.range.network_address), int(pool.range.broadcast_address) + 1)
    unusable = {*map(int, reserved), *map(int, pool.auxiliary.values()), *([int(pool.gateway)] if pool.gateway else ())}
    if pool.subnet.prefixlen < 31:  # RFC 3021: a /31 has neither of them
        unusable |= {int(pool.subnet.network_address), int(pool.subnet.broadcast_address)}
    known = (used.held, used.released, unusable)
    fresh = (number for number in usable if not any(number in numbers for numbers in known))
    released = (number for number in used.released if number in usable and number not in unusable)
    found = next(fresh, None) or next(released, None)
    if found is None:
        raise Exhausted(f"no available IPv4 addresses on this network's address pools: {network}")
    return ipaddress.IPv4Address(found)


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
