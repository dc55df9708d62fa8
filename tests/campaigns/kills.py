"""The engine is killed at random moments of a mixed load; what it had acknowledged holds, and nothing leaks."""

import contextlib
import io
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.campaigns.boxes import KINDS, Box, Shop, Worker, status_of
from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import Host, join, until
from tests.leaks import settled, shown
from tests.registries import REGISTRY, Registry

HOSTS = 2
WORKERS = 4
LOAD = 20
"""Operations before a kill, at most."""
TAIL = 0.1
"""Seconds from the last of them to the kill, at most: so that it hits every moment of the next ones."""


class Killed(Engine):
    """An engine that is killed again and again."""

    def die_in_its_start(self, after: float) -> None:
        """Start the engine and kill it `after` so many seconds, wherever it is by then."""
        with (self.folder / "engine.log").open("ab") as log:
            roots = ("--data-root", self.folder / "data", "--exec-root", self.folder / "run", "--config-file", self.folder / "daemon.json")
            process = self.host.spawn(*self.program, "daemon", *roots, *self.flags, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(after)
        process.kill()
        process.wait()


@dataclass
class Campaign:
    """One host, its engine, the clients, and what they know."""

    engine: Killed
    outside: Host
    random: Random
    workers: list[Worker]
    found: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    kills: int = 0

    def round(self) -> None:
        """Let them work, kill the engine, start the next one, and compare what there is with what there must be."""
        shop = Shop()
        threads = [threading.Thread(target=worker.work, args=(shop,)) for worker in self.workers]
        for thread in threads:
            thread.start()
        enough = self._operations() + self.random.randrange(LOAD)
        until(lambda: self._operations() >= enough or not any(thread.is_alive() for thread in threads), within=120)
        time.sleep(self.random.uniform(0, TAIL))
        self.engine.kill()
        self.kills += 1
        shop.closed.set()
        for thread in threads:
            thread.join()
        self._meanwhile()
        self.engine.start()
        for worker in self.workers:
            self.found += [f"kill {self.kills}: {fault}" for fault in worker.faults]
            worker.faults.clear()
        self._compare()

    def _operations(self) -> int:
        return sum(worker.operations for worker in self.workers)

    def _meanwhile(self) -> None:
        """What happens while no engine runs: nothing, an end, the next engine's early death."""
        boxes = [box for worker in self.workers for box in worker.boxes if box.states == {"running"}]
        if (alive := [box for box in boxes if box.pid]) and self.random.random() < 0.4:
            box = self.random.choice(alive)
            with contextlib.suppress(ProcessLookupError):
                os.kill(box.pid, signal.SIGKILL)
            box.ended_alone(137)
            for member in boxes:
                if member.target is box and not member.pid:  # its restart was cut off: it waits for its target now
                    member.states.add("restarting")
        if self.random.random() < 0.3:
            self.engine.die_in_its_start(self.random.uniform(0.1, 0.6))
            self.kills += 1

    def _compare(self) -> None:
        wrong = [fault for worker in self.workers for box in tuple(worker.boxes) for fault in self._look_at(worker, box)]
        wrong += self._namespaces()
        known = {container.name: container.id for container in shown(self.engine)}
        self.ids |= set(known.values()).union(*(worker.ids for worker in self.workers))
        owned = {box.name for worker in self.workers for box in worker.boxes}
        wrong += [f"{name} was never asked for, or was removed" for name in known if name not in owned]
        wrong += settled(self.engine, self.ids)
        self.found += [f"kill {self.kills}: {fault}" for fault in wrong]

    def _look_at(self, worker: Worker, box: Box) -> Iterator[str]:
        with contextlib.suppress(AssertionError):
            until(lambda: status_of(self.engine, box.name)[0] in box.final(), within=15)
        status, code, pid = status_of(self.engine, box.name)
        if status not in box.final():
            yield f"{box.name} is {status} ({code}), and should be one of {sorted(box.final())}"
        if status == "exited" and code not in box.codes:
            yield f"{box.name} ended with {code}, and should have with one of {sorted(box.codes)}"
        if status == "running":
            yield from box.answers(self.engine, self.outside)
        if status != "absent":
            yield from box.log_is_whole(self.engine, ended=status == "exited")
        worker.saw(box, status, pid)

    def _namespaces(self) -> Iterator[str]:
        members = [box for worker in self.workers for box in worker.boxes if box.target and box.states == {"running"}]
        for box in members:
            if box.target and box.target.states == {"running"}:
                own, targets = (Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in (box.pid, box.target.pid))
                if own != targets:
                    yield f"{box.name} is not in the namespace of {box.target.name}"


@contextlib.contextmanager
def campaign(folder: Path, random: Random) -> Iterator[Campaign]:
    """A host with an engine, a registry with an image, and the clients."""
    with Host(folder / "host.net") as host, Host(folder / "outside.net") as outside:
        join(host, outside)
        Registry(host, folder / "registry").start()
        with Killed(host, folder / "e", "--insecure-registry", REGISTRY) as engine:
            _publish_image(engine, random)
            workers = [Worker(engine, number, Random(random.random())) for number in range(WORKERS)]
            yield Campaign(engine, outside, random, workers)


def _publish_image(engine: Engine, random: Random) -> None:
    """Put an image of some size into the registry, and not into the engine."""
    archive = engine.folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        entry = tarfile.TarInfo("noise")
        entry.size = 2 << 20
        tar.addfile(entry, io.BytesIO(random.randbytes(entry.size)))
    engine.docker("import", archive, f"{REGISTRY}/image:1")
    engine.docker("push", f"{REGISTRY}/image:1")
    engine.docker("rmi", f"{REGISTRY}/image:1")


def run(scale: Scale) -> Result:
    """Kill the engine 200 times: the engines of two hosts, side by side."""
    with ThreadPoolExecutor(HOSTS) as hosts:
        results = list(hosts.map(partial(_run, scale), range(HOSTS)))
    tried = f"{sum(kills for kills, *_ in results)} kills among {sum(done for _, done, *_ in results):,} operations"
    notes = f"{sum(cut for _, _, cut, _ in results)} of them cut off, {len(KINDS)} kinds of containers"
    return Result(tried=tried, notes=notes, found=[fault for *_, found in results for fault in found])


def _run(scale: Scale, number: int) -> tuple[int, int, int, list[str]]:
    folder = scale.folder / str(number)
    folder.mkdir()
    with campaign(folder, Random(scale.seed * HOSTS + number)) as tried:
        while tried.kills < scale.times(200 // HOSTS, least=3):
            tried.round()
        return tried.kills, sum(w.operations for w in tried.workers), sum(w.cut_off for w in tried.workers), tried.found
