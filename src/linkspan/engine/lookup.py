"""Finding objects by what users call them: full id, name, or the beginning of an id."""

from linkspan.errors import InvalidInput, NotFound
from linkspan.model.container import Container
from linkspan.model.network import Network
from linkspan.store.base import Store


class Lookup:
    """Resolves references as Docker does: full id, then full name, then id prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def container(self, ref: str) -> Container:
        """Return the container; raises NotFound, or InvalidInput if a prefix fits several."""
        if found := self._store.container(ref):
            return found
        containers = self._store.containers()
        name = ref.removeprefix("/")
        for container in containers:
            if container.name == name:
                return container
        matches = [container for container in containers if ref and container.id.startswith(ref)]
        if len(matches) > 1:
            raise InvalidInput(f"multiple IDs found with provided prefix: {ref}")
        if not matches:
            raise NotFound(f"No such container: {ref}")
        return matches[0]

    def network(self, ref: str, *, prefix: str = "") -> Network:
        """Return the network; raises NotFound (its text after `prefix`), or InvalidInput if several fit."""
        networks = self._store.networks()
        for network in networks:
            if ref in (network.id, network.name):
                return network
        matches = [network for network in networks if ref and network.id.startswith(ref)]
        if len(matches) > 1:
            raise InvalidInput(f"network {ref} is ambiguous ({len(matches)} matches found based on ID prefix)")
        if not matches:
            raise NotFound(f"{prefix}network {ref} not found")
        return matches[0]
