"""Opening the store's file: alone, of a version that is known, whole; or not at all, and then it is left as it is."""

import fcntl
import sqlite3
from pathlib import Path
from typing import IO
from urllib.parse import quote

from linkspan.errors import Conflict, EngineError

VERSION = 3

_SCHEMA = """
CREATE TABLE setting   (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE network   (id TEXT PRIMARY KEY, name TEXT UNIQUE, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT UNIQUE, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sandbox   (id TEXT PRIMARY KEY, name TEXT UNIQUE, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE endpoint  (id TEXT PRIMARY KEY, name TEXT UNIQUE, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE address   (network TEXT, address TEXT, owner TEXT, released INTEGER, PRIMARY KEY (network, address)) WITHOUT ROWID;
CREATE INDEX address_owner ON address (owner);
"""
_UPGRADES = {
    1: "CREATE INDEX IF NOT EXISTS address_owner ON address (owner);",  # 2: endpoints may say that they are not guarded
    # 3: IPv6 addresses, whose numbers are too large for an INTEGER; containers say which networks they are on
    2: """
    ALTER TABLE address RENAME TO former;
    CREATE TABLE address (network TEXT, address TEXT, owner TEXT, released INTEGER, PRIMARY KEY (network, address)) WITHOUT ROWID;
    INSERT INTO address SELECT network, CAST(address AS TEXT), owner, released FROM former;
    DROP TABLE former;
    CREATE INDEX address_owner ON address (owner);
    UPDATE endpoint SET body = json_set(body, '$.leads', json('[4]')) WHERE json_extract(body, '$.gateway') IS NOT NULL;
    UPDATE container SET body = json_set(body, '$.attachments', json_array(json_object(
        'network', coalesce((SELECT network.id FROM network WHERE network.name = json_extract(container.body, '$.spec.network.mode.kind')),
                            json_extract(body, '$.spec.network.mode.target')),
        'name', iif(json_extract(body, '$.spec.network.mode.kind') = 'network', json_extract(body, '$.spec.network.mode.target'),
                    json_extract(body, '$.spec.network.mode.kind')),
        'mac', coalesce(json_extract(body, '$.spec.network.mac'), '')
    ))) WHERE json_extract(body, '$.spec.network.mode.kind') <> 'container';
    """,
}
"""What makes a store of the version before one of the next."""
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")
"""Errors that the file itself is to blame for, and not the disk or its rights. SQLITE_ERROR: a table is missing."""


def exclusive(path: Path) -> IO[bytes]:
    """Lock the store for this process: the lock ends with the process, however it ends. Raises Conflict, EngineError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        guard = path.with_suffix(".lock").open("wb")
    except OSError as error:
        raise EngineError(f"cannot write to {path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        guard.close()
        raise Conflict(f"another engine is using {path.parent}: stop it, or give this one another --data-root") from error
    return guard


def open_database(path: Path | str, *, expected: bool = False) -> sqlite3.Connection:
    """Open the store, make it if there is none and none is `expected`, bring an older one up to date.

    Raises EngineError, and then the file is as it was, byte for byte; sqlite3.DatabaseError, which `unreadable` explains.
    """
    version = _version(Path(path)) if str(path) != ":memory:" else 0
    if version > VERSION:
        raise EngineError(
            f"the store {path} was written by a newer linkspan (format {version}, this one knows {VERSION}): "
            "install that version again, or use another --data-root"
        )
    if expected and not version:
        raise EngineError(
            f"the store {path} is empty or missing, but folders of containers are there: restore a copy of it, "
            "or remove those folders to start afresh"
        )
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version != VERSION:
            steps = "".join(_UPGRADES[older] for older in range(version, VERSION)) if version else _SCHEMA
            database.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def unreadable(path: Path | str, error: Exception) -> EngineError:
    """Say why a store cannot be read, and how to go on."""
    if isinstance(error, sqlite3.DatabaseError) and not getattr(error, "sqlite_errorname", "").startswith(_DAMAGED):
        return EngineError(f"cannot open the store {path}: {error}")
    return EngineError(
        f"cannot read the store {path}: {error}; restore a copy, or move it and its folders of containers away to start afresh"
    )


def unwritable(path: Path | str, error: sqlite3.Error) -> EngineError:
    """Say why a store cannot be written: what the disk says, if it is its fault, or else SQLite."""
    try:
        with Path(path).with_suffix(".lock").open("ab"):
            reason = ""
    except OSError as refusal:  # read-only since it failed; SQLite calls that an I/O error
        reason = f"{refusal.strerror}: "
    return EngineError(f"cannot write the store: {reason}{error}")


def _version(path: Path) -> int:
    """The version of a store, 0 if there is none yet. Opened for reading only: closing it writes nothing, whatever a crash has left."""
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return 0
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    finally:
        database.close()
    if tables and not version:
        raise EngineError(f"{path} is a database, but not linkspan's: move it away, or use another --data-root")
    return int(version)
