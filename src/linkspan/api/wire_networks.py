"""Networks on the wire."""

from linkspan.api.times import rfc3339
from linkspan.engine.views import NetworkView
from linkspan.model.network import Network, Subnet
from linkspan.plan import network_options

Json = dict[str, object]


def network_details(view: NetworkView, *, members: bool) -> Json:
    """Render a network; `members` also who is on it, which the list leaves out since API 1.28."""
    network = view.network
    effective = {network_options.MTU: str(network.mtu)} if network.bridge and network.mtu_follows else {}
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {"Driver": network.ipam_driver, "Options": _ipam_options(network), "Config": _pools(network)},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": _members(view) if members else {},
        "Options": {**network.options, **effective},
        "Labels": network.labels,
        **_status(view),
    }


def _status(view: NetworkView) -> Json:
    """How much of each pool is given out (since API 1.52; clients of older ones do not look at it)."""
    if not view.usage:
        return {}
    pools = {str(pool.subnet): {"IPsInUse": pool.taken, "DynamicIPsAvailable": pool.available} for pool in view.usage}
    return {"Status": {"IPAM": {"Subnets": pools}}}


def _pools(network: Network) -> list[Json] | None:
    """host and none have no pools at all: null, as in Docker."""
    return [_pool(subnet) for subnet in network.subnets] or None


def _pool(subnet: Subnet) -> Json:
    shown: Json = {"Subnet": str(subnet.subnet)}
    if subnet.range != subnet.subnet:
        shown["IPRange"] = str(subnet.range)
    if subnet.gateway is not None:
        shown["Gateway"] = str(subnet.gateway)
    if subnet.auxiliary:
        shown["AuxiliaryAddresses"] = {name: str(address) for name, address in subnet.auxiliary.items()}
    return shown


def _ipam_options(network: Network) -> Json | None:
    """The predefined ones have none at all: null, as in Docker."""
    return dict(network.ipam_options) if network.user_defined else None


def _members(view: NetworkView) -> Json:
    return {
        container.id: {
            "Name": container.name,
            "EndpointID": endpoint.id if endpoint else "",
            "MacAddress": endpoint.mac if endpoint else "",
            "IPv4Address": str(endpoint.address) if endpoint and endpoint.address else "",
            "IPv6Address": str(endpoint.address6) if endpoint and endpoint.address6 else "",
        }
        for container, endpoint in view.members
    }
