"""How much of a network's pools is given out."""

from collections.abc import Collection
from dataclasses import dataclass

from linkspan.model.network import IPNetwork, Subnet
from linkspan.plan.network_config import unusable

_MOST = (1 << 64) - 1
"""What a client of Docker's API can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one pool: addresses that are taken (the network's own, the gateway and others' included), and those that a container may get."""

    subnet: IPNetwork
    taken: int
    available: int


def usage(pool: Subnet, held: Collection[int]) -> Usage:
    """Count; `held` are the addresses that somebody has, as numbers, of this pool or of others."""
    reserved = {int(address) for address in (*unusable(pool.subnet), *pool.auxiliary.values())}
    if pool.gateway is not None:
        reserved.add(int(pool.gateway))
    taken = reserved | {number for number in held if _within(number, pool.subnet)}
    choosable = pool.range.num_addresses - sum(_within(number, pool.range) for number in taken)
    return Usage(subnet=pool.subnet, taken=min(len(taken), _MOST), available=min(choosable, _MOST))


def _within(number: int, subnet: IPNetwork) -> bool:
    return int(subnet.network_address) <= number <= int(subnet.broadcast_address)
