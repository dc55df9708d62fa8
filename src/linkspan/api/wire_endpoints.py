"""Endpoints on the wire: a container's `NetworkSettings`."""

from linkspan.api.wire_publish import ports_map
from linkspan.engine.views import ContainerView, NetworkSeat
from linkspan.model.attachment import Attachment
from linkspan.model.endpoint import Endpoint, address_text

Json = dict[str, object]


def network_settings(view: ContainerView, *, aliases_have_names: bool = False) -> Json:
    """Render NetworkSettings of inspect: the fields at the top are those of the default bridge's endpoint.

    Before there was DNSNames (API 1.45), Aliases had the short id and the host name too.
    """
    container = view.container
    default = next((seat.endpoint for seat in view.seats if seat.network and seat.network.name == "bridge"), None)
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
        **_addresses(default),
        "Networks": networks(view, aliases_have_names=aliases_have_names),
    }


def networks(view: ContainerView, *, aliases_have_names: bool = False) -> dict[str, Json]:
    """Render the networks that a container is on, also while it does not run; none in container mode."""
    rendered = {_name(seat): _seat(view, seat) for seat in view.seats}
    for seat in view.seats if aliases_have_names else ():
        if names := dns_names(view, seat):
            rendered[_name(seat)]["Aliases"] = names[1:]
    return rendered


def _name(seat: NetworkSeat) -> str:
    return seat.network.name if seat.network else seat.attachment.name or seat.attachment.network


def _seat(view: ContainerView, seat: NetworkSeat) -> Json:
    asked = seat.attachment
    rendered: Json = {
        "IPAMConfig": _asked_addresses(asked),
        "Links": [f"{target}:{alias}" for target, alias in asked.links] or None,
        "Aliases": list(asked.aliases) or None,
        "DriverOpts": asked.options or None,
        "GwPriority": asked.gateway_priority,
        "NetworkID": seat.network.id if seat.network and view.container.state.running else "",
        **_addresses(seat.endpoint),
        "DNSNames": dns_names(view, seat),
    }
    if not seat.endpoint and asked.mac:
        rendered["MacAddress"] = asked.mac
    return rendered


def dns_names(view: ContainerView, seat: NetworkSeat) -> list[str] | None:
    """Return the names that the container has on a network: none on the predefined ones."""
    if seat.network is None or not seat.network.user_defined:
        return None
    container = view.container
    hostname = view.hostname or container.spec.hostname
    names = (container.name, *seat.attachment.aliases, container.short_id, *([hostname] if hostname else ()))
    return list(dict.fromkeys(names))


def _asked_addresses(asked: Attachment) -> Json | None:
    wanted: Json = {"IPv4Address": str(asked.ipv4 or ""), "IPv6Address": str(asked.ipv6 or "")}
    if asked.link_local:
        wanted["LinkLocalIPs"] = [str(address) for address in asked.link_local]
    return {field: value for field, value in wanted.items() if value} or None


def _addresses(endpoint: Endpoint | None) -> Json:
    address, address6 = (endpoint.address, endpoint.address6) if endpoint else (None, None)
    return {
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": str(endpoint.gateway or "") if endpoint else "",
        "IPAddress": address_text(address),
        "IPPrefixLen": address.network.prefixlen if address else 0,
        "IPv6Gateway": str(endpoint.gateway6 or "") if endpoint else "",
        "GlobalIPv6Address": address_text(address6),
        "GlobalIPv6PrefixLen": address6.network.prefixlen if address6 else 0,
        "MacAddress": endpoint.mac if endpoint else "",
    }
