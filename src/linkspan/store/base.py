"""What the engine asks of its store. SQLite is the first; a shared one (etcd) joins later."""

from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, TypeVar

from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint, Sandbox
from linkspan.model.network import Network

A = TypeVar("A", bound=IPv4Address | IPv6Address)

Taken = Mapping[IPv4Address | IPv6Address, int | None]
"""Every address that a network ever gave: None while somebody holds it, else the sequence number of its release."""


class Store(Protocol):
    """All state of the engine. Every method is atomic and durable when it returns; readers get values, never views.

    `put_*` adds or replaces by id and raises Conflict if another object has the name; `delete_*` of what is gone is no error.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Make the writes of the block one: all of them, or none if it ends in an error."""

    def close(self) -> None: ...

    @property
    def full(self) -> bool:
        """Whether new objects are refused, because their disk has no room for them."""

    def setting(self, key: str) -> str | None: ...
    def put_setting(self, key: str, value: str) -> None: ...

    def networks(self) -> tuple[Network, ...]: ...
    def network(self, ref: str) -> Network | None:
        """The network of that id or name."""

    def put_network(self, network: Network) -> None: ...
    def delete_network(self, network_id: str) -> None:
        """Forget the network, with its endpoints and addresses."""

    def containers(self) -> tuple[Container, ...]:
        """All containers, oldest first."""

    def container(self, container_id: str) -> Container | None: ...
    def container_named(self, name: str) -> Container | None: ...
    def members(self, sandbox_id: str) -> tuple[Container, ...]:
        """The containers whose `sandbox` this is: those that run in it."""

    def publishers(self, protocol: str, host_port: int) -> tuple[Container, ...]:
        """The containers that hold a host port, on whichever address."""

    def put_container(self, container: Container) -> None: ...
    def delete_container(self, container_id: str) -> None: ...

    def sandboxes(self) -> tuple[Sandbox, ...]: ...
    def sandbox(self, sandbox_id: str) -> Sandbox | None: ...
    def put_sandbox(self, sandbox: Sandbox) -> None: ...
    def delete_sandbox(self, sandbox_id: str) -> None: ...

    def endpoints(self) -> tuple[Endpoint, ...]: ...
    def endpoints_of(self, sandbox_id: str) -> tuple[Endpoint, ...]: ...
    def endpoints_on(self, network_id: str) -> tuple[Endpoint, ...]: ...
    def endpoint(self, endpoint_id: str) -> Endpoint | None: ...
    def put_endpoint(self, endpoint: Endpoint) -> None: ...
    def delete_endpoint(self, endpoint_id: str) -> None: ...

    def taken(self, network_id: str) -> Taken: ...
    def reserve(self, network_id: str, owner: str, choose: Callable[[AbstractSet[int], Collection[int]], A]) -> A:
        """Reserve the address that `choose` picks, which gets the numbers held, and those released, the longest ago first.

        Nobody else can get it in between. Raises Conflict if somebody holds it.
        """

    def release(self, owner: str) -> None:
        """Give back every address that `owner` (an endpoint's id) holds."""

    def forget_addresses(self, network_id: str) -> None:
        """Forget what a network ever gave: it is gone, or has another subnet."""
