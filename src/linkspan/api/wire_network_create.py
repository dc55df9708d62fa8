"""POST /networks/create: from Docker's JSON to a request. What it means is judged by `plan.network_config`."""

from linkspan.api.fields import Fields
from linkspan.api.versions import Version
from linkspan.model.network_request import NetworkRequest, PoolRequest

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


def _pool(entry: Fields) -> PoolRequest:
    return PoolRequest(
        subnet=entry.text("Subnet"),
        range=entry.text("IPRange"),
        gateway=entry.text("Gateway"),
        auxiliary=entry.mapping("AuxiliaryAddresses"),
    )
