"""Endpoints on the wire: a container's `NetworkSettings`."""

from linkspan.api.wire_publish import ports_map
from linkspan.engine.views import ContainerView
from linkspan.model.container import NetworkMode
from linkspan.model.endpoint import Endpoint

Json = dict[str, object]


def network_settings(view: ContainerView) -> Json:
    """Render NetworkSettings of inspect: the fields at the top are those of the default bridge's endpoint."""
    container = view.container
    default = container.spec.network.mode.kind == "bridge"
    return {
        "Bridge": "",
        "SandboxID": container.sandbox,
        "SandboxKey": view.sandbox_key,
        "Ports": ports_map(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **_addresses(view.endpoint if default else None),
        "Networks": networks(view),
    }


def networks(view: ContainerView) -> dict[str, Json]:
    """Render the networks that a container is on; the one of its mode also while it does not run, none in container mode."""
    spec, endpoint = view.container.spec.network, view.endpoint
    if spec.mode.kind == "container":
        return {}
    rendered: Json = {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": view.network.id if view.network and view.container.state.running else "",
        **_addresses(endpoint),
        "DNSNames": None,
    }
    if not endpoint and spec.mac:
        rendered["MacAddress"] = spec.mac
    return {network_name(view, spec.mode): rendered}


def network_name(view: ContainerView, mode: NetworkMode) -> str:
    """Return the name of the network that the mode means; it may have been given as an id."""
    return view.network.name if view.network else str(mode)


def _addresses(endpoint: Endpoint | None) -> Json:
    address = endpoint.address if endpoint else None
    return {
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": str(endpoint.gateway or "") if endpoint else "",
        "IPAddress": str(address.ip) if address else "",
        "IPPrefixLen": address.network.prefixlen if address else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": endpoint.mac if endpoint else "",
    }
