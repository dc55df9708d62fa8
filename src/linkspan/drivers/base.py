"""What a network type must be able to do."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network
from linkspan.plan.converge import PortMode
from linkspan.undo import Undo


class Driver(Protocol):
    """One network type. All methods run on the kernel thread.

    `create` and `attach` push an inverse for each step and may be called again for what exists already (after a crash or a
    restart): then they add what is missing. `detach` and `delete` are idempotent.
    """

    name: str

    def validate(self, network: Network) -> None:
        """Raise InvalidInput if the network cannot be of this type."""

    def possible(self, network: Network) -> Network:
        """Return what this host can do of the network."""

    def create(self, network: Network, undo: Undo) -> None:
        """Make the network on the host."""

    def attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> None:
        """Make the endpoint's interface in the namespace, with its addresses and routes."""

    def detach(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """Take the endpoints' interfaces away, together: that is much faster than one by one."""

    def settings(self, network: Network) -> Mapping[str, str]:
        """Return the kernel's settings that the network needs, by their key."""

    def port(self, network: Network) -> PortMode:
        """Return how the network's interfaces are plugged in, as the host is set now."""

    def restore(self, network: Network, endpoint: Endpoint, namespace: Path) -> None:
        """Plug an interface that is there in again, and configure it as `attach` does. Idempotent."""

    def resize(self, network: Network, plugged: Iterable[tuple[Endpoint, Path]]) -> None:
        """Give the network its MTU, and the interfaces of its endpoints in their namespaces too. Idempotent."""

    def reshape(self, former: Network, network: Network, undo: Undo) -> None:
        """Make of a network that is there what has become of it: rules, settings, addresses; its endpoints are the caller's."""

    def retire(self, network: Network) -> tuple[str, ...]:
        """Take the network out of use at once; returns the interfaces that are still to be deleted (`link.delete_many`): that is slow."""

    def delete(self, network: Network) -> None:
        """Take the network off the host."""
