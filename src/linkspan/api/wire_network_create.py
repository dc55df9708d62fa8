"""POST /networks/create, /networks/{id}/update: from Docker's JSON to a request. What it means is judged by `plan.network_config`."""

from ipaddress import ip_network

from linkspan.api.fields import Fields
from linkspan.api.versions import Version
from linkspan.errors import InvalidInput
from linkspan.model.network import IPNetwork
from linkspan.model.network_request import NetworkRequest, PoolRequest
from linkspan.model.network_update import NetworkUpdate

_IPV4_OPTIONAL = Version(1, 47)
"""Since 1.48 a network may be without IPv4; before, the field was not read."""


def parse_network_create(body: Fields, version: Version) -> NetworkRequest:
    """Parse a request for a network. Raises InvalidInput for values of a wrong type."""
    ipam = body.child("IPAM")
    return NetworkRequest(
        name=body.text("Name"),
        driver=body.text("Driver") or "bridge",
        scope=body.text("Scope"),
        internal=body.boolean("Internal"),
        attachable=body.boolean("Attachable"),
        ingress=body.boolean("Ingress"),
        ipv4=body.optional_boolean("EnableIPv4") if version > _IPV4_OPTIONAL else None,
        ipv6=body.optional_boolean("EnableIPv6"),
        ipam_driver=ipam.text("Driver") or "default",
        ipam_options=ipam.mapping("Options"),
        pools=tuple(_pool(entry) for entry in ipam.children("Config")),
        options=body.mapping("Options"),
        labels=body.mapping("Labels"),
        config_only=body.boolean("ConfigOnly"),
        config_from=body.child("ConfigFrom").text("Network"),
    )


def parse_network_update(body: Fields) -> NetworkUpdate:
    """Parse what is to be changed of a network. Raises InvalidInput."""
    return NetworkUpdate(
        labels=body.mapping("Labels"),
        labels_gone=body.texts("RemoveLabels"),
        servers=body.texts("Dns") if "dns" in body.names() else None,
        mtu=body.optional_integer("Mtu"),
        icc=body.optional_boolean("Icc"),
        subnet=_subnet(text) if (text := body.text("Subnet")) else None,
    )


def _subnet(text: str) -> IPNetwork:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidInput(f"invalid subnet {text}: {error}") from None


def _pool(entry: Fields) -> PoolRequest:
    return PoolRequest(
        subnet=entry.text("Subnet"),
        range=entry.text("IPRange"),
        gateway=entry.text("Gateway"),
        auxiliary=entry.mapping("AuxiliaryAddresses"),
    )
