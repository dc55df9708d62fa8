"""Which subnet a network gets: the first free one of the pools. What is taken is indexed, so that no choice costs more because
there are many networks or routes."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from linkspan.config import AddressPool
from linkspan.errors import InvalidInput
from linkspan.model.network import IPNetwork

DEFAULT_POOLS = (
    *(AddressPool(base=subnet, size=24) for subnet in tuple(IPv4Network("172.16.0.0/12").subnets(new_prefix=16))[2:]),
    AddressPool(base=IPv4Network("192.168.0.0/16"), size=24),
)
"""172.18.0.0/24 to 172.31.255.0/24 and 192.168.0.0/24 to 192.168.255.0/24: 3,840 networks. 172.17.0.0/16 is the default bridge's."""


class Prefixes:
    """Subnets of both families, which may be in one another and there more than once; finds what overlaps with one.

    Two subnets overlap only if one is in the other. So whatever overlaps begins within, or is one of the few that can be around.
    """

    def __init__(self, subnets: Iterable[IPNetwork] = ()) -> None:
        self._counts: Counter[IPNetwork] = Counter()
        self._firsts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        self._lengths: dict[int, Counter[int]] = {4: Counter(), 6: Counter()}
        for subnet in subnets:
            self.add(subnet)

    def add(self, subnet: IPNetwork) -> None:
        """Add a subnet, once more if it is there."""
        self._counts[subnet] += 1
        if self._counts[subnet] == 1:
            insort(self._firsts[subnet.version], (int(subnet.network_address), subnet.prefixlen))
            self._lengths[subnet.version][subnet.prefixlen] += 1

    def discard(self, subnet: IPNetwork) -> None:
        """Take a subnet away once; one that is not there is no error."""
        if subnet not in self._counts:
            return
        self._counts[subnet] -= 1
        if self._counts[subnet] == 0:
            del self._counts[subnet]
            firsts, key = self._firsts[subnet.version], (int(subnet.network_address), subnet.prefixlen)
            del firsts[bisect_left(firsts, key)]
            lengths = self._lengths[subnet.version]
            lengths[subnet.prefixlen] -= 1
            if not lengths[subnet.prefixlen]:
                del lengths[subnet.prefixlen]

    def overlapping(self, subnet: IPNetwork) -> IPNetwork | None:
        """Return the largest that the subnet is in, else the first that is in it, None if nothing overlaps."""
        for length in sorted(self._lengths[subnet.version]):
            if length > subnet.prefixlen:
                break
            around = subnet.supernet(new_prefix=length)
            if around in self._counts:
                return around
        firsts, first = self._firsts[subnet.version], int(subnet.network_address)
        place = bisect_left(firsts, (first, 0))
        if place < len(firsts) and firsts[place][0] <= int(subnet.broadcast_address):
            return type(subnet)(firsts[place])
        return None


class Chooser:
    """Chooses subnets out of pools; remembers how far each pool is used up."""

    def __init__(self, pools: Sequence[AddressPool]) -> None:
        self._pools = tuple(pools)
        self._floors: dict[AddressPool, int] = {}

    def choose(self, version: int, taken: Sequence[Prefixes], prefix: int | None = None) -> IPNetwork:
        """Return the first subnet of a family that overlaps nothing, of `prefix` if one is given. Raises InvalidInput."""
        for pool in self._pools:
            if pool.base.version != version:
                continue
            wanted = pool if prefix is None else AddressPool(base=pool.base, size=max(prefix, pool.base.prefixlen))
            if prefix is None or prefix >= pool.base.prefixlen:
                found = self._first(wanted, taken)
                if found is not None:
                    return found
        raise InvalidInput("all predefined address pools have been fully subnetted")

    def freed(self, subnet: IPNetwork) -> None:
        """Look there again: something that overlapped it is not taken any more."""
        for pool, floor in self._floors.items():
            if pool.base.overlaps(subnet):
                slot = (int(subnet.network_address) - int(pool.base.network_address)) >> (pool.base.max_prefixlen - pool.size)
                self._floors[pool] = min(floor, max(slot, 0))

    def _first(self, pool: AddressPool, taken: Sequence[Prefixes]) -> IPNetwork | None:
        bits = pool.base.max_prefixlen - pool.size
        first, slot, slots = int(pool.base.network_address), self._floors.get(pool, 0), 1 << (pool.size - pool.base.prefixlen)
        kind: type[IPv4Network] | type[IPv6Network] = type(pool.base)
        while slot < slots:
            candidate = kind((first + (slot << bits), pool.size))
            hits = [hit for prefixes in taken if (hit := prefixes.overlapping(candidate)) is not None]
            if not hits:
                self._floors[pool] = slot
                return candidate
            beyond = max(int(hit.broadcast_address) for hit in hits) + 1 - first
            slot = max(slot + 1, -(-beyond >> bits) if beyond > 0 else 0)
        self._floors[pool] = slots
        return None


def unique_local(identity: bytes) -> AddressPool:
    """Return the pool of the IPv6 subnets of networks that name none: a /48 of fd00::/8 (RFC 4193) that is this engine's alone.

    `identity` is a hash of what never changes of the engine.
    """
    return AddressPool(base=IPv6Network((int.from_bytes(b"\xfd" + identity[:5] + bytes(10), "big"), 48)), size=64)
