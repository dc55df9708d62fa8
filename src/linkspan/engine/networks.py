"""The networks: the three predefined ones, made at the first start."""

import ipaddress
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.filters import check_keys, label_matches
from linkspan.engine.lookup import Lookup
from linkspan.engine.views import NetworkView, Pruned
from linkspan.errors import Conflict, Forbidden, InvalidInput, Unsupported
from linkspan.kernel import address, route, sysctl
from linkspan.kernel.link import index, is_foreign
from linkspan.kernel.thread import KernelThread
from linkspan.model.network import PREDEFINED, Network, Subnet
from linkspan.plan.addresses import free_subnet
from linkspan.store.base import Store
from linkspan.undo import Undo

logger = logging.getLogger(__name__)

DEFAULT_BRIDGE = "docker0"
OTHER_BRIDGE = "linkspan0"
"""Used when an interface named docker0 exists that is not ours."""
FORWARDING = "net/ipv4/ip_forward"
"""The setting that bridge networks need; the store remembers what it was."""
POOLS = (ipaddress.IPv4Network("172.16.0.0/12"), ipaddress.IPv4Network("192.168.0.0/16"))


def default_subnets() -> tuple[ipaddress.IPv4Network, ...]:
    """The subnets that the default network may get, the best first: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.x.0/20."""
    sixteens = tuple(POOLS[0].subnets(new_prefix=16))[1:]
    return (*sixteens, *POOLS[1].subnets(new_prefix=20))


class Networks:
    """Shows the networks and keeps the predefined ones alive."""

    def __init__(self, config: Config, store: Store, kernel: KernelThread, drivers: Mapping[str, Driver]) -> None:
        self._config = config
        self._store = store
        self._kernel = kernel
        self._drivers = drivers
        self._lookup = Lookup(store)

    def open(self) -> bool:
        """Make the predefined networks on the host, as the settings want them. Runs on the kernel thread.

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
            if self._config.ip_forward:
                self._switch_forwarding_on()  # the rules are there: nothing that they would drop passes
            self._store.put_network(wanted)
        return known is not None and known != wanted

    def _switch_forwarding_on(self) -> None:
        if sysctl.get(FORWARDING) != "1":
            self._store.put_setting(FORWARDING, "0")  # for `purge`
            sysctl.put(FORWARDING, "1")

    async def list(self, filters: Mapping[str, Sequence[str]]) -> list[NetworkView]:
        """Return the networks that pass Docker's filters."""
        views = [self._view(network) for network in self._store.networks()]
        return [view for view in views if _passes(view, filters)]

    async def inspect(self, ref: str) -> NetworkView:
        """Return one network with its members; raises NotFound."""
        return self._view(self._lookup.network(ref))

    async def create(self, name: str, driver: str) -> str:
        """Refuse in Docker's words what Docker refuses, and the rest because it is not there yet."""
        if not name.strip():
            raise InvalidInput("invalid name: name is empty")
        if name in (*PREDEFINED, "default"):
            raise Forbidden(f"operation is not permitted on predefined {name} network ")
        if any(network.name == name for network in self._store.networks()):
            raise Conflict(f"network with name {name} already exists")
        if driver in ("host", "null"):
            raise Forbidden(f'only one instance of "{driver}" network is allowed')
        raise Unsupported(f"cannot create network {name}: this version of linkspan has the predefined networks bridge, host and none only")

    async def remove(self, ref: str) -> None:
        """Refuse: every network there is, is predefined."""
        network = self._lookup.network(ref)
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")

    async def connect(self, ref: str, container: str) -> None:
        """Refuse, after Docker's checks."""
        self._refuse_attachment(ref, container, "cannot connect container to host network - container must be created in host network mode")

    async def disconnect(self, ref: str, container: str) -> None:
        """Refuse, after Docker's checks."""
        self._refuse_attachment(
            ref, container, "cannot disconnect container from host network - container was created in host network mode"
        )

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        """Remove nothing: predefined networks are not pruned."""
        check_keys(filters, ("until", "label", "label!"))
        return Pruned()

    def _refuse_attachment(self, ref: str, container_ref: str, host_text: str) -> None:
        container = self._lookup.container(container_ref)
        network = self._lookup.network(ref)
        mode = container.spec.network.mode.kind
        if mode == "container" or (mode == "host" and network.name != "host"):
            raise InvalidInput(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        if network.name == "host":
            raise InvalidInput(host_text)
        if "none" in (mode, network.name):
            raise InvalidInput("container cannot be connected to multiple networks with one of the networks in private (none) mode")
        raise Unsupported(
            "containers cannot be connected to networks while they exist: this version of linkspan has no user-defined networks"
        )

    def _view(self, network: Network) -> NetworkView:
        endpoints = {endpoint.sandbox: endpoint for endpoint in self._store.endpoints() if endpoint.attached}
        members = (
            (container, endpoints.get(container.id))
            for container in self._store.containers()
            if container.state.running and str(container.spec.network.mode) in (network.name, network.id)
        )
        return NetworkView(network=network, members=tuple(members))

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
        return replace(
            base,
            bridge=bridge,
            subnets=(pool,),
            mtu=config.mtu,
            icc=config.icc,
            masquerade=config.ip_masq,
            default_host_ip=config.ip,
            options={
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": str(config.icc).lower(),
                "com.docker.network.bridge.enable_ip_masquerade": str(config.ip_masq).lower(),
                "com.docker.network.bridge.host_binding_ipv4": str(config.ip),
                "com.docker.network.bridge.name": bridge,
                "com.docker.network.driver.mtu": str(config.mtu),
            },
        )

    def _pool(self, known: Network | None, bridge: str) -> Subnet:
        config = self._config
        own = address.of(bridge) if config.bridge else []
        if config.bip:
            subnet, gateway = config.bip.network, config.bip.ip
        elif own:  # a bridge of the admin's, with an address: that is the network
            subnet, gateway = own[0].network, own[0].ip
        elif (former := _former(known)) and not _overlaps(former.network, _used_elsewhere(bridge)):
            subnet, gateway = former.network, former.ip
        else:
            subnet = free_subnet(default_subnets(), _used_elsewhere(bridge))
            gateway = subnet[1]
        if config.fixed_cidr and not config.fixed_cidr.subnet_of(subnet):
            raise InvalidInput(f"invalid --fixed-cidr {config.fixed_cidr}: parent subnet {subnet} doesn't contain ip-range")
        if config.default_gateway and config.default_gateway not in subnet:
            raise InvalidInput(f"default gateway ip must be part of the network: {config.default_gateway} is not in {subnet}")
        return Subnet(subnet=subnet, gateway=gateway, range=config.fixed_cidr or subnet)

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


def _used_elsewhere(bridge: str) -> tuple[ipaddress.IPv4Network, ...]:
    """What the host's other interfaces are on: by their routes, and by their addresses also while they are down."""
    own = {entry.ip for entry in address.of(bridge)} if index(bridge) is not None else set()
    addresses = (ipaddress.IPv4Network(entry) for entry in address.local() if entry not in own)
    return (*route.connected_subnets(except_interface=bridge), *addresses)


def _former(network: Network | None) -> ipaddress.IPv4Interface | None:
    """Return what the bridge of a network carried."""
    pool = network.pool(4) if network else None
    return ipaddress.IPv4Interface(str(pool.gateway_interface)) if pool else None


def _overlaps(subnet: ipaddress.IPv4Network, others: Sequence[ipaddress.IPv4Network]) -> bool:
    return any(subnet.overlaps(other) for other in others)


def _passes(view: NetworkView, filters: Mapping[str, Sequence[str]]) -> bool:
    check_keys(filters, tuple(_TESTS))
    return all(any(_TESTS[key](view.network, wanted) for wanted in values) for key, values in filters.items() if values)


def _dangling(wanted: str) -> bool:
    if wanted not in ("true", "1", "false", "0"):
        raise InvalidInput('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
    return wanted in ("true", "1")


def _type_matches(wanted: str) -> bool:
    if wanted not in ("builtin", "custom"):
        raise InvalidInput(f"invalid filter: 'type'='{wanted}'")
    return wanted == "builtin"


_TESTS: Mapping[str, Callable[[Network, str], bool]] = {
    "dangling": lambda _, wanted: not _dangling(wanted),
    "driver": lambda network, wanted: network.driver == wanted,
    "id": lambda network, wanted: wanted in network.id,
    "label": lambda network, wanted: label_matches(network.labels, wanted),
    "name": lambda network, wanted: wanted in network.name,
    "scope": lambda _, wanted: wanted == "local",
    "type": lambda _, wanted: _type_matches(wanted),
}
