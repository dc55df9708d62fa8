"""Which networks a container is on: what it asked for, checked against the networks that there are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from linkspan.engine.lookup import Lookup
from linkspan.errors import Forbidden, InvalidInput, NotFound
from linkspan.model.attachment import ALIAS_ON_PREDEFINED, STATIC_ON_PREDEFINED, Attachment
from linkspan.model.container import Container
from linkspan.model.network import Network
from linkspan.store.base import Store

SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
TO_HOST = "cannot connect container to host network - container must be created in host network mode"
PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


@dataclass(frozen=True, slots=True)
class Joined:
    """An attachment, and the network that it means."""

    attachment: Attachment
    network: Network


class Attachments:
    """Finds the networks of containers. What it says follows the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lookup = Lookup(store)

    def find(self, attachment: Attachment) -> Network | None:
        """Return the network that an attachment means: that of its id, or else of its name; None if there is none (any more)."""
        return self._store.network(attachment.network) or (self._store.network(attachment.name) if attachment.name else None)

    def of(self, container: Container) -> Iterator[tuple[Attachment, Network | None]]:
        """Yield what a container asked for, in that order, with the networks as far as they are there."""
        return ((attachment, self.find(attachment)) for attachment in container.attachments)

    def on(self, container: Container, network_id: str) -> Attachment | None:
        """Return the container's attachment to the network of that id, None if it is not on it."""
        return next((attachment for attachment, found in self.of(container) if found and found.id == network_id), None)

    def joined(self, container: Container, *, prefix: str = "") -> tuple[Joined, ...]:
        """Return the container's networks in the order in which they were asked for; raises NotFound, its text after `prefix`."""
        found: dict[str, Joined] = {}
        for attachment in container.attachments:
            network = self.find(attachment) or self._lookup.network(attachment.name or attachment.network, prefix=prefix)
            if network.config_only:
                raise Forbidden(f"{prefix}cannot create endpoint on configuration-only network")
            found.setdefault(network.id, Joined(attachment, network))
        return tuple(found.values())

    def network(self, network_id: str) -> Network:
        """Return the network of that id; raises NotFound."""
        return self._lookup.network(network_id)

    def resolved(self, asked: Attachment) -> tuple[Attachment, Network | None]:
        """Return the request with the ids of the network and of linked containers, as far as they are there, and the network.

        Raises InvalidInput in Docker's words for what that network cannot give.
        """
        links = tuple((self._container(target), alias) for target, alias in asked.links)
        try:
            network = self._lookup.network(asked.network)
        except NotFound:
            return replace(asked, name=asked.network, links=links), None
        check(asked, network)
        return replace(asked, network=network.id, name=network.name, links=links), network

    def _container(self, ref: str) -> str:
        try:
            return self._lookup.container(ref).id
        except NotFound:
            return ref  # it may come later


def check(asked: Attachment, network: Network) -> None:
    """Raise InvalidInput if the network cannot give what is asked of it, in Docker's words and order."""
    problems = []
    if not network.user_defined:
        if asked.ipv4 or asked.ipv6:
            problems.append(STATIC_ON_PREDEFINED)
        if asked.aliases:
            problems.append(ALIAS_ON_PREDEFINED)
    elif network.ipam_driver != "none":
        for address in filter(None, (asked.ipv4, asked.ipv6)):
            pool = network.pool(address.version)
            if pool is None or address not in pool.subnet:
                problems.append(f"no configured subnet contains IP address {address}")
    if problems:
        details = "\n".join(problems)
        raise InvalidInput(f"invalid endpoint settings:\n{details}")


def check_together(present: Sequence[Network], network: Network) -> None:
    """Raise InvalidInput if a container on these networks cannot be on one more, in Docker's words."""
    for other in present:
        if "host" in (other.driver, network.driver):
            raise InvalidInput(SHARED)
        if "null" in (other.driver, network.driver):
            raise InvalidInput(PRIVATE)
