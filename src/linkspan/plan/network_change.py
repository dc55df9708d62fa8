"""What becomes of a network, and of the endpoints on it, by an update."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from linkspan.errors import InvalidInput
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import LEAST_MTU6, IPNetwork, Network, Subnet
from linkspan.model.network_update import NetworkUpdate
from linkspan.plan import dns_options
from linkspan.plan.network_options import BRIDGE, MTU


def changed(network: Network, update: NetworkUpdate) -> Network:
    """Return the network as the update wants it; raises InvalidInput for what it cannot become."""
    labels = {name: value for name, value in (network.labels | update.labels).items() if name not in update.labels_gone}
    made = replace(network, labels=labels)
    if update.servers is not None:
        others = {name: value for name, value in made.options.items() if name != dns_options.SERVERS}
        made = replace(made, options={**others, dns_options.SERVERS: ",".join(update.servers)} if update.servers else others)
        dns_options.check(made.options)
    if update.icc is not None:
        made = replace(made, icc=update.icc, options={**made.options, f"{BRIDGE}enable_icc": str(update.icc).lower()})
    if update.mtu is not None:
        made = _resized(made, update.mtu)
    return _grown(made, update.subnet) if update.subnet is not None else made


def moved(endpoint: Endpoint, network: Network) -> Endpoint:
    """Return an endpoint with its addresses, and the lengths of the network's subnets."""
    four, six = network.pool(4), network.pool(6)
    if four and endpoint.address:
        endpoint = replace(endpoint, address=IPv4Interface((endpoint.address.ip, four.subnet.prefixlen)))
    if six and endpoint.address6:
        endpoint = replace(endpoint, address6=IPv6Interface((endpoint.address6.ip, six.subnet.prefixlen)))
    return endpoint


def _resized(network: Network, mtu: int) -> Network:
    others = {name: value for name, value in network.options.items() if name != MTU}
    if mtu == 0:
        return replace(network, mtu_follows=True, options=others)
    if network.ipv6 and mtu < LEAST_MTU6:
        raise InvalidInput(f"invalid MTU number: {mtu}: IPv6 needs {LEAST_MTU6} at least")
    return replace(network, mtu=mtu, mtu_follows=False, options={**others, MTU: str(mtu)})


def _grown(network: Network, subnet: IPNetwork) -> Network:
    former = network.pool(subnet.version)
    if former is None:
        raise InvalidInput(f"network {network.name} has no IPv{subnet.version} subnet")
    if not former.subnet.subnet_of(subnet):  # type: ignore[arg-type]  # of one family
        raise InvalidInput(f"the new subnet must contain the old one: {former.subnet} is not in {subnet}")
    return replace(network, subnets=tuple(_larger(pool, subnet) if pool is former else pool for pool in network.subnets))


def _larger(pool: Subnet, subnet: IPNetwork) -> Subnet:
    within = subnet if pool.range == pool.subnet else pool.range
    return replace(pool, subnet=subnet, range=within)
