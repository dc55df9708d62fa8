"""What a client asks for when it makes a network: as given, before anything is chosen or judged."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequest:
    """One entry of IPAM.Config, in the texts of the client: what is wrong with them is said together (Docker does so)."""

    subnet: str = ""
    range: str = ""
    gateway: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """POST /networks/create."""

    name: str
    driver: str = "bridge"
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    ipv4: bool | None = None
    """None: as the driver's options say, else yes."""
    ipv6: bool | None = None
    ipam_driver: str = "default"
    ipam_options: dict[str, str] = field(default_factory=dict)
    pools: tuple[PoolRequest, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    config_only: bool = False
    config_from: str = ""
