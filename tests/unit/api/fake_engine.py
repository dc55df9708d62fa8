"""An engine of a few objects, for the tests of the server: it does nothing, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from linkspan.config import Config
from linkspan.engine.events import Events
from linkspan.engine.requests import AttachRequest, Created, CreateRequest, ExecRequest, LogQuery, Top, WaitResult
from linkspan.engine.views import ContainerView, NetworkView, Pruned, SystemInfo
from linkspan.errors import EngineError, NotFound, Unsupported
from linkspan.images.registry import Progress, RegistryAuth
from linkspan.model.container import Exec, Process
from linkspan.model.finding import Report
from linkspan.model.image import Image, Layer
from linkspan.model.network_request import NetworkRequest
from linkspan.runtime.logs import LogRecord
from tests.unit.api.examples import CONTAINER, ENDPOINT, IMAGE, NETWORK

EXEC_ID = "e" * 64


class FakeAttachment:
    """Says `output`, then waits until it is told to end; what is written to it is in `written`."""

    def __init__(self, *output: tuple[int, bytes], echo: bool = False) -> None:
        self.written = b""
        self.closed = asyncio.Event()
        self.stdin_closed = asyncio.Event()
        self.received = asyncio.Event()
        self._echo = echo
        self._output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        for piece in output:
            self._output.put_nowait(piece)

    def say(self, stream: int, data: bytes) -> None:
        self._output.put_nowait((stream, data))

    @property
    def unsaid(self) -> int:
        """Pieces that nobody has taken yet."""
        return self._output.qsize()

    def end(self) -> None:
        self._output.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self._output.get()) is not None:
            yield piece

    async def write(self, data: bytes) -> None:
        self.written += data
        self.received.set()
        if self._echo:
            self.say(1, data)

    async def close_stdin(self) -> None:
        self.stdin_closed.set()
        if self._echo:
            self.end()

    async def close(self) -> None:
        self.closed.set()


@dataclass
class FakeContainers:
    views: list[ContainerView]
    created: list[CreateRequest] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)
    measured_ids: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def inspect(self, ref: str) -> ContainerView:
        for view in self.views:
            if ref in (view.container.id, view.container.name):
                return view
        raise NotFound(f"No such container: {ref}")

    async def measured(self, views: "list[ContainerView]") -> "list[ContainerView]":
        self.measured_ids = [view.container.id for view in views]
        return views

    def list(self, **query: Any) -> "list[ContainerView]":
        self.listed = query
        return self.views

    async def create(self, request: CreateRequest) -> Created:
        if self.failure:
            raise self.failure
        self.created.append(request)
        return Created(id=CONTAINER.id, warnings=request.warnings)

    async def top(self, ref: str, arguments: str = "") -> Top:
        return Top(titles=("PID", "CMD"), processes=(("1", f"sleep {arguments}"),))

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        return Pruned()


@dataclass
class FakeLifecycle:
    """`slow`, if set, is what a start waits for; `ended` completes a wait."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    slow: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    ended: "asyncio.Future[WaitResult] | None" = None
    failure: Exception | None = None

    async def start(self, ref: str) -> None:
        self.begun.set()
        if self.slow is not None:
            await self.slow.wait()
        if self.failure is not None:
            raise self.failure
        self.calls.append(("start", ref))
        self.done.set()

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        self.calls.append(("stop", ref, timeout, signal))

    async def remove(self, ref: str, *, force: bool = False) -> None:
        self.calls.append(("remove", ref, force))

    def waiter(self, ref: str, condition: str = "not-running") -> "asyncio.Future[WaitResult]":
        if ref == "missing":
            raise NotFound(f"No such container: {ref}")
        self.calls.append(("wait", ref, condition))
        self.ended = asyncio.get_running_loop().create_future()
        return self.ended


@dataclass
class FakeStreams:
    attachment: FakeAttachment | None = None
    asked: list[AttachRequest] = field(default_factory=list)
    queries: list[LogQuery] = field(default_factory=list)
    records: tuple[LogRecord, ...] = ()
    more: "asyncio.Queue[LogRecord | None]" = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def attach(self, ref: str, request: AttachRequest) -> FakeAttachment:
        assert self.attachment is not None
        self.asked.append(request)
        return self.attachment

    def go_on(self, ref: str) -> bool:
        return True

    async def logs(self, ref: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        self.queries.append(query)
        try:
            for record in self.records:
                yield record
            while query.follow and (late := await self.more.get()) is not None:
                yield late
        finally:
            self.left.set()


@dataclass
class FakeExecs:
    attachment: FakeAttachment | None = None
    exec: Exec = field(default_factory=lambda: Exec(id=EXEC_ID, container=CONTAINER.id, process=Process(args=("cat",)), attach_stdin=True))
    requests: list[ExecRequest] = field(default_factory=list)
    started: list[tuple[str, bool]] = field(default_factory=list)
    failure: EngineError | None = None

    async def create(self, ref: str, request: ExecRequest) -> str:
        self.requests.append(request)
        self.exec = replace(self.exec, attach_stdin=request.attach_stdin, process=Process(args=request.cmd, tty=request.tty))
        return EXEC_ID

    def inspect(self, exec_id: str) -> Exec:
        if exec_id != EXEC_ID:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.exec

    async def start(self, exec_id: str, *, detach: bool) -> FakeAttachment | None:
        if self.failure is not None:
            raise self.failure
        self.started.append((exec_id, detach))
        return None if detach else self.attachment

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        return


@dataclass
class FakeImages:
    images: list[Image] = field(default_factory=lambda: [IMAGE])
    steps: tuple[Progress, ...] = ()
    failure: Exception | None = None
    pulled: list[tuple[str, str, RegistryAuth | None]] = field(default_factory=list)
    received: bytes = b""
    archive: tuple[bytes, ...] = ()

    def list(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Image]:
        return self.images

    def inspect(self, ref: str) -> Image:
        if ref not in (*IMAGE.tags, IMAGE.id, IMAGE.id.removeprefix("sha256:")):
            raise NotFound(f"No such image: {ref}")
        return IMAGE

    def history(self, ref: str) -> tuple[Layer, ...]:
        return IMAGE.history

    async def pull(self, ref: str, *, platform: str = "", auth: RegistryAuth | None = None) -> AsyncIterator[Progress]:
        self.pulled.append((ref, platform, auth))
        for step in self.steps:
            yield step
        if self.failure is not None:
            raise self.failure

    async def load(self, stream: AsyncIterator[bytes]) -> AsyncIterator[str]:
        async for piece in stream:
            self.received += piece
        if self.failure is not None:
            raise self.failure
        yield "Loaded image: busybox:latest"

    async def save(self, refs: Sequence[str]) -> AsyncIterator[bytes]:
        for piece in self.archive:
            yield piece
        if self.failure is not None:
            raise self.failure

    async def remove(self, ref: str, *, force: bool = False, noprune: bool = False) -> Sequence[tuple[str, str]]:
        return [("Untagged", ref), ("Deleted", IMAGE.id)]


@dataclass
class FakeNetworks:
    async def list(self, filters: Mapping[str, Sequence[str]]) -> list[NetworkView]:
        return [NetworkView(network=NETWORK, members=((CONTAINER, ENDPOINT),))]

    async def inspect(self, ref: str) -> NetworkView:
        return NetworkView(network=NETWORK, members=((CONTAINER, ENDPOINT),))

    async def create(self, request: NetworkRequest) -> tuple[str, tuple[str, ...]]:
        raise Unsupported(f"cannot create network {request.name}: there are no others")


class FakeSystem:
    runtime = SimpleNamespace(name="runc")

    async def info(self) -> SystemInfo:
        return SystemInfo(
            id="1234",
            name="testhost",
            containers=1,
            running=1,
            paused=0,
            stopped=0,
            images=1,
            data_root="/var/lib/linkspan",
            exec_root="/run/linkspan",
            runtime="runc",
            runtime_reason="crun refuses this host",
            bridge="docker0",
            memory=1 << 30,
            cpus=2,
            kernel="6.18.0",
            os="Debian",
            architecture="x86_64",
            cgroup_version="1",
            cgroup_driver="cgroupfs",
            versions={"runc": "1.1.5"},
        )


@dataclass
class FakeUpkeep:
    report: Report = field(default_factory=Report)

    async def examine(self) -> Report:
        return self.report

    async def repair(self) -> Report:
        return replace(self.report, mended=("the interface veth1 is gone: make the interface anew",))


class FakeEngine:
    def __init__(self, view: ContainerView) -> None:
        self.config = Config()
        self.events = Events()
        self.containers = FakeContainers([view])
        self.lifecycle = FakeLifecycle()
        self.streams = FakeStreams()
        self.execs = FakeExecs()
        self.images = FakeImages()
        self.networks = FakeNetworks()
        self.system = FakeSystem()
        self.upkeep = FakeUpkeep()
