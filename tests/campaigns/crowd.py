"""Fifty clients at once: they create, run, stop, restart, rename, remove, publish and execute, on the same few names and ports."""

import asyncio
import time
from collections import Counter
from random import Random

from tests.campaigns.campaign import Result, Scale
from tests.clients import Answer, Crowd, box, published
from tests.engines import Engine
from tests.hosts import Host
from tests.leaks import settled

CLIENTS = 50
SECONDS = 120
NAMES = 12
PORTS = 4
EXPECTED = {
    "could not get container",
    "is already in use",
    "port is already allocated",
    "address already in use",
    "No such container",
    "No such exec",
    "is not running",
    "is already paused",
    "is not paused",
    "is paused",
    "cannot start a paused container",
    "container is running",
    "is restarting",
    "cannot join network namespace",
    "cannot join own network namespace",
    "joining network namespace",
    "same name as its current name",
}
"""Parts of what a client may hear when others are at the same containers."""


class Mix:
    """What the clients do, drawn at random."""

    def __init__(self, crowd: Crowd, random: Random) -> None:
        self._crowd = crowd
        self._random = random
        self.done: Counter[str] = Counter()
        self.found: list[str] = []
        self.ids: list[str] = []

    async def client(self, until: float) -> None:
        """One of the clients, for as long as the campaign lasts."""
        while time.monotonic() < until and not self.found:
            await self._random.choice((self._create, self._create, self._act, self._act, self._act, self._execute, self._look))()

    async def _create(self) -> None:
        body = self._random.choice((box(), box("true"), box(NetworkMode="none"), box(NetworkMode="host"), box("true", AutoRemove=True)))
        body = self._random.choice((body, published(8000 + self._random.randrange(PORTS)), box(NetworkMode=f"container:{self._name()}")))
        answer = await self._ask("create", "POST", f"/containers/create?name={self._name()}", body)
        if answer.status == 201:
            self.ids.append(answer.json["Id"])
            await self._ask("start", "POST", f"/containers/{answer.json['Id']}/start")

    async def _act(self) -> None:
        name = self._name()
        paths = {f"{action}": f"/containers/{name}/{action}" for action in ("start", "kill", "pause", "unpause")}
        paths |= {"stop": f"/containers/{name}/stop?t=0", "restart": f"/containers/{name}/restart?t=0"}
        paths["rename"] = f"/containers/{name}/rename?name={self._name()}"
        paths["rm"] = paths["rm -f"] = f"/containers/{name}"
        action = self._random.choice((*paths, "rm -f"))
        path = f"{paths[action]}?force=1" if action == "rm -f" else paths[action]
        await self._ask(action, "DELETE" if action.startswith("rm") else "POST", path)

    async def _execute(self) -> None:
        made = await self._ask("exec", "POST", f"/containers/{self._name()}/exec", {"Cmd": ["true"], "AttachStdout": True})
        if made.status == 201:
            await self._ask("exec", "POST", f"/exec/{made.json['Id']}/start", {})

    async def _look(self) -> None:
        listed = await self._ask("ps", "GET", "/containers/json?all=1")
        for entry in listed.json[:2]:
            await self._ask("inspect", "GET", f"/containers/{entry['Id']}/json")

    async def _ask(self, what: str, method: str, path: str, body: object = None) -> Answer:
        answer = await self._crowd.ask(method, path, body)
        self.done[what] += 1
        if answer.status >= 400 and not any(words in answer.message for words in EXPECTED):
            self.found.append(f"{what} of {path}: {answer.status} {answer.message}")
        return answer

    def _name(self) -> str:
        return f"n{self._random.randrange(NAMES)}"


def run(scale: Scale) -> Result:
    clients, seconds = scale.times(CLIENTS, least=10), max(6.0, SECONDS * scale.share)
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine:

        async def main() -> Mix:
            async with Crowd(engine.socket) as crowd:
                mix = Mix(crowd, scale.random())
                until = time.monotonic() + seconds
                await asyncio.gather(*(mix.client(until) for _ in range(clients)))
                return mix

        mix = asyncio.run(main())
        left = settled(engine, mix.ids, within=30)
        done = ", ".join(f"{count} {what}" for what, count in sorted(mix.done.items()))
        traces = ["a traceback in the engine's log"] if "Traceback" in engine.log else []
        return Result(tried=f"{mix.done.total()} requests of {clients} clients ({done})", found=[*mix.found, *left, *traces])
