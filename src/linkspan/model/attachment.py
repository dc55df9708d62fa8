"""What a container asks of a network that it is to be on."""

from dataclasses import dataclass, field

from linkspan.model.network import IPAddress

STATIC_ON_PREDEFINED = "user-specified IP address is supported on user-defined networks only"
ALIAS_ON_PREDEFINED = "network-scoped aliases are only supported for user-defined networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container's wish to be on a network: it lasts from create or connect to disconnect, whether the container runs or not.

    Docker API: EndpointSettings, as a request.
    """

    network: str
    """Its id; what it was called, of a network that was not there when it was asked for."""
    name: str = ""
    """Its name when it was asked for: one that is made anew under it serves as well."""
    ipv4: IPAddress | None = None
    """The address asked for; None: one is chosen."""
    ipv6: IPAddress | None = None
    link_local: tuple[IPAddress, ...] = ()
    """More addresses of the interface, of 169.254.0.0/16 or fe80::/64."""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    """Names of the container on this network, which others may have too."""
    links: tuple[tuple[str, str], ...] = ()
    """(container, alias): names of others that only this container knows. An id, or what was given for one that was not there."""
    options: dict[str, str] = field(default_factory=dict)
    """com.docker.network.endpoint.*: ifname, sysctls."""
    gateway_priority: int = 0
    """The default routes go by the network with the highest."""
