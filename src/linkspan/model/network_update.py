"""What a client asks to be changed of a network that is there; None: as it is."""

from dataclasses import dataclass, field

from linkspan.model.network import IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUpdate:
    """POST /networks/{id}/update (not in Docker's API)."""

    labels: dict[str, str] = field(default_factory=dict)
    """Added, or given another value."""
    labels_gone: tuple[str, ...] = ()
    servers: tuple[str, ...] | None = None
    """The name servers of its containers; none: the host's."""
    mtu: int | None = None
    """0: the smallest of the host's ways out."""
    icc: bool | None = None
    subnet: IPNetwork | None = None
    """A larger one, that the network's own of that family is in."""
