"""All or nothing: each step of an operation fails in turn, and the host is as it was.

The steps are found by running the operation: every call of a public function of `kernel`, of the runtime and of the store that
changes something. A new step is covered the day it is written.
"""

import asyncio
import errno
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from ipaddress import IPv4Address
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

from linkspan.config import load
from linkspan.engine.engine import Engine, open_engine
from linkspan.engine.requests import CreateRequest, ExecRequest
from linkspan.errors import EngineError, KernelError
from linkspan.kernel import address, bridge, link, mount, netns, nft, ports, route, sysctl
from linkspan.model.container import NetworkConfig, NetworkMode
from linkspan.model.publish import Port, PortRequest
from linkspan.runtime.monitor import Runtime
from linkspan.store.sqlite import SqliteStore
from tests.engines import processes
from tests.hosts import Host

pytestmark = pytest.mark.kernel

T = TypeVar("T")
CHANGES_OF_THE_STORE = [name for name in vars(SqliteStore) if name.startswith(("put_", "delete_", "reserve"))]
CHANGES_OF_THE_RUNTIME = ["create", "start", "exec"]


class Saboteur:
    """Counts the steps, and makes one of them fail."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._target = 0

    def arm(self, number: int) -> None:
        """Let the `number`th step from now on fail."""
        self.steps, self._target = [], number

    def disarm(self) -> None:
        self._target = 0

    def step(self, name: str) -> None:
        if not self._target:
            return
        self.steps.append(name)
        if len(self.steps) == self._target:
            self.disarm()  # what takes the steps back works
            raise KernelError(f"sabotage of {name}", errno.EIO)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def stepping(*args: Any, **options: Any) -> Any:
            self.step(name)
            return function(*args, **options)

        return stepping


@pytest.fixture
def saboteur(monkeypatch: pytest.MonkeyPatch) -> Saboteur:
    made = Saboteur()

    def watch(owner: type | ModuleType, names: list[str]) -> None:
        for name in names:
            monkeypatch.setattr(owner, name, made.around(f"{owner.__name__}.{name}", getattr(owner, name)))

    for module in (address, bridge, link, mount, netns, ports, route, sysctl):
        watch(module, [name for name, found in vars(module).items() if inspect.isfunction(found) and _public(found, module)])
    watch(nft.Firewall, ["apply"])
    watch(Runtime, CHANGES_OF_THE_RUNTIME)
    watch(SqliteStore, CHANGES_OF_THE_STORE)
    return made


def _public(function: Callable[..., Any], module: ModuleType) -> bool:
    return function.__module__ == module.__name__ and not function.__name__.startswith("_")


def in_engine(host: Host, folder: Path, work: Callable[[Engine], Coroutine[None, None, T]]) -> T:
    """Run `work` with an engine of this process, in the host's namespace."""

    async def main() -> T:
        flags = ["--data-root", str(folder / "data"), "--exec-root", str(folder / "run"), "--config-file", str(folder / "daemon.json")]
        flags.append("--repair=false")  # what looks after the host by itself would have steps in between
        engine = await open_engine(load(flags))
        try:
            return await work(engine)
        finally:
            for view in engine.containers.list(all=True):
                await engine.lifecycle.remove(view.container.id, force=True)
            await engine.close()

    (folder / "daemon.json").write_text("{}")
    return host.run(lambda: asyncio.run(main()))


def snapshot(folder: Path, engine: Engine) -> dict[str, object]:
    """Everything that an operation could leave behind. Called in the host's namespace."""
    from linkspan.kernel.process import run_sync  # noqa: PLC0415  not one of the steps

    def said(*command: str) -> str:
        return run_sync(*command).output

    links = [(entry["ifname"], sorted(info["local"] for info in entry["addr_info"])) for entry in json.loads(said("ip", "-j", "addr"))]
    store = engine._store
    return {
        "links": [(name, addresses) for name, addresses in links if not name.startswith("fe80")],
        "routes": said("ip", "route"),
        "rules": said("nft", "list", "ruleset"),
        "ports": said("ss", "-Htuln"),
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line),
        "processes": sorted(processes(folder).values()),
        "namespaces": sorted(path.name for path in (folder / "run" / "netns").iterdir()),
        "monitors": sorted(path.name for path in (folder / "run" / "monitor").glob("*")),
        "containers": sorted(path.name for path in (folder / "data" / "containers").iterdir()),
        "records": [(container.id, container.name, container.state.status, container.publishes) for container in store.containers()],
        "sandboxes": store.sandboxes(),
        "endpoints": store.endpoints(),
        "taken": {network.id: {a for a, released in store.taken(network.id).items() if released is None} for network in store.networks()},
    }


def request(name: str, mode: str = "bridge", **network: Any) -> CreateRequest:
    config = NetworkConfig(mode=NetworkMode.parse(mode), **network)
    return CreateRequest(image="busybox", name=name, cmd=("sleep", "100"), network=config)


PUBLISHED = {
    "requests": (
        PortRequest(port=Port(80), first=8080, last=8080),
        PortRequest(port=Port(81), host_ip=IPv4Address("127.0.0.1"), first=8081, last=8081),
    )
}


async def fails_at_every_step(saboteur: Saboteur, folder: Path, engine: Engine, operation: Callable[[], Awaitable[object]]) -> list[str]:
    """Make each step of the operation fail in turn; returns the steps of the run that nobody disturbed."""
    number = 0
    while True:
        number += 1
        before = await asyncio.to_thread(snapshot, folder, engine)
        saboteur.arm(number)
        try:
            await operation()
        except EngineError as error:
            assert "sabotage" in str(error), f"step {number}: {error}"  # noqa: PT017  which one is told
            after = await asyncio.to_thread(snapshot, folder, engine)
            assert after == before, f"{saboteur.steps[-1]}, step {number}, left something"
        else:
            saboteur.disarm()
            assert len(saboteur.steps) == number - 1, f"{saboteur.steps[number - 1]}, step {number}, failed unnoticed"
            return saboteur.steps


@pytest.mark.parametrize(
    ("mode", "network", "expected"),
    [
        ("bridge", {}, {"linkspan.kernel.netns.create", "linkspan.kernel.link.create_veth", "linkspan.kernel.mount.overlay"}),
        ("bridge", PUBLISHED, {"linkspan.kernel.ports.reserve", "Firewall.apply"}),
        ("none", {}, {"linkspan.kernel.netns.create", "Runtime.start"}),
        ("host", {}, {"Runtime.create", "SqliteStore.put_container"}),
        ("container:target", {}, {"Runtime.create"}),
    ],
)
def test_start(host: Host, tmp_path: Path, saboteur: Saboteur, mode: str, network: dict[str, Any], expected: set[str]) -> None:
    async def work(engine: Engine) -> list[str]:
        await engine.containers.create(request("target"))
        await engine.lifecycle.start("target")
        await engine.containers.create(request("box", mode, **network))
        return await fails_at_every_step(saboteur, tmp_path, engine, lambda: engine.lifecycle.start("box"))

    assert expected <= set(in_engine(host, tmp_path, work))


def test_create(host: Host, tmp_path: Path, saboteur: Saboteur) -> None:
    async def work(engine: Engine) -> list[str]:
        return await fails_at_every_step(saboteur, tmp_path, engine, lambda: engine.containers.create(request("box")))

    assert "SqliteStore.put_container" in in_engine(host, tmp_path, work)


def test_rename(host: Host, tmp_path: Path, saboteur: Saboteur) -> None:
    async def work(engine: Engine) -> list[str]:
        await engine.containers.create(request("box"))
        return await fails_at_every_step(saboteur, tmp_path, engine, lambda: engine.containers.rename("box", "other"))

    assert in_engine(host, tmp_path, work) == ["SqliteStore.put_container"]


def test_exec(host: Host, tmp_path: Path, saboteur: Saboteur) -> None:
    async def work(engine: Engine) -> list[str]:
        await engine.containers.create(request("box"))
        await engine.lifecycle.start("box")

        async def run() -> None:
            made = await engine.execs.create("box", ExecRequest(cmd=("true",)))
            streams = await engine.execs.start(made, detach=False)
            assert streams is not None
            async for _ in streams:
                pass

        return await fails_at_every_step(saboteur, tmp_path, engine, run)

    assert in_engine(host, tmp_path, work) == ["Runtime.exec"]


def test_the_start_of_the_engine(host: Host, tmp_path: Path, saboteur: Saboteur) -> None:
    """An engine that cannot start leaves nothing that the next one does not mend."""
    number, done = 0, False
    while not done:
        number += 1
        saboteur.arm(number)
        try:
            in_engine(host, tmp_path, lambda _: asyncio.sleep(0))
            done = True
        except EngineError as error:
            assert "sabotage" in str(error)  # noqa: PT017  which one is told
        saboteur.disarm()
    assert number > 10
    links = json.loads(host.sh("ip", "-j", "addr", "show", "docker0"))
    assert [info["local"] for info in links[0]["addr_info"] if info["family"] == "inet"] == ["172.17.0.1"]
