"""The store in one SQLite file, with everything also in memory: reads cost nothing, writes go through.

Full durability needs `synchronous=FULL` only against a power cut; WAL with NORMAL loses nothing when a process dies
(sqlite.org/pragma.html#pragma_synchronous) and a power cut can only lose the newest writes, never the file's consistency.
"""

import contextlib
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Generic, TypeVar

from linkspan.errors import AddressInUse, Conflict, EngineError
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint, Sandbox
from linkspan.model.network import Network
from linkspan.store.base import A, Taken
from linkspan.store.codec import Damaged, decode, encode
from linkspan.store.opening import exclusive, open_database, unreadable, unwritable

RESERVE = 2 << 20
"""Bytes kept back for recording ends and removals on a full disk."""
MARGIN = 256 << 10
"""A disk with less than this many bytes free counts as full."""

Item = TypeVar("Item", Network, Container, Sandbox, Endpoint)


class _Index(Generic[Item]):
    """Finds items by what `keys` says of them, so that no question costs more because there are many items."""

    def __init__(self, keys: Callable[[Item], Iterable[Hashable]]) -> None:
        self._keys: Callable[[Item], Iterable[Hashable]] = keys
        self._found: dict[Hashable, dict[str, Item]] = {}

    def find(self, key: Hashable) -> tuple[Item, ...]:
        return tuple(self._found.get(key, {}).values())

    def add(self, item: Item) -> None:
        for key in self._keys(item):
            self._found.setdefault(key, {})[item.id] = item

    def remove(self, item: Item) -> None:
        for key in self._keys(item):
            entries = self._found.get(key, {})
            entries.pop(item.id, None)
            if not entries:
                self._found.pop(key, None)


class _Table(Generic[Item]):
    """One table of bodies and its copy in memory, the oldest first."""

    def __init__(self, database: sqlite3.Connection, name: str, kind: type[Item]) -> None:
        self._database = database
        self._name = name
        self._kind: type[Item] = kind
        self._indexes: list[_Index[Item]] = []
        self.items: dict[str, Item] = {}
        self.load()

    def index(self, keys: Callable[[Item], Iterable[Hashable]]) -> _Index[Item]:
        """Return an index over the items, kept up to date."""
        made = _Index(keys)
        self._indexes.append(made)
        for item in self.items.values():
            made.add(item)
        return made

    def load(self) -> None:
        rows = self._database.execute(f"SELECT body FROM {self._name}")  # noqa: S608  a constant
        loaded = sorted((decode(self._kind, body) for (body,) in rows), key=lambda item: getattr(item, "created", 0))
        for item in tuple(self.items.values()):
            self._replace(item, None)
        for item in loaded:
            self._replace(None, item)

    def put(self, item: Item) -> None:
        sql = (
            f"INSERT INTO {self._name} (id, name, body) VALUES (?, ?, ?)"  # noqa: S608  a constant
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body"
        )
        self._database.execute(sql, (item.id, getattr(item, "name", item.id), encode(item)))
        self._replace(self.items.get(item.id), item)

    def delete(self, item_id: str) -> None:
        self._database.execute(f"DELETE FROM {self._name} WHERE id = ?", (item_id,))  # noqa: S608  a constant
        if item := self.items.get(item_id):
            self._replace(item, None)

    def _replace(self, former: Item | None, item: Item | None) -> None:
        for index in self._indexes:
            if former is not None:
                index.remove(former)
            if item is not None:
                index.add(item)
        if item is not None:
            self.items[item.id] = item
        elif former is not None:
            del self.items[former.id]


class _Pool:
    """The addresses that a network ever gave: those that somebody holds, and the others with the sequence numbers of their release."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.released: dict[int, int] = {}
        """The one that was released longest ago comes first."""


class _Room:
    """Keeps some of the disk back, so that ends and removals can still be recorded when it is full.

    SQLite needs space even to delete. New objects are refused while the reserve is not there.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._reserve = folder / "reserve" if folder else None
        self.short = False
        self.check()

    def check(self) -> None:
        """Look at the disk: give the reserve up when it is full, take it again when there is room."""
        if self._folder is None or self._reserve is None:
            return
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < MARGIN:
            self._reserve.unlink(missing_ok=True)
            self.short = True
        elif not self._reserve.exists() and free > RESERVE + MARGIN:
            with contextlib.suppress(OSError):
                self._reserve.write_bytes(bytes(RESERVE))
                self.short = False
        else:
            self.short = not self._reserve.exists()


class SqliteStore:
    """`Store` on a file. Only one process can have it open; `:memory:` gives one that lasts as long as the object."""

    def __init__(self, path: Path | str, *, expected: bool = False) -> None:
        """Open or make the file; one that is `expected` is not made. Raises Conflict, EngineError with what to do."""
        self._path, self._depth = path, 0
        self._lock = threading.RLock()
        self._guard = exclusive(Path(path)) if str(path) != ":memory:" else None
        self._room = _Room(Path(path).parent if self._guard else None)
        try:
            self._database = open_database(path, expected=expected)
            self._networks = _Table(self._database, "network", Network)
            self._containers = _Table(self._database, "container", Container)
            self._sandboxes = _Table(self._database, "sandbox", Sandbox)
            self._endpoints = _Table(self._database, "endpoint", Endpoint)
            self._tables: tuple[_Table[Any], ...] = (self._networks, self._containers, self._sandboxes, self._endpoints)
            self._referred = self._networks.index(lambda network: (network.id, network.name))
            self._named = self._containers.index(lambda container: (container.name,))
            self._members = self._containers.index(lambda container: (container.sandbox,))
            self._publishers = self._containers.index(_ports)
            self._places = self._endpoints.index(lambda endpoint: (("in", endpoint.sandbox), ("on", endpoint.network)))
            self._pools: defaultdict[str, _Pool] = defaultdict(_Pool)
            self._load_addresses()
        except BaseException as error:
            if self._guard:
                self._guard.close()
            if isinstance(error, (sqlite3.DatabaseError, Damaged)):
                raise unreadable(path, error) from error
            raise

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._database.close()
        if self._guard:
            self._guard.close()

    @property
    def full(self) -> bool:
        return self._room.short

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            if self._depth:  # a part of the outer one
                yield
                return
            self._depth += 1
            self._room.check()
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                if isinstance(error, sqlite3.OperationalError):
                    raise unwritable(self._path, error) from error
                raise
            finally:
                self._depth -= 1

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        for table in self._tables:
            table.load()
        self._load_addresses()

    def setting(self, key: str) -> str | None:
        with self._lock:
            row = self._database.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put_setting(self, key: str, value: str) -> None:
        with self.transaction():
            self._database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))

    def networks(self) -> tuple[Network, ...]:
        return tuple(sorted(self._networks.items.values(), key=lambda network: network.name))

    def network(self, ref: str) -> Network | None:
        return next(iter(self._referred.find(ref)), None)

    def put_network(self, network: Network) -> None:
        with self.transaction():
            if any(other.name == network.name and other.id != network.id for other in self._referred.find(network.name)):
                raise Conflict(f"network with name {network.name} already exists")
            self._networks.put(network)

    def delete_network(self, network_id: str) -> None:
        with self.transaction():
            for endpoint in self.endpoints_on(network_id):
                self._endpoints.delete(endpoint.id)
            self._networks.delete(network_id)
            self.forget_addresses(network_id)

    def containers(self) -> tuple[Container, ...]:
        return tuple(self._containers.items.values())

    def container(self, container_id: str) -> Container | None:
        return self._containers.items.get(container_id)

    def container_named(self, name: str) -> Container | None:
        return next(iter(self._named.find(name)), None)

    def members(self, sandbox_id: str) -> tuple[Container, ...]:
        return self._members.find(sandbox_id)

    def publishers(self, protocol: str, host_port: int) -> tuple[Container, ...]:
        return self._publishers.find((protocol, host_port))

    def put_container(self, container: Container) -> None:
        with self.transaction():
            for other in self._named.find(container.name):
                if other.id != container.id:
                    raise Conflict(
                        f'Conflict. The container name "/{container.name}" is already in use by container "{other.id}". '
                        "You have to remove (or rename) that container to be able to reuse that name."
                    )
            if self.full and container.id not in self._containers.items:
                raise EngineError("no space left on device: the disk of the data root is full; remove containers or images")
            self._containers.put(container)

    def delete_container(self, container_id: str) -> None:
        with self.transaction():
            self._containers.delete(container_id)

    def sandboxes(self) -> tuple[Sandbox, ...]:
        return tuple(self._sandboxes.items.values())

    def sandbox(self, sandbox_id: str) -> Sandbox | None:
        return self._sandboxes.items.get(sandbox_id)

    def put_sandbox(self, sandbox: Sandbox) -> None:
        with self.transaction():
            self._sandboxes.put(sandbox)

    def delete_sandbox(self, sandbox_id: str) -> None:
        with self.transaction():
            self._sandboxes.delete(sandbox_id)

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(self._endpoints.items.values())

    def endpoints_of(self, sandbox_id: str) -> tuple[Endpoint, ...]:
        return self._places.find(("in", sandbox_id))

    def endpoints_on(self, network_id: str) -> tuple[Endpoint, ...]:
        return self._places.find(("on", network_id))

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return self._endpoints.items.get(endpoint_id)

    def put_endpoint(self, endpoint: Endpoint) -> None:
        with self.transaction():
            self._endpoints.put(endpoint)

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Forget the endpoint and give its addresses back."""
        with self.transaction():
            self._endpoints.delete(endpoint_id)
            self.release(endpoint_id)

    def taken(self, network_id: str) -> Taken:
        with self._lock:
            pool = self._pools[network_id]
            numbers: dict[int, int | None] = {**dict.fromkeys(pool.held), **pool.released}
            return {ip_address(number): sequence for number, sequence in numbers.items()}

    def reserve(self, network_id: str, owner: str, choose: Callable[[AbstractSet[int], Collection[int]], A]) -> A:
        with self.transaction():
            pool = self._pools[network_id]
            address = choose(pool.held, pool.released)
            if int(address) in pool.held:
                raise AddressInUse
            row = (network_id, str(int(address)), owner)
            self._database.execute("INSERT OR REPLACE INTO address VALUES (?, ?, ?, NULL)", row)
            pool.released.pop(int(address), None)
            pool.held.add(int(address))
            return address

    def release(self, owner: str) -> None:
        with self.transaction():
            rows = self._database.execute("SELECT network, address FROM address WHERE owner = ?", (owner,)).fetchall()
            for network, text in rows:
                sequence = self._next_release()
                self._database.execute(
                    "UPDATE address SET owner = NULL, released = ? WHERE network = ? AND address = ?", (sequence, network, text)
                )
                self._pools[network].held.discard(int(text))
                self._pools[network].released[int(text)] = sequence

    def forget_addresses(self, network_id: str) -> None:
        with self.transaction():
            self._database.execute("DELETE FROM address WHERE network = ?", (network_id,))
            self._pools.pop(network_id, None)

    def _next_release(self) -> int:
        self._releases += 1
        return self._releases

    def _load_addresses(self) -> None:
        self._pools.clear()
        self._releases = 0
        rows = self._database.execute("SELECT network, address, owner, released FROM address ORDER BY released")
        for network, text, owner, released in rows:
            if owner:
                self._pools[network].held.add(int(text))
            else:
                self._pools[network].released[int(text)] = released
                self._releases = released


def _ports(container: Container) -> Iterator[Hashable]:
    return ((publish.port.protocol, publish.host_port) for publish in container.publishes)
