"""The clients of the campaign `kills`: what each does with its containers, and what it knows of them."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host
from tests.registries import REGISTRY

CUT_OFF = (OSError, http.client.HTTPException)
"""What a client sees when the engine dies."""
LINES = 150
OWN_CODE = 42
KILLED = 137
REFUSED = 128
"""Exit code of a container that could not be started."""
COUNTING = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done"
FINITE = f"i=0; while [ $i -lt {LINES} ]; do echo $i; i=$((i+1)); done; exit {OWN_CODE}"
IMAGE = f"{REGISTRY}/image"


@dataclass(frozen=True)
class Kind:
    """What a container is for, and what it may be once it has been started and left alone."""

    name: str
    script: str
    running: frozenset[str]
    final: frozenset[str]
    code: int = OWN_CODE
    """How it ends by itself."""
    host: dict[str, Any] = field(default_factory=dict)


def _kind(name: str, script: str, running: str, final: str = "", *, code: int = OWN_CODE, **host: Any) -> Kind:
    return Kind(name, script, frozenset(running.split()), frozenset((final or running).split()), code, host)


KINDS = (
    _kind("server", f"({COUNTING}) & mkdir -p /www; echo served >/www/index.html; exec httpd -f -h /www", "running"),
    _kind("counter", COUNTING, "running"),
    _kind("finite", FINITE, "running exited", "exited"),
    _kind("slow", f"sleep 0.7; {FINITE}", "running exited", "exited"),
    _kind("once", FINITE, "running absent", "absent", AutoRemove=True),
    _kind("always", "sleep 0.3; exit 1", "running restarting", code=1, RestartPolicy={"Name": "always"}),
    _kind(
        "stubborn",
        f"sleep 0.1; exit {OWN_CODE}",
        "running restarting exited",
        "exited",
        RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 2},
    ),
    _kind("member", COUNTING, "running"),
)


@dataclass(eq=False)
class Box:
    """A container as its client knows it."""

    name: str
    kind: Kind
    states: set[str] = field(default_factory=lambda: {"absent"})
    """What it may be. More than one while something is in flight, or while it does something by itself."""
    codes: set[int] = field(default_factory=set)
    port: int = 0
    pid: int = 0
    target: "Box | None" = None

    def final(self) -> set[str]:
        """What it may be when everything that goes on by itself has come to its end."""
        if "running" not in self.states:
            return self.states
        return (self.states - self.kind.running) | self.kind.final

    def ended_alone(self, code: int) -> None:
        """It was killed while no engine ran."""
        self.codes = {code}
        if self.kind.name != "always":
            self.states = {"exited"}

    def answers(self, engine: Engine, outside: Host) -> Iterator[str]:
        """What is wrong with its published port."""
        if not self.port:
            return
        engine.wait_listening(self.name, 80)
        try:
            answer = outside.ask_http(HOST_ADDRESS, self.port)
        except OSError as error:
            answer = str(error).encode()
        if b"served" not in answer:
            yield f"{self.name} does not answer on port {self.port}: {answer!r}"

    def log_is_whole(self, engine: Engine, *, ended: bool) -> Iterator[str]:
        """What is wrong with its log: every run counts from 0, and leaves no line out."""
        numbers = [int(line) for line in log_of(engine, self.name).split()]
        for before, after in zip([-1, *numbers], numbers, strict=False):
            if after not in (before + 1, 0):
                yield f"the log of {self.name} goes from {before} to {after}"
        if ended and self.kind.script.endswith(FINITE) and self.codes == {self.kind.code} and numbers[-1:] != [LINES - 1]:
            yield f"the log of {self.name} ends with {numbers[-1:]}"


class Shop:
    """A round of work; it closes when the engine is killed."""

    def __init__(self) -> None:
        self.closed = threading.Event()


class Worker:
    """A client with some containers of its own: only it changes them, so it knows what they are."""

    def __init__(self, engine: Engine, number: int, random: Random) -> None:
        self.boxes: list[Box] = []
        self.faults: list[str] = []
        self.ids: set[str] = set()
        self.operations = 0
        self.cut_off = 0
        self._engine = engine
        self._number = number
        self._random = random
        self._made = 0

    def work(self, shop: Shop) -> None:
        """Do one thing after the other until the engine is gone."""
        while not shop.closed.is_set():
            try:
                self._choose()()
            except CUT_OFF as error:
                self.cut_off += 1
                if not shop.closed.wait(timeout=10):
                    self.faults.append(f"the engine hung up: {error!r}")
                return
            self.operations += 1

    def saw(self, box: Box, status: str, pid: int) -> None:
        """Take what it has become as known from now on."""
        goes_on = status in ("running", "restarting")
        box.states = {status, *box.kind.running} if goes_on else {status}
        box.pid = pid
        if status == "absent":
            self.boxes.remove(box)

    def _choose(self) -> Callable[[], None]:
        if len(self.boxes) < 2:
            return self._new
        box = self._random.choice(self.boxes)
        choices: list[Callable[[], None]] = [self._new, self._run_by_command] if len(self.boxes) < 6 else []
        choices += [self._pull] if self._number == 0 else []
        choices += [lambda: self._remove(box)] * 2
        if box.states == {"running"}:
            choices += [lambda: self._stop(box), lambda: self._restart(box), lambda: self._execute(box)]
        if box.states <= {"exited", "created"}:
            choices += [lambda: self._start(box)] * 2
        return self._random.choice(choices)

    def _new(self) -> None:
        kind = self._random.choice(KINDS)
        servers = [box for box in self.boxes if box.kind.name == "server" and box.states == {"running"}]
        if kind.name == "member" and not servers:
            return
        self._made += 1
        box = Box(name=f"{kind.name}-{self._number}-{self._made}", kind=kind)
        host = dict(kind.host)
        if kind.name == "server":
            box.port = 8000 + self._number * 100 + self._made % 100
            host["PortBindings"] = {"80/tcp": [{"HostPort": str(box.port)}]}
        if kind.name == "member":
            box.target = self._random.choice(servers)
            host["NetworkMode"] = f"container:{box.target.name}"
        self.boxes.append(box)
        box.states = {"absent", "created"}
        self._create(box.name, {"Image": "busybox", "Cmd": ["sh", "-c", kind.script], "HostConfig": host})
        box.states = {"created"}
        self._start(box)

    def _create(self, name: str, body: dict[str, Any]) -> None:
        self.ids.add(self._answer("POST", f"/containers/create?name={name}", body)["Id"])

    def _start(self, box: Box) -> None:
        box.codes |= {box.kind.code, REFUSED} if box.target else {box.kind.code}
        box.states |= box.kind.running
        if self._ask("POST", f"/containers/{box.name}/start", expected=(409, 500) if box.target else ()) >= 400:
            box.states -= {"running", "restarting", "absent"}
            box.codes |= {REFUSED}
            return
        box.codes = {box.kind.code}
        box.states = set(box.kind.running)
        if box.kind.running == {"running"}:
            box.pid = status_of(self._engine, box.name)[2]

    def _stop(self, box: Box) -> None:
        box.states, box.codes = {"running", "exited"}, box.codes | {KILLED}
        self._ask("POST", f"/containers/{box.name}/stop?t=0")
        box.states, box.codes = {"exited"}, {KILLED}

    def _restart(self, box: Box) -> None:
        box.pid = 0
        possible = box.target is None or box.target.states == {"running"}
        # A member cannot come back to a target that has stopped.
        box.states = {"running"} if possible else {"running", "restarting", "exited"}
        box.codes |= {KILLED} if possible else {KILLED, REFUSED}
        # 409: its target has stopped; 500: its target has been removed.
        if self._ask("POST", f"/containers/{box.name}/restart?t=0", expected=() if possible else (409, 500)) >= 400:
            box.states, box.codes = {"exited"}, {REFUSED}
            return
        box.states = {"running"}
        box.pid = status_of(self._engine, box.name)[2]

    def _remove(self, box: Box) -> None:
        box.states |= {"absent", "exited"}
        box.codes |= {KILLED}
        self._ask("DELETE", f"/containers/{box.name}?force=1", expected=(404,) if "absent" in box.kind.running else ())
        box.states = {"absent"}
        self.boxes.remove(box)

    def _execute(self, box: Box) -> None:
        made = self._answer("POST", f"/containers/{box.name}/exec", {"Cmd": ["echo", box.name], "AttachStdout": True})
        said = self._answer("POST", f"/exec/{made['Id']}/start", {"Detach": False})
        if box.name not in str(said):
            raise ConnectionError("cut off")  # the answer ends with the engine, in the middle of it
        code = self._answer("GET", f"/exec/{made['Id']}/json")["ExitCode"]
        if code != 0:
            self.faults.append(f"a command in {box.name} ended with {code}")

    def _run_by_command(self) -> None:
        self._made += 1
        box = Box(name=f"command-{self._number}-{self._made}", kind=_kind("once", FINITE, "running absent", "absent"))
        box.states = {"absent", "created", "running"}
        self.boxes.append(box)
        done = self._engine.try_docker("run", "--rm", "--name", box.name, "busybox", "sh", "-c", FINITE)
        if done.status != OWN_CODE:
            raise ConnectionError(done.err)
        if done.out.split() != [str(number) for number in range(LINES)]:
            self._answer("GET", "/version")  # killed between the code and the last bytes: then this is cut off too
            self.faults.append(f"docker run --rm printed {len(done.out.split())} lines of {LINES}")
        self.boxes.remove(box)

    def _pull(self) -> None:
        tag = f"{IMAGE}:1"
        said = str(self._answer("POST", f"/images/create?fromImage={IMAGE}&tag=1"))
        if "Status: " not in said:
            raise ConnectionError("cut off")
        self._made += 1
        box = Box(name=f"pulled-{self._made}", kind=_kind("pulled", "", "running exited", "exited", code=0), states={"absent", "created"})
        self.boxes.append(box)
        self._create(box.name, {"Image": tag, "Cmd": ["/bin/busybox", "true"]})
        box.states = {"created"}
        self._start(box)
        code = self._answer("POST", f"/containers/{box.name}/wait")["StatusCode"]
        if code != 0:
            self.faults.append(f"the pulled image does not run: {code}")
        self._remove(box)
        self._ask("DELETE", f"/images/{tag}?force=1")

    def _ask(self, method: str, path: str, body: object = None, *, expected: tuple[int, ...] = ()) -> int:
        status, answer = self._engine.api(method, path, body)
        if status >= 400 and status not in expected:
            self.faults.append(f"{method} {path}: {status} {answer}")
        return status

    def _answer(self, method: str, path: str, body: object = None) -> Any:
        status, answer = self._engine.api(method, path, body)
        if status >= 400:
            self.faults.append(f"{method} {path}: {status} {answer}")
            raise ConnectionError(f"{status}")
        return answer


def status_of(engine: Engine, name: str) -> tuple[str, int, int]:
    """Status, exit code and pid of a container; `absent` if there is none."""
    status, found = engine.api("GET", f"/containers/{name}/json")
    if status == 404:
        return "absent", 0, 0
    state = found["State"]
    return state["Status"], state["ExitCode"], state["Pid"]


def log_of(engine: Engine, name: str) -> str:
    """Everything that a container has written to its standard output."""
    _, data = engine.api("GET", f"/containers/{name}/logs?stdout=1")
    raw = str(data).encode(errors="surrogateescape")
    text = b""
    with contextlib.suppress(IndexError):
        while raw:
            size = int.from_bytes(raw[4:8], "big")
            text, raw = text + raw[8 : 8 + size], raw[8 + size :]
    return text.decode()
