"""Finding objects by what users call them: full id, name, or the beginning of an id."""

from collections.abc import Iterable
from typing import TypeVar

from linkspan.errors import InvalidInput, NotFound
from linkspan.model.container import Container
from linkspan.model.network import Network
from linkspan.store.base import Store

Item = TypeVar("Item", Container, Network)


class Lookup:
    """Resolves references as Docker does: full id, then full name, then id prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def container(self, ref: str) -> Container:
        """Return the container; raises NotFound, or InvalidInput if a prefix fits several."""
        name = ref.removeprefix("/")
        found = self._store.container(ref) or self._store.container_named(name) or _find(name, self._store.containers())
        if isinstance(found, list):
            raise InvalidInput(f"multiple IDs found with provided prefix: {ref}")
        if found is None:
            raise NotFound(f"No such container: {ref}")
        return found

    def network(self, ref: str, *, prefix: str = "") -> Network:
        """Return the network; raises NotFound (its text after `prefix`), or InvalidInput if several fit."""
        found = self._store.network(ref) or _find(ref, self._store.networks())
        if isinstance(found, list):
            raise InvalidInput(f"network {ref} is ambiguous ({len(found)} matches found based on ID prefix)")
        if found is None:
            raise NotFound(f"{prefix}network {ref} not found")
        return found


def _find(ref: str, objects: Iterable[Item]) -> Item | list[Item] | None:
    """Return the object of that id or name, else the one whose id begins so; a list if there are several of those."""
    matches = []
    for item in objects:
        if ref in (item.id, item.name):
            return item
        if ref and item.id.startswith(ref):
            matches.append(item)
    return matches if len(matches) > 1 else next(iter(matches), None)
