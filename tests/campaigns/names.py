"""Containers come and go, move and are renamed while engine and resolver are killed: everybody knows whom it should, and nobody else."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import Host, until
from tests.nameservers import ask

NETWORKS = ("alpha", "beta", "gamma")
NAMES = tuple(f"box{number}" for number in range(8))
ALIASES = ("www", "db")
SERVED = 30.0
"""Seconds within which there is a resolver again; questions wait for it."""


@dataclass
class Box:
    """A container as it should be: its networks with its aliases there."""

    running: bool = True
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Town:
    """Containers of an engine, what is done to them at random, and who should know whom."""

    def __init__(self, engine: Engine, random: Random) -> None:
        self.boxes: dict[str, Box] = {}
        self.asked = 0
        self.kills = 0
        self._engine = engine
        self._random = random
        for network in NETWORKS:
            engine.docker("network", "create", network)

    def act(self) -> str:
        """Do something; returns what."""
        running = [name for name, box in self.boxes.items() if box.running]
        stopped = [name for name, box in self.boxes.items() if not box.running]
        free = [name for name in NAMES if name not in self.boxes]
        possible: list[tuple[Callable[[str], str], list[str]]] = [
            (self._run, free),
            (self._run, free),
            (self._stop, running),
            (self._start, stopped),
            (self._remove, [*running, *stopped]),
            (self._rename, [*running, *stopped] if free else []),
            (self._connect, [name for name in running if len(self.boxes[name].networks) < len(NETWORKS)]),
            (self._disconnect, [name for name in running if len(self.boxes[name].networks) > 1]),
            (self._kill, ["engine", "resolver", "both"] if running else []),
        ]
        action, among = self._random.choice([(action, among) for action, among in possible if among])
        return action(self._random.choice(among))

    def faults(self) -> Iterator[str]:
        """Ask in one of the containers for every name that there may be."""
        running = [name for name, box in self.boxes.items() if box.running]
        if not running:
            return
        seats = {name: self._seats(name) for name in running}
        asker = self._random.choice(running)
        inside = self._engine.inside(asker)
        for name in (*NAMES, *ALIASES, *(f"{NAMES[0]}.{network}" for network in NETWORKS)):
            self.asked += 1
            answer = ask(inside, name, timeout=SERVED)
            wanted = self._wanted(asker, name, seats)
            if answer.addresses != wanted or (answer.code == "NOERROR") != bool(wanted):
                yield f"{asker} ({', '.join(seats[asker])}) asks for {name}: {answer.code} {answer.addresses} instead of {wanted}"

    def _wanted(self, asker: str, name: str, seats: dict[str, dict[str, str]]) -> list[str]:
        """Return what the first of the asker's networks has for the name; all are equal, so that their names decide."""
        name, _, only = name.partition(".")
        for network in sorted(seats[asker]):
            known = [other for other in seats if network in seats[other] and name in (other, *self.boxes[other].networks[network])]
            if known and only in ("", network):
                return sorted(seats[other][network] for other in known)
        return []

    def _seats(self, name: str) -> dict[str, str]:
        found: dict[str, Any] = self._engine.inspect(name)["NetworkSettings"]["Networks"]
        return {network: seat["IPAddress"] for network, seat in found.items()}

    def _run(self, name: str) -> str:
        network, aliases = self._random.choice(NETWORKS), self._some_aliases()
        flags = [word for alias in aliases for word in ("--network-alias", alias)]
        self._engine.docker("run", "-d", "--name", name, "--network", network, *flags, "busybox", "sleep", "10000")
        self.boxes[name] = Box(networks={network: aliases})
        return f"run {name} on {network}"

    def _stop(self, name: str) -> str:
        self._engine.docker("stop", "-t", "0", name)
        self.boxes[name].running = False
        return f"stop {name}"

    def _start(self, name: str) -> str:
        self._engine.docker("start", name)
        self.boxes[name].running = True
        return f"start {name}"

    def _remove(self, name: str) -> str:
        self._engine.docker("rm", "-f", name)
        del self.boxes[name]
        return f"rm {name}"

    def _rename(self, name: str) -> str:
        new = self._random.choice([other for other in NAMES if other not in self.boxes])
        self._engine.docker("rename", name, new)
        self.boxes[new] = self.boxes.pop(name)
        return f"rename {name} {new}"

    def _connect(self, name: str) -> str:
        box, aliases = self.boxes[name], self._some_aliases()
        network = self._random.choice([other for other in NETWORKS if other not in box.networks])
        self._engine.docker("network", "connect", *(word for alias in aliases for word in ("--alias", alias)), network, name)
        box.networks[network] = aliases
        return f"connect {name} {network}"

    def _disconnect(self, name: str) -> str:
        network = self._random.choice(list(self.boxes[name].networks))
        self._engine.docker("network", "disconnect", network, name)
        del self.boxes[name].networks[network]
        return f"disconnect {name} {network}"

    def _kill(self, what: str) -> str:
        self.kills += 1
        pid = int(until(lambda: self._engine.api("GET", "/linkspan/dns/status")[1].get("Pid"), within=SERVED, what="there is a resolver"))
        if what != "resolver":
            self._engine.kill()
        if what != "engine":
            os.kill(pid, signal.SIGKILL)
        if what != "resolver":
            self._engine.start()
        return f"kill {what}"

    def _some_aliases(self) -> tuple[str, ...]:
        return tuple(alias for alias in ALIASES if self._random.random() < 0.4)


def run(scale: Scale) -> Result:
    """Do 600 things, and ask after each of them."""
    found: list[str] = []
    (scale.folder / "resolv.conf").touch()  # nobody to ask: what nobody knows is answered at once
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e", f"--resolv-conf={scale.folder}/resolv.conf") as engine:
        town, times, history = Town(engine, scale.random()), scale.times(600), []
        for number in range(times):
            history.append(town.act())
            found += [f"after {number + 1} ({', '.join(history[-3:])}): {fault}" for fault in town.faults()]
    tried = f"{times} changes, {town.kills} of them kills of engine, resolver or both, and {town.asked:,} questions"
    return Result(tried=tried, found=found)
