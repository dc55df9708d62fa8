"""The whole host as text, for comparing before and after.

What is random or counts up (ids, MACs, addresses, times, pids) is replaced by what it belongs to, so that a container that is made
anew looks like the one before.
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linkspan.engine.engine import Engine
from linkspan.model.endpoint import random_mac
from linkspan.store.codec import encode
from tests.engines import processes

Snapshot = dict[str, list[str]]

SMALL = 16 << 10
"""Bytes: of larger files only the size counts."""
PASSING = ("pid", "monitor_pid", "monitor_start", "created", "started", "finished", "released")
"""Fields of records that differ from run to run."""
_NAME = re.compile(
    r"(?<![0-9a-f.])(?:(?:veth|br-)[0-9a-f]+|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9]+(?:\.[0-9]+){3}|[0-9a-f]{8,64})(?![0-9a-f])"
)
"""What may be a random name: an interface, a MAC, an address, a number, an id."""
_CGROUPS = Path("/sys/fs/cgroup")
_SETTINGS = Path("/proc/thread-self/root/proc/sys/net")


class Camera:
    """Takes pictures of a host with an engine in this process. Call it in the host's namespace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}
        self._cgroups: set[str] = set()

    def take(self, engine: Engine) -> Snapshot:
        """Return the host as it is now."""
        self._learn(engine)
        sections: dict[str, Any] = {
            "links": _links(),
            "routes": _said("ip", "-4", "route", "show", "table", "all").replace(" linkdown", "").splitlines(),
            "settings": list(_settings()),
            # Elements stand in the order of random names: which of them is the last means nothing.
            "rules": [line.removesuffix(",").removesuffix(" }") for line in _said("nft", "list", "ruleset").splitlines()],
            "ports": _said("ss", "-Hltun").splitlines(),
            "mounts": self._mounts(),
            "namespaces": list(self._namespaces()),
            "processes": sorted(processes(self._folder).values()),
            "cgroups": sorted(self._groups()),
            "files": list(_files(self._folder)),
            "rows": sorted(self._rows()),
            "memory": self._memory(engine),
            "descriptors": sorted(_descriptors()),
        }
        return {key: sorted(self._masked(str(line)) for line in lines) for key, lines in sections.items()}

    def _learn(self, engine: Engine) -> None:
        """Remember what the engine's random names stand for."""
        store = engine._store
        for container in store.containers():
            self._names[container.id] = f"<{container.name}>"
            self._names[container.short_id] = f"<{container.name}.short>"
            self._cgroups.add(container.id)
        for endpoint in store.endpoints():
            owner = store.container(endpoint.sandbox)
            network = store.network(endpoint.network)
            name = f"{owner.name if owner else endpoint.sandbox}.{network.name if network else endpoint.network}"
            self._names |= {endpoint.id: f"<{name}.endpoint>", endpoint.host_interface: f"<{name}.veth>", endpoint.mac: f"<{name}.mac>"}
            if endpoint.address:
                self._names[str(endpoint.address.ip)] = f"<{name}.address>"
                self._names[str(int(endpoint.address.ip))] = f"<{name}.number>"
        for network in filter(lambda known: known.user_defined, store.networks()):
            mac = random_mac(hashlib.sha256(network.id.encode()).digest())
            self._names |= {network.id: f"<{network.name}>", network.bridge: f"<{network.name}.bridge>", mac: f"<{network.name}.mac>"}
        for stored in engine.images._images._index.images.values():
            name = next(iter(stored.image.tags), "nameless")
            for key, meaning in ((stored.image.id, name), (stored.manifest, f"{name}.manifest")):
                self._names[key.removeprefix("sha256:")] = f"<{meaning}>"

    def _masked(self, line: str) -> str:
        return _NAME.sub(lambda found: self._names.get(found[0], found[0]), line)

    def _mounts(self) -> list[str]:
        lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self._folder) in line)
        return sorted(" ".join([fields[4], *fields[5:6], *fields[fields.index("-") + 1 :]]) for fields in lines)

    def _namespaces(self) -> Iterator[str]:
        for path in sorted((self._folder / "run" / "netns").glob("*")):
            inside = ("nsenter", f"--net={path}", "ip")
            done = subprocess.run([*inside, "-4", "-o", "addr"], capture_output=True, text=True, check=False)
            routes = subprocess.run([*inside, "-4", "route"], capture_output=True, text=True, check=False)
            yield f"{path.name}: {re.sub(r'^[0-9]+: ', '', done.stdout, flags=re.MULTILINE)} {routes.stdout} {done.stderr}"

    def _groups(self) -> Iterator[str]:
        for path in (*_CGROUPS.glob("linkspan/*"), *_CGROUPS.glob("*/linkspan/*")):
            if path.name in self._cgroups:
                with contextlib.suppress(OSError):
                    yield f"{path}: {len((path / 'cgroup.procs').read_text().split())} processes"

    def _rows(self) -> Iterator[str]:
        with contextlib.closing(sqlite3.connect(f"file:{self._folder}/data/linkspan.db?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            for table in tables:
                cursor = database.execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in cursor.description]
                rows = [dict(zip(columns, row, strict=True)) for row in cursor]
                # An address that was given back stays, so that it is the last to be given again.
                kept = [row for row in rows if not (table == "address" and row["owner"] is None)]
                for row in kept:
                    yield from sorted(_lines(f"{table} {next(iter(row.values()))}", row))

    def _memory(self, engine: Engine) -> list[str]:
        """What the engine holds in memory: the same as in the file."""
        store = engine._store
        tables: dict[str, tuple[Any, ...]] = {
            "container": store.containers(),
            "sandbox": store.sandboxes(),
            "endpoint": store.endpoints(),
            "network": store.networks(),
        }
        rows = (_lines(f"{table} {item.id}", encode(item)) for table, items in tables.items() for item in items)
        return sorted(line for lines in rows for line in lines)


def _links() -> list[str]:
    lines = []
    for entry in json.loads(_said("ip", "-j", "-d", "addr")):
        addresses = sorted(info["local"] for info in entry["addr_info"] if info["scope"] != "link")
        information = entry.get("linkinfo", {})
        kept = {key: entry.get(key) for key in ("ifname", "mtu", "master", "group", "link_type", "address")}
        if information.get("info_kind") == "veth":
            del kept["address"]  # random: the other end's counts
        port = information.get("info_slave_data", {})
        lines.append(f"{kept} {addresses} up={'UP' in entry['flags']} isolated={port.get('isolated')} hairpin={port.get('hairpin')}")
    return sorted(lines)


def _settings() -> Iterator[str]:
    for setting in ("ipv4/ip_forward", *_below("ipv4/conf"), *_below("ipv6/conf", only="disable_ipv6")):
        with contextlib.suppress(OSError):  # the interface is gone by now
            yield f"{setting} = {(_SETTINGS / setting).read_text().strip()}"


def _below(folder: str, *, only: str = "") -> Iterator[str]:
    """Return the settings of each interface."""
    for interface in (_SETTINGS / folder).iterdir():
        with contextlib.suppress(OSError):
            names = [only] if only else [path.name for path in interface.iterdir()]
            yield from (f"{folder}/{interface.name}/{name}" for name in names)


def _files(folder: Path) -> Iterator[str]:
    for path, status in sorted(_walk(folder)):
        where = path.removeprefix(f"{folder}/")
        content = ""
        if stat.S_ISLNK(status.st_mode):
            with contextlib.suppress(FileNotFoundError):
                content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode) and not where.startswith(("run/", "data/images/roots/", "data/linkspan.db")):
            content = _content(Path(path), where)
        yield f"{where} {status.st_mode:o} {status.st_uid}:{status.st_gid} {content}".rstrip()


def _content(path: Path, where: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        if where.endswith("oci/index.json"):  # the order of the images says nothing
            index = json.loads(data)
            index["manifests"].sort(key=lambda entry: entry["annotations"]["linkspan.tags"])
            return json.dumps(index)
        if "/blobs/sha256/" in where:
            return "whole" if hashlib.sha256(data).hexdigest() == path.name else "damaged"
        return repr(data.decode(errors="replace")) if len(data) <= SMALL else f"{len(data)} bytes"
    return "vanished"


def _walk(folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.path.endswith("/rootfs/bin"):
                yield from _walk(entry.path)
            with contextlib.suppress(FileNotFoundError):
                if not entry.name.endswith((".net", "-wal", "-shm")):
                    yield entry.path, entry.stat(follow_symlinks=False)


def _descriptors() -> Iterator[str]:
    """What this process has open, but for netlink sockets, of which each thread has its own, and epoll, which each loop has."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as opened:
                    if opened.family == socket.AF_NETLINK:
                        continue
            if target.startswith("net:"):  # the way back of the thread that visits namespaces
                continue
            yield re.sub(r"[0-9]+", "N", target) if not target.startswith("/") else target


def _lines(title: str, value: object) -> Iterator[str]:
    """Return a record as a line for each of its fields, without those that differ from run to run."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in PASSING:
                yield from _lines(f"{title}.{key}", item)
    elif value not in (None, "", [], {}, False, 0):
        yield f"{title} = {value}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def differences(left: Snapshot, right: Snapshot) -> list[str]:
    """Return what one has and the other has not: `- ` before, `+ ` after."""
    lines = []
    for key in sorted(left, key="settings".__eq__):  # the most lines last
        before, after = Counter(left[key]), Counter(right[key])
        lines += [f"{key} - {line}" for line in (before - after).elements()]
        lines += [f"{key} + {line}" for line in (after - before).elements()]
    return lines
