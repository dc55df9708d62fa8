"""The drivers of `host` and `none`: networks that make nothing on the host and have no interfaces of their own.

A container on `host` uses the host's namespace; one on `none` gets a namespace, which always has its loopback interface up.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from linkspan.errors import Unsupported
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network
from linkspan.plan.converge import PortMode
from linkspan.undo import Undo


class UnwiredDriver:
    """Docker's `host` driver, or its `null` driver."""

    def __init__(self, name: str) -> None:
        self.name = name

    def validate(self, network: Network) -> None:
        """Nothing can be wrong with it."""

    def possible(self, network: Network) -> Network:
        return network

    def create(self, network: Network, undo: Undo) -> None:
        """There is nothing to make."""

    def attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> None:
        raise Unsupported(f"the {network.name} network has no interfaces to attach")

    def detach(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """Nothing was attached."""

    def settings(self, network: Network) -> Mapping[str, str]:
        return {}

    def port(self, network: Network) -> PortMode:
        return PortMode()

    def restore(self, network: Network, endpoint: Endpoint, namespace: Path) -> None:
        """Nothing was attached."""

    def resize(self, network: Network, plugged: Iterable[tuple[Endpoint, Path]]) -> None:
        """It has no interfaces of its own."""

    def reshape(self, former: Network, network: Network, undo: Undo) -> None:
        """There is nothing to change."""

    def retire(self, network: Network) -> tuple[str, ...]:
        return ()

    def delete(self, network: Network) -> None:
        """Nothing was made."""
