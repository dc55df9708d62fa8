"""Networks on the wire."""

from linkspan.api.times import rfc3339
from linkspan.engine.views import NetworkView
from linkspan.model.network import Network, Subnet

Json = dict[str, object]


def network_details(view: NetworkView, *, members: bool) -> Json:
    """Render a network; `members` also who is on it, which the list leaves out since API 1.28."""
    network = view.network
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": _pools(network)},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _members(view) if members else {},
        "Options": network.options,
        "Labels": network.labels,
    }


def _pools(network: Network) -> list[Json] | None:
    """host and none have no pools at all: null, as in Docker."""
    return [_pool(subnet) for subnet in network.subnets] or None


def _pool(subnet: Subnet) -> Json:
    limited = {"IPRange": str(subnet.range)} if subnet.range != subnet.subnet else {}
    return {"Subnet": str(subnet.subnet), **limited, "Gateway": str(subnet.gateway)}


def _members(view: NetworkView) -> Json:
    return {
        container.id: {
            "Name": container.name,
            "EndpointID": endpoint.id if endpoint else "",
            "MacAddress": endpoint.mac if endpoint else "",
            "IPv4Address": str(endpoint.address) if endpoint and endpoint.address else "",
            "IPv6Address": "",
        }
        for container, endpoint in view.members
    }
