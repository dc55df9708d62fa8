"""A model of what containers do, and a machine that lets the engine and the model do the same at random and compares them.

Hypothesis draws the steps; when the two disagree, it looks for the shortest way there.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.engines import Engine
from tests.hosts import until
from tests.leaks import settled

NAMES = ("ann", "bob", "cid", "dot")
MODES = ("bridge", "bridge", "none", "host", *(f"container:{name}" for name in NAMES))
PORTS = (None, 8080, 8080, 8081)
OWN_END = 7
"""The exit code of a container that ends by itself."""
KILLED = 137
REFUSED = 128
"""What a container that could not start has for an exit code."""
LIVE = "rm -f /end; while [ ! -e /end ]; do sleep 0.05; done; exit 7"


@dataclass
class Box:
    """What is known of a container."""

    id: str
    mode: str
    target: str = ""
    """Id of the container whose network it shares."""
    port: int | None = None
    status: str = "created"
    code: int = 0
    address: str = ""
    """Its own, from its first start to its end."""
    pid: int = 0

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused")


@dataclass
class World:
    """All containers by name."""

    boxes: dict[str, Box] = field(default_factory=dict)

    def by_id(self, container_id: str) -> Box | None:
        return next((box for box in self.boxes.values() if box.id == container_id), None)

    def hinders(self, box: Box) -> set[int]:
        """The statuses by which a start of a container that does not run is refused; empty if it succeeds."""
        if box.mode == "container":
            target = self.by_id(box.target)
            if target is None or target is box:
                return {404, 409, 500}
            return set() if target.running else {409}
        taken = box.port and any(other.running and other.port == box.port for other in self.boxes.values() if other is not box)
        return {409} if taken else set()


def body(name: str, mode: str, port: int | None) -> dict[str, Any]:
    served = f"mkdir -p /www; echo {name} >/www/index.html; httpd -p 80 -h /www; " if port else ""
    return {
        "Image": "busybox",
        "Cmd": ["sh", "-c", served + LIVE],
        "ExposedPorts": {"80/tcp": {}} if port else {},
        "HostConfig": {"NetworkMode": mode, "PortBindings": {"80/tcp": [{"HostPort": str(port)}]} if port else {}},
    }


class Machine(RuleBasedStateMachine):
    """The engine and the model, step by step."""

    engine: ClassVar[Engine]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.ids: list[str] = []

    def ask(self, method: str, path: str, wanted: set[int], content: object = None) -> Any:
        """Ask the engine; its answer must have one of the statuses."""
        status, answer = self.engine.api(method, path, content)
        assert status in wanted, f"{method} {path}: {status} {answer}, not {wanted}; {self.world}"
        return answer

    def act(self, name: str, action: str, wanted: set[int]) -> None:
        self.ask("POST", f"/containers/{name}/{action}", wanted)

    @rule(name=st.sampled_from(NAMES), mode=st.sampled_from(MODES), port=st.sampled_from(PORTS))
    def create(self, name: str, mode: str, port: int | None) -> None:
        port = port if mode == "bridge" else None
        kind, _, target = mode.partition(":")
        if name in self.world.boxes:
            self.ask("POST", f"/containers/create?name={name}", {409}, body(name, mode, port))
            return
        made = self.ask("POST", f"/containers/create?name={name}", {201}, body(name, mode, port))
        self.ids.append(made["Id"])
        held = self.world.boxes.get(target)
        self.world.boxes[name] = Box(id=made["Id"], mode=kind, port=port, target=held.id if held else target)

    @rule(name=st.sampled_from(NAMES), mode=st.sampled_from(MODES), port=st.sampled_from(PORTS))
    def run(self, name: str, mode: str, port: int | None) -> None:
        if name not in self.world.boxes:
            self.create(name, mode, port)
        self.start(name)

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        box = self.world.boxes.get(name)
        if box is None:
            self.act(name, "start", {404})
        elif box.running:
            self.act(name, "start", {409} if box.status == "paused" else {304})
        else:
            self._start(name, box, "start")

    @rule(name=st.sampled_from(NAMES))
    def restart(self, name: str) -> None:
        box = self.world.boxes.get(name)
        if box is None:
            self.act(name, "restart?t=0", {404})
            return
        if box.running:
            box.status, box.code = "exited", KILLED
        self._start(name, box, "restart?t=0")

    def _start(self, name: str, box: Box, action: str) -> None:
        if refused := self.world.hinders(box):
            self.act(name, action, refused)
            box.code = REFUSED
        else:
            self.act(name, action, {204})
            box.status, box.code, box.pid = "running", 0, 0

    @rule(name=st.sampled_from(NAMES))
    def stop(self, name: str) -> None:
        self._end(name, "stop?t=0", idle=304)

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        self._end(name, "kill", idle=409)

    def _end(self, name: str, action: str, idle: int) -> None:
        box = self.world.boxes.get(name)
        if box is None or not box.running:
            self.act(name, action, {idle if box else 404})
            return
        self.act(name, action, {204})
        box.status, box.code = "exited", KILLED

    @rule(name=st.sampled_from(NAMES), force=st.booleans())
    def remove(self, name: str, force: bool) -> None:
        box = self.world.boxes.get(name)
        refused = box is not None and box.running and not force
        wanted = {404} if box is None else {409} if refused else {204}
        self.ask("DELETE", f"/containers/{name}?force={int(force)}", wanted)
        if not refused:
            self.world.boxes.pop(name, None)

    @rule(name=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def rename(self, name: str, new: str) -> None:
        box = self.world.boxes.get(name)
        if box is None:
            wanted = {404}
        elif new == name:
            wanted = {400}
        else:
            wanted = {409} if new in self.world.boxes else {204}
        self.act(name, f"rename?name={new}", wanted)
        if wanted == {204}:
            self.world.boxes[new] = self.world.boxes.pop(name)

    @rule(name=st.sampled_from(NAMES))
    def pause(self, name: str) -> None:
        self._freeze(name, "pause", "running", "paused")

    @rule(name=st.sampled_from(NAMES))
    def unpause(self, name: str) -> None:
        self._freeze(name, "unpause", "paused", "running")

    def _freeze(self, name: str, action: str, status: str, new: str) -> None:
        box = self.world.boxes.get(name)
        wanted = {404} if box is None else {204} if box.status == status else {409}
        self.act(name, action, wanted)
        if box and wanted == {204}:
            box.status = new

    @rule(name=st.sampled_from(NAMES), code=st.integers(0, 3))
    def execute(self, name: str, code: int) -> None:
        box = self.world.boxes.get(name)
        wanted = {404} if box is None else {201} if box.status == "running" else {409}
        command = {"Cmd": ["sh", "-c", f"exit {code}"], "AttachStdout": True}
        made = self.ask("POST", f"/containers/{name}/exec", wanted, command)
        if wanted == {201}:
            self.ask("POST", f"/exec/{made['Id']}/start", {200}, {})
            assert self.ask("GET", f"/exec/{made['Id']}/json", {200})["ExitCode"] == code

    @precondition(lambda self: any(box.status == "running" for box in self.world.boxes.values()))
    @rule(data=st.data(), alone=st.booleans())
    def end_by_itself(self, data: st.DataObject, alone: bool) -> None:
        """A container ends; perhaps no engine sees it."""
        name = data.draw(st.sampled_from(sorted(key for key, box in self.world.boxes.items() if box.status == "running")))
        box = self.world.boxes[name]
        pid = self.ask("GET", f"/containers/{name}/json", {200})["State"]["Pid"]
        until(lambda: b"/end" in Path(f"/proc/{pid}/cmdline").read_bytes(), what="the container is the shell")
        until(lambda: not Path(f"/proc/{pid}/root/end").exists(), what="the container has begun")
        if alone:
            self.engine.kill()
        Path(f"/proc/{pid}/root/end").touch()
        if alone:
            until(lambda: not _alive(pid), what="the container ends")
            self.engine.start()
        until(lambda: not self.ask("GET", f"/containers/{name}/json", {200})["State"]["Running"], what="its end is recorded")
        box.status, box.code = "exited", OWN_END

    @rule(abruptly=st.booleans())
    def another_engine(self, abruptly: bool) -> None:
        if abruptly:
            self.engine.kill()
        else:
            self.engine.stop()
        self.engine.start()

    @invariant()
    def agree(self) -> None:
        """What the engine shows, and what the host holds, are as the model has it."""
        Machine.steps += 1
        listed = self.ask("GET", "/containers/json?all=1", {200})
        assert {entry["Names"][0][1:]: entry["State"] for entry in listed} == {name: box.status for name, box in self.world.boxes.items()}
        for name, box in self.world.boxes.items():
            self._agree_on(name, box)
        addresses = [box.address for box in self.world.boxes.values() if box.address]
        assert len(addresses) == len(set(addresses)), addresses
        members = self.ask("GET", "/networks/bridge", {200})["Containers"]
        assert set(members) == {box.id for box in self.world.boxes.values() if box.running and box.mode == "bridge"}
        assert settled(self.engine, self.ids) == []

    def _agree_on(self, name: str, box: Box) -> None:
        shown = self.ask("GET", f"/containers/{name}/json", {200})
        state = shown["State"]
        assert (shown["Id"], state["Status"], state["ExitCode"]) == (box.id, box.status, box.code), (name, state, box)
        if not box.running:
            return
        assert box.pid in (0, state["Pid"]), f"{name} is another process"
        box.pid = state["Pid"]
        if box.mode == "bridge":
            address = shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
            assert address
            assert box.address in ("", address), f"{name} had {box.address}, has {address}"
            box.address = address
        if box.port and box.status == "running":
            until(lambda: self._page(box.port), what=f"{name} answers on port {box.port}")

    def _page(self, port: int | None) -> bool:
        try:
            return b"200 OK" in self.engine.host.ask_http("127.0.0.1", port or 0)
        except OSError:
            return False

    @invariant()
    def free_ports_are_closed(self) -> None:
        for port in {8080, 8081} - {box.port for box in self.world.boxes.values() if box.running}:
            assert not self._page(port), f"somebody answers on port {port}"

    def teardown(self) -> None:
        for entry in self.ask("GET", "/containers/json?all=1", {200}):
            self.ask("DELETE", f"/containers/{entry['Id']}?force=1", {204})
        assert settled(self.engine, self.ids) == []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def compare(engine: Engine, *, examples: int, steps: int, seed: int | None = None) -> int:
    """Let both go that many ways; returns how many steps they went. `seed` None: always the same ways."""

    class Bound(Machine):
        pass

    Bound.engine = engine
    Machine.steps = 0
    if seed is not None:
        Bound._hypothesis_internal_use_seed = seed  # what hypothesis.seed does to a test
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=seed is None,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Bound, settings=chosen)
    return Machine.steps
