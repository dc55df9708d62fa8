"""What every store must do. SQLite on a file and in memory today; a shared store joins this list."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from linkspan.errors import Conflict, EngineError
from linkspan.model.container import Container, NetworkConfig, NetworkMode, Process, Spec, State, Status
from linkspan.model.endpoint import Endpoint, Sandbox
from linkspan.model.network import IPAddress, Network, Subnet
from linkspan.model.publish import Port, PortRequest, Publish
from linkspan.plan.addresses import Used, choose
from linkspan.store.base import Store
from linkspan.store.sqlite import SqliteStore

POOL = Subnet(subnet=IPv4Network("172.17.0.0/16"), gateway=IPv4Address("172.17.0.1"), range=IPv4Network("172.17.0.0/16"))
NETWORK = Network(id="n" * 64, name="bridge", driver="bridge", created=1, bridge="docker0", subnets=(POOL,), options={"a": "b"})
SPEC = Spec(
    process=Process(args=("sh", "-c", "écho\n"), env=("A=b",)),
    network=NetworkConfig(
        mode=NetworkMode.parse("bridge"),
        requests=(PortRequest(port=Port(80), host_ip=IPv4Address("127.0.0.1"), first=1, last=2),),
        exposed=(Port(53, "udp"),),
        extra_hosts=(("db", "192.0.2.1"),),
        sysctls={"net.core.somaxconn": "9"},
    ),
    image="sha256:1",
    image_name="busybox",
)
CONTAINER = Container(
    id="c" * 64, name="web", created=5, spec=SPEC, publishes=(Publish(host_ip=IPv4Address(0), host_port=1, port=Port(80)),)
)
ENDPOINT = Endpoint(id="e" * 64, network=NETWORK.id, sandbox=CONTAINER.id, mac="02:00:00:00:00:01", address=IPv4Interface("172.17.0.2/16"))


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = SqliteStore(tmp_path / "store.db" if request.param == "file" else ":memory:")
    yield opened
    opened.close()


def lowest(held: AbstractSet[int], released: Collection[int]) -> IPAddress:
    return choose(POOL, Used(held, released), network="bridge")


def test_what_was_put_is_there_and_equal(store: Store) -> None:
    sandbox = Sandbox(id=CONTAINER.id, path="/run/x")
    store.put_network(NETWORK)
    store.put_container(CONTAINER)
    store.put_endpoint(ENDPOINT)
    store.put_sandbox(sandbox)
    assert store.networks() == (NETWORK,)
    assert store.container(CONTAINER.id) == CONTAINER
    assert store.endpoint(ENDPOINT.id) == ENDPOINT
    assert store.sandbox(sandbox.id) == sandbox


def test_put_replaces_by_id(store: Store) -> None:
    store.put_container(CONTAINER)
    changed = replace(CONTAINER, name="other", state=State(status=Status.RUNNING, pid=7))
    store.put_container(changed)
    assert store.containers() == (changed,)


def test_two_objects_never_have_one_name(store: Store) -> None:
    store.put_container(CONTAINER)
    with pytest.raises(Conflict, match='The container name "/web" is already in use by container "cccc'):
        store.put_container(replace(CONTAINER, id="d" * 64))
    assert store.containers() == (CONTAINER,)


def test_deleting_what_is_gone_is_no_error(store: Store) -> None:
    store.put_container(CONTAINER)
    store.delete_container(CONTAINER.id)
    store.delete_container(CONTAINER.id)
    store.delete_endpoint("nobody")
    assert store.containers() == ()


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    def half() -> None:
        with store.transaction():
            store.put_container(CONTAINER)
            store.reserve(NETWORK.id, "e1", lowest)
            raise LookupError

    with pytest.raises(LookupError):
        half()
    assert store.containers() == ()
    assert store.taken(NETWORK.id) == {}


def test_an_address_has_one_owner_until_it_is_released(store: Store) -> None:
    first = store.reserve(NETWORK.id, "e1", lowest)
    second = store.reserve(NETWORK.id, "e2", lowest)
    assert (first, second) == (IPv4Address("172.17.0.2"), IPv4Address("172.17.0.3"))
    with pytest.raises(Conflict, match="Address already in use"):
        store.reserve(NETWORK.id, "e3", lambda *_: first)
    store.release("e1")
    assert store.reserve(NETWORK.id, "e3", lowest) == IPv4Address("172.17.0.4")
    assert store.reserve(NETWORK.id, "e4", lambda *_: first) == first


def test_an_endpoint_gives_its_address_back(store: Store) -> None:
    store.put_endpoint(ENDPOINT)
    store.reserve(NETWORK.id, ENDPOINT.id, lowest)
    store.delete_endpoint(ENDPOINT.id)
    assert list(store.taken(NETWORK.id).values()) == [1]


def test_two_at_once_never_get_the_same_address(store: Store) -> None:
    given: list[IPAddress] = []
    start = threading.Barrier(8)

    def reserve(owner: int) -> None:
        start.wait()
        given.extend(store.reserve(NETWORK.id, f"{owner}-{step}", lowest) for step in range(20))

    threads = [threading.Thread(target=reserve, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 160


def reopened(path: Path, change: Callable[[SqliteStore], object]) -> SqliteStore:
    first = SqliteStore(path)
    change(first)
    first.close()
    return SqliteStore(path)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    def fill(store: SqliteStore) -> None:
        store.put_network(NETWORK)
        store.put_container(CONTAINER)
        store.reserve(NETWORK.id, "e1", lowest)
        store.reserve(NETWORK.id, "e2", lowest)
        store.release("e1")
        store.put_setting("id", "42")

    store = reopened(tmp_path / "store.db", fill)
    assert (store.networks(), store.containers(), store.setting("id")) == ((NETWORK,), (CONTAINER,), "42")
    assert store.taken(NETWORK.id) == {IPv4Address("172.17.0.2"): 1, IPv4Address("172.17.0.3"): None}
    store.close()


def test_a_second_engine_is_refused(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    with pytest.raises(Conflict, match="another engine is using"):
        SqliteStore(tmp_path / "store.db")
    first.close()


def test_a_store_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(EngineError, match="written by a newer linkspan"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_damaged_store_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(EngineError, match="cannot read the store"):
        SqliteStore(path)
    assert path.read_bytes() == b"not a database " * 100
