"""The subnets that are taken, by our networks and by the host, and the choice of free ones. Used on the kernel thread."""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Network

from linkspan.config import Config
from linkspan.errors import Forbidden
from linkspan.kernel import address, route
from linkspan.model.network import IPNetwork, Network
from linkspan.plan.network_config import Wish
from linkspan.plan.pools import DEFAULT_POOLS, Chooser, Prefixes, unique_local

OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


class Subnets:
    """Knows what is taken; told of every network that comes and goes."""

    def __init__(self, config: Config) -> None:
        self._ours = Prefixes()
        self._reserved = Prefixes(config.reserved_subnets)
        identity = hashlib.sha256(str(config.data_root).encode()).digest()
        given = config.address_pools
        four = [pool for pool in given if pool.base.version == 4] or DEFAULT_POOLS
        six = [pool for pool in given if pool.base.version == 6] or [unique_local(identity)]
        self._chooser = Chooser((*four, *six))

    def load(self, networks: Iterable[Network]) -> None:
        """Learn what there is."""
        for network in networks:
            self.add(network)

    def add(self, network: Network) -> None:
        """Take the subnets of a network, which is being made."""
        for subnet in _held(network):
            self._ours.add(subnet)

    def remove(self, network: Network) -> None:
        """Give the subnets of a network back."""
        for subnet in _held(network):
            self._ours.discard(subnet)
        self._chooser.freed()

    def subnet(self, wish: Wish) -> IPNetwork:
        """Return the subnet that is asked for, or a free one; raises Forbidden if another network has it, InvalidInput if none is free."""
        if wish.subnet is None:
            return self._chooser.choose(wish.version, (self._ours, self._reserved, self._host()), wish.prefix)
        if self._ours.overlapping(wish.subnet):
            raise Forbidden(OVERLAP)
        return wish.subnet

    def _host(self) -> Prefixes:
        return Prefixes((*route.connected_subnets(""), *(IPv4Network(entry) for entry in address.local())))


def _held(network: Network) -> Iterable[IPNetwork]:
    return () if network.config_only else (pool.subnet for pool in network.subnets)
