"""What the resolver is told of a container: its names on its networks, and what holds for its own questions. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from linkspan.config import Config
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import IPAddress, Network
from linkspan.plan import dns_options
from linkspan.plan.interfaces import Candidate, preferred
from linkspan.resolver import units
from linkspan.resolver.units import Server, Unit

_ID = re.compile(r"[0-9a-f]{64}")
HOST_NAMES = ("host.docker.internal", "gateway.docker.internal")
"""The host as its containers see it: the gateway of their own network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A sandbox with what is attached to it now."""

    container: Container
    """Whose it is; another one that runs in it, if that one has been removed."""
    sandbox: str
    attached: Sequence[tuple[Network, Endpoint]]
    host_options: Sequence[str] = ()
    """The options of the host's resolv.conf."""


def has_names(network: Network, config: Config) -> bool:
    """Whether containers on the network know each other by name."""
    return network.user_defined or (config.default_bridge_dns and network.name == "bridge")


def is_served(attached: Iterable[tuple[Network, Endpoint]], config: Config) -> bool:
    """Whether the sandbox's questions come to us: one of its networks has names."""
    return any(has_names(network, config) for network, _ in attached)


def told(place: Place, config: Config) -> list[Unit]:
    """Return all units that are this container's, its networks included."""
    named = [(network, endpoint) for network, endpoint in place.attached if has_names(network, config)]
    networks = [units.Network(id=network.id, name=network.name) for network, _ in named]
    members = [_member(place, network, endpoint) for network, endpoint in named]
    return [*networks, *members, _sandbox(place, config)]


def in_order(place: Place) -> list[Network]:
    """Return the networks in the order of gateway preference, in which names are looked up too."""
    wishes = ((attachment_to(place.container, network), network, endpoint) for network, endpoint in place.attached)
    candidates = (
        Candidate(endpoint=endpoint, network=network, priority=wish.gateway_priority if wish else 0) for wish, network, endpoint in wishes
    )
    return [candidate.network for candidate in preferred(candidates)]


def attachment_to(container: Container, network: Network) -> Attachment | None:
    """Return what the container asked of this network."""
    known = (network.id, network.name)
    return next((wish for wish in container.attachments if wish.network in known or wish.name == network.name), None)


def names_of(container: Container, network: Network) -> tuple[str, ...]:
    """Return the names that others on the network know the container by, its own name first."""
    wish = attachment_to(container, network)
    aliases = wish.aliases if wish else ()
    return tuple(dict.fromkeys(filter(None, (container.name, *aliases, container.short_id, container.spec.hostname))))


def _member(place: Place, network: Network, endpoint: Endpoint) -> units.Member:
    names = names_of(place.container, network) if place.container.id == place.sandbox else ()
    return units.Member(id=endpoint.id, network=network.id, names=_fit(names), addresses=tuple(map(str, endpoint.ips)))


def _sandbox(place: Place, config: Config) -> units.Sandbox:
    networks = in_order(place)
    named = [network for network in networks if has_names(network, config)]
    return units.Sandbox(
        id=place.sandbox,
        networks=tuple(network.id for network in named),
        links={network.id: links for network in named if (links := _links(place.container, network))},
        names=_host_names(named, config),
        servers=_servers(place, config, networks),
        routes=_routes(config, networks),
        external=any(not network.internal for network in networks),
        short_names_stay=ndots_set(place.container, config, place.host_options),
        lifetime=config.dns_ttl,
    )


def ndots_set(container: Container, config: Config, host_options: Sequence[str]) -> bool:
    """Whether somebody chose ndots: then a name without a dot is completed by the search list, and not asked for elsewhere."""
    options = container.spec.network.dns_options or config.dns_options or host_options
    return any(option.startswith("ndots:") and option != "ndots:0" for option in options)


def _links(container: Container, network: Network) -> dict[str, str]:
    """Return alias → name; of an id, the short one is a name that no rename takes away."""
    wish = attachment_to(container, network)
    return {alias: target[:12] if _ID.fullmatch(target) else target for target, alias in wish.links} if wish else {}


def _host_names(networks: Sequence[Network], config: Config) -> dict[str, tuple[str, ...]]:
    if not config.host_docker_internal:
        return {}
    gateways = next((found for network in networks if (found := _gateways(network))), ())
    host = (config.host_gateway_ip,) if config.host_gateway_ip else gateways
    named = zip(HOST_NAMES, (host, gateways), strict=True)
    return {name: tuple(map(str, addresses)) for name, addresses in named if addresses}


def _gateways(network: Network) -> tuple[IPAddress, ...]:
    """Return the host's own addresses on a network, which its containers reach the host by."""
    return tuple(address.ip for address in network.bridge_addresses) if network.addressed else ()


def _servers(place: Place, config: Config, networks: Sequence[Network]) -> tuple[Server, ...] | None:
    """Return whom to ask; None: the host's servers, whoever they are by then."""
    if own := place.container.spec.network.dns or config.dns:
        return tuple(Server(address=each, inside=True) for each in own)
    by_network = chain.from_iterable(dns_options.servers(network.options) for network in networks)
    return tuple(Server(address=each) for each in dict.fromkeys(by_network)) or None


def _routes(config: Config, networks: Sequence[Network]) -> dict[str, tuple[str, ...]]:
    routes: dict[str, tuple[str, ...]] = {}
    of_networks = chain.from_iterable(dns_options.routes(network.options) for network in networks)
    for domain, server in (*(each.split("=", 1) for each in config.dns_routes), *of_networks):
        routes[domain] = tuple(dict.fromkeys((*routes.get(domain, ()), server)))
    return routes


def _fit(names: Sequence[str]) -> tuple[str, ...]:
    """Leave out names that nobody can ask for."""
    return tuple(name for name in names if len(name) <= units.LONGEST)[: units.MOST]
