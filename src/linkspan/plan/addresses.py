"""Which address, which subnet: pure choices out of what is taken."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from linkspan.errors import Exhausted
from linkspan.model.network import Subnet


def choose(
    pool: Subnet,
    taken: Mapping[ipaddress.IPv4Address, int | None],
    *,
    network: str,
) -> ipaddress.IPv4Address:
    """Return a free address of the pool: the lowest that nobody ever had, else the one that was released longest ago.

    `taken` maps every address that was ever given to None while somebody holds it, else to the sequence number of its
    release; `network` names the network in the error. Raises Exhausted.
    """
    released: list[tuple[int, ipaddress.IPv4Address]] = []
    for address in _candidates(pool):
        if address not in taken:
            return address
        sequence = taken[address]
        if sequence is not None:
            released.append((sequence, address))
    if not released:
        raise Exhausted(f"no available IPv4 addresses on this network's address pools: {network}")
    return min(released)[1]


def _candidates(pool: Subnet) -> Iterator[ipaddress.IPv4Address]:
    """Every address of the pool's range that an interface can have: not the network's, broadcast's and gateway's."""
    unusable = {pool.gateway}
    if pool.subnet.prefixlen < 31:  # RFC 3021: a /31 has neither of them
        unusable |= {pool.subnet.network_address, pool.subnet.broadcast_address}
    return (address for address in pool.range if address not in unusable)


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
