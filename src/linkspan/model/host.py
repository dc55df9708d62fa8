"""What is found on the host: the kernel's side of what the store describes."""

from dataclasses import dataclass

from linkspan.model.network import IPAddress, IPInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """An interface of the host."""

    name: str
    index: int
    kind: str
    """bridge, veth, …; empty for hardware."""
    ours: bool
    """Whether it carries our mark."""
    doomed: bool = False
    """Whether it is being deleted."""
    up: bool = False
    mtu: int = 1500
    master: int = 0
    """The index of the bridge that it is a port of, 0 for none."""
    hairpin: bool = False
    isolated: bool = False
    """Both of a bridge port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideState:
    """An endpoint's interface as it is in its namespace."""

    up: bool
    mac: str
    addresses: tuple[IPInterface, ...] = ()
    gateways: tuple[IPAddress, ...] = ()
    """Where default routes by this interface lead."""
