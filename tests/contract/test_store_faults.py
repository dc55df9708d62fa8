"""A store that cannot be read is refused with a word on how to go on, and left as it is, byte for byte."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from linkspan.errors import EngineError
from linkspan.model.network import Network, Subnet
from linkspan.store.opening import VERSION
from linkspan.store.sqlite import SqliteStore

SUBNET = IPv4Network("172.17.0.0/16")
NETWORK = Network(
    id="n" * 64,
    name="bridge",
    driver="bridge",
    created=1,
    bridge="docker0",
    subnets=(Subnet(subnet=SUBNET, gateway=SUBNET[1], range=SUBNET),),
)
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of a hundred pages."""
    path = tmp_path / "linkspan.db"
    store = SqliteStore(path)
    store.put_network(NETWORK)
    for number in range(300):
        store.put_setting(f"key {number}", "value" * 250)
    store.close()
    assert path.stat().st_size > 100 * PAGE
    return path


def rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return do


def statement(sql: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(sql)

    return do


def replaced(sql: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        path.unlink()
        statement(sql)(path)

    return do


def root_page(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]) - 1


def wrong_page(path: Path) -> None:
    start = root_page(path, "network") * PAGE
    data = path.read_bytes()
    path.write_bytes(data[:start] + os.urandom(PAGE) + data[start + PAGE :])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (rewrite(lambda data: data[: len(data) // 2]), "restore a copy"),
    "cut off in the first page": (rewrite(lambda data: data[:1000]), "restore a copy"),
    "noise": (rewrite(lambda data: os.urandom(len(data))), "restore a copy"),
    "zeros": (rewrite(lambda data: bytes(len(data))), "restore a copy"),
    "text": (rewrite(lambda _: b"not a database " * 100), "restore a copy"),
    "noise in the first page": (rewrite(lambda data: data[:100] + os.urandom(PAGE - 100) + data[PAGE:]), "restore a copy"),
    "a wrong page": (wrong_page, "restore a copy"),
    "a row that is no JSON": (statement("UPDATE network SET body = '{nope'"), "damaged network"),
    "a row that is no object": (statement("UPDATE network SET body = '[1]'"), "damaged network"),
    "a row with a field too many": (statement("UPDATE network SET body = json_set(body, '$.more', 1)"), "damaged network"),
    "a row with a field too few": (statement("UPDATE network SET body = json_remove(body, '$.name')"), "damaged network"),
    "a row with a wrong value": (statement("UPDATE network SET body = json_set(body, '$.mtu', 1)"), "damaged network: invalid MTU"),
    "a row with a wrong kind": (statement("UPDATE network SET body = json_set(body, '$.bridge', NULL)"), "damaged network"),
    "a missing table": (statement("DROP TABLE endpoint"), "no such table: endpoint"),
    "a missing column": (statement("ALTER TABLE address DROP COLUMN released"), "no such column: released"),
    "a newer version": (statement(f"PRAGMA user_version = {VERSION + 1}"), "written by a newer linkspan"),
    "somebody else's database": (replaced("CREATE TABLE songs (title TEXT)"), "not linkspan's"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_refused_and_kept(path: Path, fault: str) -> None:
    damage, word = FAULTS[fault]
    damage(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(EngineError, match=word) as refused:
            SqliteStore(path)
        assert str(path) in str(refused.value)
        assert path.read_bytes() == before


def test_a_newer_store_that_a_crash_left_is_kept_with_its_journal(path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
        for file in tmp_path.glob("linkspan.db*"):
            shutil.copy(file, crashed)
    before = {name: (crashed / name).read_bytes() for name in ("linkspan.db", "linkspan.db-wal")}
    with pytest.raises(EngineError, match="written by a newer linkspan"):
        SqliteStore(crashed / "linkspan.db")
    assert {name: (crashed / name).read_bytes() for name in before} == before


def test_a_journal_that_is_not_its_own_is_ignored(path: Path) -> None:
    path.with_name("linkspan.db-wal").write_bytes(os.urandom(50_000))
    path.with_name("linkspan.db-shm").write_bytes(os.urandom(32_768))
    store = SqliteStore(path)
    assert store.networks() == (NETWORK,)
    store.close()


def test_a_journal_cut_off_loses_only_what_was_cut_off(path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    store = SqliteStore(path)
    store.put_setting("first", "1")
    kept = path.with_name("linkspan.db-wal").stat().st_size
    store.put_setting("second", "2")
    for file in tmp_path.glob("linkspan.db*"):
        shutil.copy(file, crashed)
    store.close()
    os.truncate(crashed / "linkspan.db-wal", kept + 100)
    again = SqliteStore(crashed / "linkspan.db")
    assert (again.setting("first"), again.setting("second")) == ("1", None)
    again.close()


def test_a_store_from_before_is_brought_up_to_date(path: Path) -> None:
    """Format 1: no index of addresses by owner; endpoints know nothing of being guarded."""
    store = SqliteStore(path)
    store.reserve(NETWORK.id, "e1", lambda *_: IPv4Address("172.17.0.2"))
    store.close()
    endpoint = '{"id":"e1","network":"n","sandbox":"c","mac":"02:42:ac:11:00:02"}'
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP INDEX address_owner")
        database.execute("INSERT INTO endpoint VALUES ('e1', 'e1', ?)", (endpoint,))
        database.execute("PRAGMA user_version = 1")
    store = SqliteStore(path)
    assert [endpoint.guarded for endpoint in store.endpoints()] == [True]
    assert store.taken(NETWORK.id) == {IPv4Address("172.17.0.2"): None}
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'address_owner'").fetchone() == (1,)


def test_containers_from_before_are_on_the_network_of_their_mode(path: Path) -> None:
    """Format 2: containers say nothing of networks, and endpoints nothing of default routes."""
    modes = {"b": ("bridge", ""), "h": ("host", ""), "n": ("none", ""), "c": ("container", "b" * 64), "u": ("network", "gone")}
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for key, (kind, target) in modes.items():
            network = {"mode": {"kind": kind, "target": target}, "mac": "02:00:00:00:00:09" if key == "b" else ""}
            spec = {"process": {"args": ["sh"]}, "network": network, "image": "i", "image_name": "i"}
            database.execute(
                "INSERT INTO container VALUES (?, ?, ?)", (key, key, json.dumps({"id": key, "name": key, "created": 1, "spec": spec}))
            )
        for name in ("bridge", "host", "none"):
            body = {"id": f"id-{name}", "name": name, "driver": "host", "created": 1}
            database.execute("INSERT OR REPLACE INTO network VALUES (?, ?, ?)", (f"id-{name}", name, json.dumps(body)))
        endpoint = '{"id":"e9","network":"id-bridge","sandbox":"b","mac":"02:42:ac:11:00:02","gateway":"172.17.0.1"}'
        database.execute("INSERT INTO endpoint VALUES ('e9', 'e9', ?)", (endpoint,))
        database.execute("PRAGMA user_version = 2")
    store = SqliteStore(path)
    found = {
        key: [(each.network, each.name, each.mac) for each in container.attachments] for key in modes if (container := store.container(key))
    }
    assert found == {
        "b": [("id-bridge", "bridge", "02:00:00:00:00:09")],
        "h": [("id-host", "host", "")],
        "n": [("id-none", "none", "")],
        "c": [],
        "u": [("gone", "gone", "")],
    }
    endpoint_now = store.endpoint("e9")
    assert endpoint_now is not None
    assert endpoint_now.leads == (4,)
    store.close()


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_one_that_must_be_there_is_not_made_anew(path: Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"empty or missing, but folders of containers are there: restore a copy"):
        SqliteStore(path, expected=True)
    assert (path.read_bytes() if path.exists() else None) == content
    SqliteStore(path).close()
    SqliteStore(path, expected=True).close()
