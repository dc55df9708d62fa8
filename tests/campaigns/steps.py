"""The engine is killed at every step of every operation, one after the other, and the next one must come up clean."""

import contextlib
import http.client
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.campaigns import dying
from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host, join, until
from tests.leaks import settled
from tests.registries import REGISTRY, Registry

CUT_OFF = (OSError, http.client.HTTPException, AssertionError)
"""What a client sees when the engine dies."""
SERVER = "mkdir -p /www; echo box >/www/index.html; exec httpd -f -h /www"
ENDING = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"
KILLED = 137
HOSTS = 2
"""Hosts that work side by side: an engine that starts waits as long as it computes."""


class Mortal(Engine):
    """An engine that can be told to die at a step."""

    def __init__(self, host: Host, folder: Path, *flags: str) -> None:
        super().__init__(host, folder, *flags)
        self.control = folder / "control"
        self.program = (sys.executable, "-X", "faulthandler", str(Path(dying.__file__)), str(self.control))
        self.ids: set[str] = set()

    def arm(self, number: int) -> None:
        """Die at this step from now on; 0: only count."""
        Path(f"{self.control}.steps").write_text("")
        written = self.control.with_suffix(".new")
        written.write_text(str(number))
        written.rename(self.control)

    def disarm(self) -> None:
        self.control.unlink(missing_ok=True)

    @property
    def steps(self) -> list[str]:
        """The steps since `arm`."""
        return Path(f"{self.control}.steps").read_text().splitlines()

    def died(self) -> bool:
        """Whether it has killed itself."""
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def close(self) -> None:
        if self.died():
            self.start_again()
        super().close()

    def start_again(self) -> None:
        """Start the next engine after a death."""
        self.disarm()
        self.kill()
        Engine.start(self)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask the API; AssertionError for a refusal."""
        status, answer = self.api(method, path, body)
        assert status < 400 or status == 404, f"{method} {path}: {status} {answer}"
        return answer

    def create(self, name: str, script: str, **host: Any) -> str:
        made = self.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": host})
        self.ids.add(made["Id"])
        return str(made["Id"])

    def run_container(self, name: str, script: str, **host: Any) -> None:
        self.call("POST", f"/containers/{self.create(name, script, **host)}/start")

    def state(self, name: str) -> dict[str, Any] | None:
        """What inspect says of a container's state, None if there is no such container."""
        status, found = self.api("GET", f"/containers/{name}/json")
        state: dict[str, Any] | None = found["State"] if status == 200 else None
        return state

    def await_ready(self, name: str) -> None:
        """Wait until a container that runs `ENDING` can be ended."""
        until(lambda: "ready" in str(self.api("GET", f"/containers/{name}/logs?stdout=1")[1]), what="it is ready to end")

    def end_itself(self, name: str) -> None:
        """Let the container end by itself, as `ENDING` does."""
        self.await_ready(name)
        state = self.state(name)
        assert state
        os.kill(state["Pid"], signal.SIGTERM)
        until(lambda: not Path(f"/proc/{state['Pid']}").exists(), what="it ends")

    def clear(self) -> None:
        """Remove every container but the bystander."""
        for entry in self.call("GET", "/containers/json?all=1"):
            if "/bystander" not in entry["Names"]:
                self.call("DELETE", f"/containers/{entry['Id']}?force=1")


def published(port: int) -> dict[str, Any]:
    return {"PortBindings": {"80/tcp": [{"HostPort": str(port)}]}}


@dataclass(frozen=True)
class Scenario:
    """An operation, what must be there before it, and what may be there after it was cut off and a new engine came up."""

    name: str
    act: Callable[[Mortal], object]
    allowed: set[tuple[str, int]]
    """Status and exit code of the container `box`; ("absent", 0) if there is none."""
    prepare: Callable[[Mortal], object] = lambda _: None
    done: tuple[str, int] | None = None
    """What must be there if nothing cut it off; None: what is allowed."""
    others: dict[str, str] = field(default_factory=dict)
    """The status that further containers come to, by name."""


def _serving(engine: Mortal) -> None:
    engine.run_container("box", SERVER, **published(8080))
    engine.wait_listening("box", 80)


def _on_front(engine: Mortal) -> None:
    """A server on one of two networks."""
    for name in ("front", "back"):
        engine.api("POST", "/networks/create", {"Name": name})  # there is one already, after the first time
    engine.run_container("box", SERVER, NetworkMode="front", **published(8080))
    engine.wait_listening("box", 80)


def _on_both(engine: Mortal) -> None:
    _on_front(engine)
    _connect(engine)


def _connect(engine: Mortal) -> None:
    """The default route, and with it the published port, goes by the new network."""
    engine.call("POST", "/networks/back/connect", {"Container": "box", "EndpointConfig": {"GwPriority": 1}})


def _disconnect(engine: Mortal) -> None:
    engine.call("POST", "/networks/back/disconnect", {"Container": "box"})


def _ending(engine: Mortal, **host: Any) -> None:
    engine.run_container("box", ENDING, **host)


def _ended(engine: Mortal) -> None:
    _ending(engine)
    engine.end_itself("box")
    until(lambda: (engine.state("box") or {}).get("Status") == "exited", what="it ends")


def _exec(engine: Mortal) -> None:
    made = engine.call("POST", "/containers/box/exec", {"Cmd": ["echo", "hello"], "AttachStdout": True})
    said = engine.api("POST", f"/exec/{made['Id']}/start", {"Detach": False})[1]
    assert "hello" in str(said)


def _pull(engine: Mortal) -> None:
    assert "Digest" in str(engine.call("POST", f"/images/create?fromImage={REGISTRY}/pulled&tag=1"))
    engine.run_container("box", "sleep 100")


def _rm_member(engine: Mortal) -> None:
    engine.run_container("box", "exit 3", AutoRemove=True, NetworkMode="container:bystander")
    until(lambda: engine.state("box") is None, what="it is removed")


def _forget_pulled(engine: Mortal) -> None:
    engine.api("DELETE", f"/images/{REGISTRY}/pulled:1?force=1")


def _three_ending(engine: Mortal) -> None:
    """Three containers that end while no engine runs: the next engine's start has something to do."""
    _ending(engine)
    engine.run_container("again", ENDING, RestartPolicy={"Name": "always"}, **published(8081))
    engine.run_container("once", ENDING, AutoRemove=True)


def _ends_and_start(engine: Mortal) -> None:
    names = ("box", "again", "once")
    for name in names:
        engine.await_ready(name)
    pids = [state["Pid"] for state in map(engine.state, names) if state]
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), what="it ends")  # type: ignore[misc]
    engine.start()


ABSENT, CREATED, RUNNING = ("absent", 0), ("created", 0), ("running", 0)
STOPPED, ENDED = ("exited", KILLED), ("exited", 7)
SCENARIOS = (
    Scenario("run -p", _serving, {ABSENT, CREATED, RUNNING}, done=RUNNING),
    Scenario("stop", lambda engine: engine.call("POST", "/containers/box/stop?t=0"), {RUNNING, STOPPED}, _serving, STOPPED),
    Scenario("restart", lambda engine: engine.call("POST", "/containers/box/restart?t=0"), {RUNNING}, _serving, RUNNING),
    Scenario("start", lambda engine: engine.call("POST", "/containers/box/start"), {ENDED, RUNNING}, _ended, RUNNING),
    Scenario("rm", lambda engine: engine.call("DELETE", "/containers/box"), {ENDED, ABSENT}, _ended, ABSENT),
    Scenario("rm -f", lambda engine: engine.call("DELETE", "/containers/box?force=1"), {RUNNING, STOPPED, ABSENT}, _serving, ABSENT),
    Scenario("connect", _connect, {RUNNING}, _on_front),
    Scenario("disconnect", _disconnect, {RUNNING}, _on_both),
    Scenario("exec", _exec, {RUNNING}, _serving),
    Scenario("its own end", lambda engine: engine.end_itself("box"), {ENDED}, _ending),
    Scenario("its own end, --rm", lambda engine: engine.end_itself("box"), {ABSENT}, lambda engine: _ending(engine, AutoRemove=True)),
    Scenario(
        "its own end, --restart always",
        lambda engine: engine.end_itself("box"),
        {RUNNING},
        lambda engine: _ending(engine, RestartPolicy={"Name": "always"}),
    ),
    Scenario("run --rm, container mode", _rm_member, {ABSENT, CREATED}, done=ABSENT),
    Scenario("start of the engine", _ends_and_start, {ENDED}, _three_ending, others={"again": "running", "once": "absent"}),
    Scenario("pull and run", _pull, {ABSENT, CREATED, RUNNING}, _forget_pulled, RUNNING),
)


@dataclass
class Trial:
    """One host, its engine and its neighbour; counts what was tried."""

    engine: Mortal
    outside: Host
    found: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    deaths: int = 0

    def cut_off(self, scenario: Scenario, number: int) -> bool:
        """Kill the engine at the `number`th step (0: never) and look at what the next one makes of it; False if it lived through all."""
        scenario.prepare(self.engine)
        self.known |= set(settled(self.engine, self.engine.ids, known=self.known))  # found before, and told
        self.engine.arm(number)
        try:
            scenario.act(self.engine)
            wrong = settled(self.engine, self.engine.ids, known=self.known)  # the clean-up that follows the answer has steps too
        except CUT_OFF as error:
            wrong = [f"{type(error).__name__}: {error}"]
        died = bool(number) and len(self.engine.steps) >= number and until(self.engine.died, what="it dies")
        if died:
            self.deaths += 1
            place = f"{scenario.name}, killed at step {number}, {self.engine.steps[-1]}"
            self.engine.start_again()
            wrong = settled(self.engine, self.engine.ids, known=self.known)
        else:
            place = scenario.name
            self.engine.disarm()
        wrong += self._state(scenario, cut_off=died)
        self.found += [f"{place}: {fault}" for fault in wrong]
        self.engine.clear()
        return died

    def _state(self, scenario: Scenario, *, cut_off: bool) -> Iterator[str]:
        allowed = scenario.allowed if cut_off or scenario.done is None else {scenario.done}
        with contextlib.suppress(AssertionError):
            until(lambda: self._seen() in allowed, within=10)
        seen = self._seen()
        if seen not in allowed:
            yield f"box is {seen}"
        for name, status in scenario.others.items():
            with contextlib.suppress(AssertionError):
                until(lambda name=name, status=status: self._seen(name)[0] == status, within=10)  # type: ignore[misc]
            if self._seen(name)[0] != status:
                yield f"{name} is {self._seen(name)}"
        if seen == RUNNING and self._ports("box") and b"box" not in self.outside.ask_http(HOST_ADDRESS, 8080):
            yield "the published port does not answer"
        if b"bystander" not in self.outside.ask_http(HOST_ADDRESS, 9090):
            yield "the bystander does not answer"
        if seen in (CREATED, STOPPED, ENDED) and (refusal := self.engine.api("POST", "/containers/box/start"))[0] != 204:
            yield f"box cannot be started: {refusal}"

    def _seen(self, name: str = "box") -> tuple[str, int]:
        state = self.engine.state(name)
        return (state["Status"], state["ExitCode"]) if state else ABSENT

    def _ports(self, name: str) -> dict[str, Any]:
        ports: dict[str, Any] = self.engine.call("GET", f"/containers/{name}/json")["NetworkSettings"]["Ports"]
        return ports


@contextlib.contextmanager
def trial(folder: Path) -> Iterator[Trial]:
    """A host with an engine that can die, a bystander that nobody touches, and a registry."""
    with Host(folder / "host.net") as host, Host(folder / "outside.net") as outside:
        join(host, outside)
        Registry(host, folder / "registry").start()
        with Mortal(host, folder / "e", "--insecure-registry", REGISTRY) as engine:
            engine.run_container("bystander", "mkdir -p /www; echo bystander >/www/index.html; exec httpd -f -h /www", **published(9090))
            engine.wait_listening("bystander", 80)
            engine.docker("tag", "busybox", f"{REGISTRY}/pulled:1")
            engine.docker("push", f"{REGISTRY}/pulled:1")
            yield Trial(engine, outside)


def run(scale: Scale, scenarios: tuple[Scenario, ...] = SCENARIOS) -> Result:
    """Kill at every step, or at so many of them, spread over all, as the share says; on two hosts side by side."""
    with ThreadPoolExecutor(HOSTS) as hosts:
        shares = [(replace(scale, folder=scale.folder / str(number)), scenarios[number::HOSTS]) for number in range(HOSTS)]
        results = list(hosts.map(_run, *zip(*shares, strict=True)))
    deaths, found = sum(deaths for deaths, _ in results), [fault for _, faults in results for fault in faults]
    return Result(tried=f"{deaths} deaths in {len(scenarios)} operations", found=found)


def _run(scale: Scale, scenarios: tuple[Scenario, ...]) -> tuple[int, list[str]]:
    scale.folder.mkdir()
    with trial(scale.folder) as tried:
        for scenario in scenarios:
            tried.cut_off(scenario, 0)
            steps = ["", *tried.engine.steps]
            numbers = [number for number in range(1, len(steps)) if steps[number] != steps[number - 1]]
            for number in sorted(scale.random().sample(numbers, scale.times(len(numbers), least=2))):
                tried.cut_off(scenario, number)
        return tried.deaths, tried.found
