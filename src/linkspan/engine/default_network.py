"""The three predefined networks: made at the first start, and kept as the settings want them."""

import ipaddress
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.forwarding import Forwarding
from linkspan.errors import Conflict, Forbidden, InvalidInput
from linkspan.kernel import address, route, survey
from linkspan.kernel.link import index, is_foreign
from linkspan.model.network import Network, Subnet
from linkspan.plan import network_options
from linkspan.plan.addresses import free_subnet
from linkspan.store.base import Store
from linkspan.undo import Undo

logger = logging.getLogger(__name__)

DEFAULT_BRIDGE = "docker0"
OTHER_BRIDGE = "linkspan0"
"""Used when an interface named docker0 exists that is not ours."""
POOLS = (ipaddress.IPv4Network("172.16.0.0/12"), ipaddress.IPv4Network("192.168.0.0/16"))


def default_subnets() -> tuple[ipaddress.IPv4Network, ...]:
    """The subnets that the default network may get, the best first: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.x.0/20."""
    sixteens = tuple(POOLS[0].subnets(new_prefix=16))[1:]
    return (*sixteens, *POOLS[1].subnets(new_prefix=20))


class Predefined:
    """Keeps the predefined networks alive. Used on the kernel thread."""

    def __init__(self, config: Config, store: Store, drivers: Mapping[str, Driver]) -> None:
        self._config = config
        self._store = store
        self._drivers = drivers
        self._forwarding = Forwarding(config, store)

    def open(self) -> bool:
        """Make the predefined networks on the host, as the settings want them.

        Tells whether one has changed since the last engine: the ruleset still holds what it was.
        """
        self._keep("host", "host")
        self._keep("none", "null")
        if self._config.bridge == "none":
            return False
        if self._config.bridge and index(self._config.bridge) is None:
            raise Forbidden(f"bridge device with non default name {self._config.bridge} must be created manually")
        known = self._store.network("bridge")
        wanted = self._default_network(known)
        if known and known.subnets != wanted.subnets:
            self._renumber(known, wanted)
        with Undo() as undo:
            driver = self._drivers[wanted.driver]
            driver.validate(wanted)
            driver.create(wanted, undo)
            self._forwarding.need(wanted)  # the rules are there: nothing that they would drop passes
            self._store.put_network(wanted)
        return known is not None and known != wanted

    def _keep(self, name: str, driver: str) -> None:
        if self._store.network(name) is None:
            self._store.put_network(Network(id=os.urandom(32).hex(), name=name, driver=driver, created=time.time_ns()))

    def _default_network(self, known: Network | None) -> Network:
        config = self._config
        bridge = config.bridge or (OTHER_BRIDGE if is_foreign(DEFAULT_BRIDGE) else DEFAULT_BRIDGE)
        if bridge == OTHER_BRIDGE:
            logger.warning("an interface %s exists that is not ours: the default network uses %s", DEFAULT_BRIDGE, OTHER_BRIDGE)
        pool = self._pool(known, bridge)
        base = known or Network(id=os.urandom(32).hex(), name="bridge", driver="bridge", created=time.time_ns(), bridge=bridge)
        made = replace(
            base,
            bridge=bridge,
            subnets=(pool,),
            mtu=config.mtu or base.mtu,
            mtu_follows=not config.mtu,
            icc=config.icc,
            masquerade=config.ip_masq,
            default_host_ip=config.ip,
            options={
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": str(config.icc).lower(),
                "com.docker.network.bridge.enable_ip_masquerade": str(config.ip_masq).lower(),
                "com.docker.network.bridge.host_binding_ipv4": str(config.ip),
                "com.docker.network.bridge.name": bridge,
            },
        ).fitted(survey.egress_mtu())
        return replace(made, options=made.options | {network_options.MTU: str(made.mtu)})

    def _pool(self, known: Network | None, bridge: str) -> Subnet:
        config = self._config
        own = address.of(bridge) if config.bridge else []
        if config.bip:
            subnet, gateway = config.bip.network, config.bip.ip
        elif own:  # a bridge of the admin's, with an address: that is the network
            subnet, gateway = own[0].network, own[0].ip
        elif (former := _former(known)) and not _overlaps(former.network, self._used_elsewhere(bridge)):
            subnet, gateway = former.network, former.ip
        else:
            subnet = free_subnet(default_subnets(), self._used_elsewhere(bridge))
            gateway = subnet[1]
        if config.fixed_cidr and not config.fixed_cidr.subnet_of(subnet):
            raise InvalidInput(f"invalid --fixed-cidr {config.fixed_cidr}: parent subnet {subnet} doesn't contain ip-range")
        if config.default_gateway and config.default_gateway not in subnet:
            raise InvalidInput(f"default gateway ip must be part of the network: {config.default_gateway} is not in {subnet}")
        return Subnet(subnet=subnet, gateway=gateway, range=config.fixed_cidr or subnet)

    def _used_elsewhere(self, bridge: str) -> tuple[ipaddress.IPv4Network, ...]:
        """Where other networks are, and the host's other interfaces: by their routes, and by their addresses also while they are down."""
        own = {entry.ip for entry in address.of(bridge)} if index(bridge) is not None else set()
        addresses = (ipaddress.IPv4Network(entry) for entry in address.local() if entry not in own)
        pools = (network.pool(4) for network in self._store.networks() if network.user_defined)
        networks = (pool.subnet for pool in pools if pool and isinstance(pool.subnet, ipaddress.IPv4Network))
        return (*route.connected_subnets(except_interface=bridge), *addresses, *networks)

    def _renumber(self, known: Network, wanted: Network) -> None:
        if known.subnets[0].subnet == wanted.subnets[0].subnet and known.subnets[0].gateway == wanted.subnets[0].gateway:
            return  # only the range that is given out of has changed
        if any(endpoint.network == known.id and endpoint.attached for endpoint in self._store.endpoints()):
            raise Conflict(
                f"the default network cannot move from {known.subnets[0].subnet} to {wanted.subnets[0].subnet} "
                "while containers are on it: stop them first"
            )
        for endpoint in self._store.endpoints():
            if endpoint.network == known.id:
                self._store.delete_endpoint(endpoint.id)
        self._store.forget_addresses(known.id)


def _former(network: Network | None) -> ipaddress.IPv4Interface | None:
    """Return what the bridge of a network carried."""
    pool = network.pool(4) if network else None
    return ipaddress.IPv4Interface(str(pool.gateway_interface)) if pool else None


def _overlaps(subnet: ipaddress.IPv4Network, others: Sequence[ipaddress.IPv4Network]) -> bool:
    return any(subnet.overlaps(other) for other in others)
