"""Whether a host holds what its engine says and nothing more. Looks from outside: at the kernel, the files and the store's rows.

    assert disagreements(engine, ids) == []
    settled(engine, ids)                       # the same, after the clean-up that follows an answer has had its time

`ids` are all containers that ever were: their cgroups are looked for.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linkspan.plan.converge import Kind
from tests.engines import Engine, processes

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Shown:
    """A container as the API shows it."""

    id: str
    name: str
    running: bool
    pid: int
    sandbox: str
    """The name of its namespace's file, empty if it runs in none of its own engine's."""
    mode: str
    ports: frozenset[tuple[str, int, int]]
    """Protocol, host port, its port; of a running container."""
    addresses: tuple[str, ...]
    """One for each network that it is on."""


def shown(engine: Engine) -> list[Shown]:
    """Return every container of the engine."""
    status, listed = engine.api("GET", "/containers/json?all=1")
    assert status == 200, listed
    return [_shown(engine, entry["Id"]) for entry in listed]


def _shown(engine: Engine, container_id: str) -> Shown:
    status, found = engine.api("GET", f"/containers/{container_id}/json")
    assert status == 200, found
    network, key = found["NetworkSettings"], found["NetworkSettings"]["SandboxKey"]
    ports = {
        (port.partition("/")[2], int(binding["HostPort"]), int(port.partition("/")[0]))
        for port, bindings in (network["Ports"] or {}).items()
        for binding in bindings or ()
    }
    return Shown(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        running=found["State"]["Status"] in ("running", "paused"),
        pid=found["State"]["Pid"],
        sandbox=Path(key).name if key.startswith(str(engine.folder)) else "",
        mode=found["HostConfig"]["NetworkMode"],
        ports=frozenset(ports),
        addresses=tuple(seat["IPAddress"] for seat in network["Networks"].values() if seat["EndpointID"]),
    )


def settled(engine: Engine, ids: Collection[str] = (), *, known: Collection[str] = (), within: float = 20) -> list[str]:
    """Return what is wrong, apart from what is `known`, when the engine has had its time to clean up; empty as soon as nothing is."""
    deadline = time.monotonic() + within
    while (wrong := [fault for fault in disagreements(engine, ids) if fault not in known]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return wrong


def disagreements(engine: Engine, ids: Collection[str] = ()) -> list[str]:
    """Return one sentence for each thing that the host has too much or too little of."""
    try:
        containers = shown(engine)
    except AssertionError as error:  # one went between the list and the look at it
        return [f"the list of containers: {error}"]
    running = {container.id for container in containers if container.running}
    sandboxes = {container.sandbox for container in containers if container.running and container.sandbox}
    unwired = {container.id for container in containers if container.mode in ("host", "none") or container.mode.startswith("container:")}
    wired = sandboxes - unwired  # one whose container was removed under its members stays wired
    seats = {container.id: len(container.addresses) for container in containers if container.running}
    return [
        *_files(engine, {container.id for container in containers}, running, sandboxes),
        *_mounts(engine, sandboxes),
        *_cgroups(running, ids),
        *_processes(engine, containers),
        *_interfaces(engine, sum(seats.get(sandbox, 1) for sandbox in wired)),
        *_rules(engine, containers),
        *_holders(engine, containers),
        *_rows(engine, {container.id for container in containers}, sandboxes, wired),
        *_locks(engine),
        *_twice(address for container in containers if container.running for address in container.addresses),
        *_findings(engine),
    ]


def _findings(engine: Engine) -> Iterator[str]:
    """What the engine itself finds, when it compares its store with the kernel."""
    status, report = engine.api("GET", "/linkspan/doctor")
    if status != 200:
        yield f"the doctor: {status} {report}"
        return
    yield from (f"the doctor: {finding['What']}" for finding in report["Findings"] if finding["Kind"] in set(Kind))


def _compare(what: str, there: Collection[Any], wanted: Collection[Any]) -> Iterator[str]:
    if extra := sorted(set(there) - set(wanted)):
        yield f"{what} too many: {extra}"
    if missing := sorted(set(wanted) - set(there)):
        yield f"{what} missing: {missing}"


def _files(engine: Engine, known: set[str], running: set[str], sandboxes: set[str]) -> Iterator[str]:
    data, run = engine.folder / "data", engine.folder / "run"
    yield from _compare("folders of containers", _names(data / "containers"), known)
    yield from _compare("namespaces", _names(run / "netns"), sandboxes)
    yield from _compare("folders of monitors", _names(run / "monitor"), running)
    yield from _compare("records of the runtime", _names(run / "runtime"), running)
    yield from _compare("work in progress on images", _names(data / "images" / "tmp"), ())
    for monitor in (run / "monitor").glob("*"):
        yield from _compare(f"commands in {monitor.name[:12]}", _names(monitor / "exec"), ())


def _mounts(engine: Engine, sandboxes: set[str]) -> Iterator[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    there = [point for point in points if point.startswith(f"{engine.folder}/")]
    names = {str(engine.folder / "run" / "netns" / box) for box in sandboxes}
    yield from _compare("mounts", there, names)  # the roots of containers are mounted in their own mount namespaces only
    yield from _twice(there)


def _cgroups(running: set[str], ids: Collection[str]) -> Iterator[str]:
    parents = [CGROUPS / "linkspan", *CGROUPS.glob("*/linkspan")]
    ours = {name for parent in parents for name in _names(parent) if name in set(ids) | running}
    yield from _compare("cgroups", ours, running)


def _processes(engine: Engine, containers: list[Shown]) -> Iterator[str]:
    running = {container.id for container in containers if container.running}
    # A container that was frozen at once has not got as far as its own command line: it still has the runtime's.
    known = {engine.pid} | {container.pid for container in containers if container.running}
    others = [command for pid, command in processes(engine.folder).items() if pid not in known]
    monitors = [command for command in others if " --cid " in command]
    yield from _compare("monitors", [command.partition(" --cid ")[2].split()[0] for command in monitors], running)
    yield from _twice(command.partition(" --cid ")[2].split()[0] for command in monitors)
    yield from (f"a process too many: {command}" for command in others if command not in monitors and " resolver " not in command)
    for container in containers:
        if container.running and not _alive(container.pid):
            yield f"{container.name} has no process {container.pid}"


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _interfaces(engine: Engine, wired: int) -> Iterator[str]:
    links = [link for link in json.loads(engine.host.sh("ip", "-j", "link")) if link["ifname"].startswith("veth")]
    if len(links) != wired:
        yield f"{len(links)} interfaces for {wired} containers: {sorted(link['ifname'] for link in links)}"
    for link in links:
        if not link.get("master", "").startswith(("docker0", "br-")) or "LOWER_UP" not in link["flags"]:
            yield f"{link['ifname']} carries nothing: {link}"


def _rules(engine: Engine, containers: list[Shown]) -> Iterator[str]:
    listed = json.loads(engine.host.sh("nft", "-j", "list", "table", "inet", "linkspan"))["nftables"]
    maps = [entry["map"] for entry in listed if "map" in entry]
    elements = [element for found in maps for element in found.get("elem", ()) if isinstance(element[1], dict)]
    there = {(*key["concat"][-2:], *target["concat"]) for key, target in elements if len(target.get("concat", ())) == 2}
    wanted = {port for container in containers if container.running for port in container.ports}
    yield from _compare("published ports in the ruleset", {(protocol, port, own) for protocol, port, _, own in there}, wanted)
    known = {address for container in containers if container.running for address in container.addresses}
    yield from _compare("addresses in the ruleset", {address for _, _, address, _ in there} - known, ())


def _holders(engine: Engine, containers: list[Shown]) -> Iterator[str]:
    rows = [line.split() for line in engine.host.sh("ss", "-Htuln").splitlines()]
    there = {(row[0], int(row[4].rpartition(":")[2])) for row in rows}
    wanted = {port[:2] for container in containers if container.running for port in container.ports}
    yield from _compare("held ports", {port for port in there if port != ("tcp", 5000)}, wanted)  # 5000: the registry
    yield from _twice(port[:2] for container in containers if container.running for port in container.ports)


def _rows(engine: Engine, known: set[str], sandboxes: set[str], wired: set[str]) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(f"file:{engine.folder}/data/linkspan.db?mode=ro", uri=True)) as database:
        kept = [json.loads(body) for (body,) in database.execute("SELECT body FROM sandbox")]
        endpoints = [json.loads(body) for (body,) in database.execute("SELECT body FROM endpoint")]
        addresses = database.execute("SELECT address, owner FROM address WHERE owner IS NOT NULL").fetchall()
    yield from _compare("rows of namespaces", [row["id"] for row in kept], sandboxes)
    yield from _compare("endpoints of nobody", {row["sandbox"] for row in endpoints} - known - wired, ())
    yield from _compare("attached endpoints", {row["sandbox"] for row in endpoints if row["attached"]}, wired)
    yield from _compare("owners of addresses", {owner for _, owner in addresses}, {row["id"] for row in endpoints})
    yield from _twice(row["address"] for row in endpoints if row["address"])
    yield from _twice((row["sandbox"], row["network"]) for row in endpoints)


def _locks(engine: Engine) -> Iterator[str]:
    """SQLite's locks on the store: without them, whoever looks at it cuts a file off that the engine has mapped."""
    store = f":{(engine.folder / 'data' / 'linkspan.db-shm').stat().st_ino} "
    if not any(store in line and f" {engine.pid} " in line for line in Path("/proc/locks").read_text().splitlines()):
        yield "the engine has no lock on its store"


def _twice(things: Any) -> Iterator[str]:
    yield from (f"{thing} is there {count} times" for thing, count in Counter(things).items() if count > 1)


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [entry.name for entry in os.scandir(folder) if entry.is_dir() or entry.is_file()]
    return []
