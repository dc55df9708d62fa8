"""The subnets that are taken, by our networks and by the host, and the choice of free ones. Used on the kernel thread."""

import hashlib
from collections.abc import Iterable
from ipaddress import ip_network

from linkspan.config import Config
from linkspan.errors import Forbidden, InvalidInput
from linkspan.kernel.link import name_of
from linkspan.kernel.territory import Place, Territory
from linkspan.model.network import IPNetwork, Network
from linkspan.plan.files import is_address
from linkspan.plan.network_config import Wish
from linkspan.plan.pools import DEFAULT_POOLS, Chooser, Prefixes, unique_local
from linkspan.resolver.hostfile import host_resolver

OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


class Subnets:
    """Knows what is taken; told of every network that comes and goes."""

    def __init__(self, config: Config, identity: str) -> None:
        """`identity` is the engine's, which no other one has: its unique local addresses follow from it."""
        self._ours = Prefixes()
        self._resolv_conf = config.resolv_conf
        self._host = Prefixes()
        self._territory = Territory()
        self._names: dict[IPNetwork, str] = {}
        self._bridges: set[str] = set()
        self._news: list[Place] = []
        """What has come on the host, and nobody has looked at."""
        self._reserved = Prefixes(config.reserved_subnets)
        given = config.address_pools
        four = [pool for pool in given if pool.base.version == 4] or DEFAULT_POOLS
        six = [pool for pool in given if pool.base.version == 6] or [unique_local(hashlib.sha256(identity.encode()).digest())]
        self._chooser = Chooser((*four, *six))

    def load(self, networks: Iterable[Network]) -> None:
        """Learn what there is."""
        for network in networks:
            self.add(network)

    def add(self, network: Network) -> None:
        """Take the subnets of a network, which is being made."""
        self._bridges.add(network.bridge)
        for subnet in _held(network):
            self._ours.add(subnet)
            self._names[subnet] = network.name

    def remove(self, network: Network) -> None:
        """Give the subnets of a network back."""
        self._bridges.discard(network.bridge)
        for subnet in _held(network):
            self._ours.discard(subnet)
            self._names.pop(subnet, None)
            self._chooser.freed(subnet)

    def replace(self, former: Network, network: Network) -> None:
        """Take the subnets of a network in place of those that it had; raises Forbidden if another network has one of them."""
        self.remove(former)
        if any(self._ours.overlapping(subnet) for subnet in _held(network)):
            self.add(former)
            raise Forbidden(OVERLAP)
        self.add(network)

    def subnet(self, wish: Wish) -> IPNetwork:
        """Return the subnet that is asked for, or a free one; raises Forbidden if another network has it, InvalidInput if none is free."""
        if wish.subnet is None:
            return self._free(wish)
        if self._ours.overlapping(wish.subnet):
            raise Forbidden(OVERLAP)
        return wish.subnet

    def overlap(self, subnet: IPNetwork) -> IPNetwork | None:
        """Return what the host uses of a subnet that is none of ours yet, None if nothing."""
        return self._taken_by_host(anew=False).overlapping(subnet)

    @property
    def fd(self) -> int:
        """A descriptor that can be read when something may have changed on the host."""
        return self._territory.fd

    def intruders(self) -> list[str]:
        """Return a sentence for each route and address that has come since the last time and overlaps one of our networks."""
        self._taken_by_host(anew=False)
        news, self._news = self._news, []
        found = []
        for place in news:
            ours = self._ours.overlapping(place.subnet)
            if ours is not None and (interface := name_of(place.interface)) not in self._bridges:
                what = f"the route to {place.subnet}" if place.table else f"the address {place.subnet.network_address}"
                where = f" by {interface}" if interface else ""
                found.append(f"{what}{where} overlaps the subnet {ours} of network {self._names[ours]}")
        return list(dict.fromkeys(found))

    def _free(self, wish: Wish) -> IPNetwork:
        """Choose; before it is said that nothing is free, the host is asked anew: of some routes that go nobody is told."""
        named = (server.partition("%")[0] for server in host_resolver(self._resolv_conf).servers)
        servers = Prefixes(ip_network(server) for server in named if is_address(server))
        try:
            return self._chooser.choose(wish.version, (self._ours, self._reserved, self._taken_by_host(anew=False), servers), wish.prefix)
        except InvalidInput:
            return self._chooser.choose(wish.version, (self._ours, self._reserved, self._taken_by_host(anew=True), servers), wish.prefix)

    def _taken_by_host(self, *, anew: bool) -> Prefixes:
        came, went = self._territory.changes(anew=anew)
        for place in came:
            self._host.add(place.subnet)
        for place in went:
            self._host.discard(place.subnet)
            self._chooser.freed(place.subnet)
        self._news += came
        return self._host


def _held(network: Network) -> Iterable[IPNetwork]:
    return () if network.config_only else (pool.subnet for pool in network.subnets)
