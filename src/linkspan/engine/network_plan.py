"""From a request to the network that will be: Docker's checks in Docker's order, and what is chosen where nothing is asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from linkspan.config import Config
from linkspan.engine.subnets import Subnets
from linkspan.errors import Conflict, Forbidden, InvalidInput, NotFound
from linkspan.kernel import link, survey
from linkspan.model.network import DEFAULT_MTU, GatewayMode, Network, Subnet
from linkspan.model.network_request import NetworkRequest
from linkspan.plan import network_config, network_options
from linkspan.plan.network_config import Wish
from linkspan.store.base import Store


class Planner:
    """Makes networks out of requests; nothing is changed. Used on the kernel thread."""

    def __init__(self, config: Config, store: Store, subnets: Subnets) -> None:
        self._config = config
        self._store = store
        self._subnets = subnets

    def plan(self, request: NetworkRequest, identity: str, created: int) -> tuple[Network, tuple[str, ...]]:
        """Return the network, and warnings. Raises Docker's errors."""
        network_config.check_driver(request)
        options = self._options(request)
        ipv4, ipv6 = network_config.families(request, options)
        network_config.wishes(request, ipv6=ipv6)
        if not request.name.strip():
            raise InvalidInput("invalid name: name is empty")
        known = self._store.network(request.name)
        if known is not None and known.name == request.name:
            raise Conflict(f"network with name {request.name} already exists")
        network_config.check_configuration(request)
        if request.config_only:
            return self._configuration(request, identity, created), ()
        network_config.check_scope(request, ipv4=ipv4)
        if request.config_from:
            request = network_config.taken_up(request, self._configuration_network(request.config_from))
            options = request.options
            ipv4, ipv6 = network_config.families(request, options)
        return self._bridge(replace(request, options=dict(options), ipv4=ipv4, ipv6=ipv6), identity, created)

    def _options(self, request: NetworkRequest) -> Mapping[str, str]:
        defaults = () if request.config_from else self._config.network_options
        return {**{name: value for driver, name, value in defaults if driver == request.driver}, **request.options}

    def _configuration_network(self, name: str) -> Network:
        found = self._store.network(name)
        if found is None or not found.config_only:
            raise NotFound(f'configuration network "{name}" does not exist')
        return found

    def _configuration(self, request: NetworkRequest, identity: str, created: int) -> Network:
        """A configuration network is nothing but what was asked for."""
        ipv4, ipv6 = network_config.families(request, request.options)
        return Network(
            id=identity,
            name=request.name,
            driver="null",
            created=created,
            config_only=True,
            ipv4=ipv4,
            ipv6=ipv6,
            subnets=tuple(network_config.as_asked(wish) for wish in network_config.wishes(request, ipv6=True)),
            ipam_driver=request.ipam_driver,
            ipam_options=request.ipam_options,
            options=request.options,
            labels=request.labels,
        )

    def _bridge(self, request: NetworkRequest, identity: str, created: int) -> tuple[Network, tuple[str, ...]]:
        ipv4, ipv6 = bool(request.ipv4), bool(request.ipv6)
        if not ipv4 and not ipv6:
            raise InvalidInput("IPv4 or IPv6 must be enabled")
        base = Network(
            id=identity,
            name=request.name,
            driver=request.driver,
            created=created,
            bridge=f"br-{identity[:12]}",
            ipv4=ipv4,
            ipv6=ipv6,
            internal=request.internal,
            mtu=self._config.mtu or DEFAULT_MTU,
            mtu_follows=not self._config.mtu,
            default_host_ip=self._config.ip,
            attachable=request.attachable,
            ipam_driver="default" if request.ipam_driver == "default" else "none",
            ipam_options=request.ipam_options,
            config_from=request.config_from,
            labels=request.labels,
        )
        shaped = network_options.with_options(base, request.options)
        network = replace(shaped, subnets=self._pools(request, shaped), adopted=self._adopts(shaped)).fitted(self._egress_mtu())
        self._check_bridge(network)
        return network, (*network_options.unknown(request.options), *self._overlaps(network))

    def _egress_mtu(self) -> int | None:
        """What the default network follows need not be looked for again, in a table with the routes of all networks."""
        default = self._store.network("bridge")
        return default.mtu if default and default.mtu_follows else survey.egress_mtu()

    def _pools(self, request: NetworkRequest, network: Network) -> tuple[Subnet, ...]:
        """Return one pool for each family, IPv4 first; raises Docker's errors."""
        if network.ipam_driver == "none":
            return ()
        wanted = network_config.wishes(request, ipv6=network.ipv6)
        pools = []
        for version, enabled in ((4, network.ipv4), (6, network.ipv6)):
            wishes = [wish for wish in wanted if wish.version == version] if enabled else []
            if len(wishes) > 1:
                raise Forbidden("bridge driver doesn't support multiple subnets")
            if enabled:
                wish = wishes[0] if wishes else Wish(version=version)
                network_config.check_subnet(wish.subnet)
                pools.append(
                    network_config.pool(wish, self._subnets.subnet(wish), gateway=network.mode(version) is not GatewayMode.ISOLATED)
                )
        return tuple(pools)

    def _overlaps(self, network: Network) -> Iterator[str]:
        """Say what the host has of a subnet that was asked for: Docker takes it, and who asks may know what for."""
        for pool in () if network.adopted else network.subnets:
            if found := self._subnets.overlap(pool.subnet):
                yield f"the subnet {pool.subnet} overlaps what this host uses already ({found}): one of the two may not be reached"

    def _adopts(self, network: Network) -> bool:
        """Whether the bridge is there already, and somebody else's."""
        return network_options.NAME in network.options and link.is_foreign(network.bridge)

    def _check_bridge(self, network: Network) -> None:
        if network_options.NAME not in network.options:
            return
        if network.adopted and not link.is_bridge(network.bridge):
            raise Conflict(f"existing interface {network.bridge} is not a bridge")
        for other in self._store.networks():
            if other.bridge == network.bridge:
                raise Forbidden(
                    f"cannot create network {network.id} ({network.bridge}): conflicts with network {other.id} ({other.bridge}): "
                    "networks have same bridge name"
                )
