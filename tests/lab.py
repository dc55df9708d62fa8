"""An engine of this process whose steps can be made to fail, and the operations that are tried on it.

with Lab(host, folder) as lab:
    trial = Trial(lab, Operation("stop", start, stop, start, ends=True))
    trial.run(Mode.BEFORE)          # each step fails in turn
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from linkspan.config import load
from linkspan.engine.engine import Engine, open_engine
from linkspan.errors import EngineError
from tests.engines import processes
from tests.hosts import Host
from tests.sabotage import MARK, Installed, Mode, Saboteur
from tests.snapshots import Camera, Snapshot, differences

T = TypeVar("T")
Work = Callable[[Engine], Coroutine[Any, Any, object]]

PATIENCE = 20.0
"""Seconds that nothing here comes near to, but a stop whose end cannot be told."""
MOST = 40
"""Lines of a difference that are shown."""
STEADY = 2
"""Times that a picture must be the same as the one before, while the engine has nothing to do: nothing goes on any more."""
PAUSE = 0.02


async def nothing(_: Engine) -> None:
    """What needs nothing, or leaves nothing."""


def in_order(*works: Work) -> Work:
    """One after the other."""

    async def all_of_them(engine: Engine) -> None:
        for work in works:
            await work(engine)

    return all_of_them


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that is done wholly or not at all."""

    prepare: Work = nothing
    """Brings about what it needs."""
    operate: Work
    restore: Work
    """After the operation: brings back what `prepare` had brought about."""
    ends: bool = False
    """It takes away: if a step fails, it may also have been done all the same, or be done in the background."""
    between: Work | None = None
    """From the state before: brings about what else a failure may leave, of an operation that is made of several."""
    passing: Callable[[str], bool] = lambda _: False
    """Lines of a picture that need not be as before."""
    kept: Callable[[str], bool] = lambda _: False
    """Lines that may be left besides when nothing can be taken back."""


class Lab:
    """A host with an engine in this process."""

    def __init__(self, host: Host, folder: Path, *flags: str) -> None:
        self.host = host
        self.folder = folder
        self._flags = (
            "--data-root",
            f"{folder}/data",
            "--exec-root",
            f"{folder}/run",
            "--config-file",
            f"{folder}/daemon.json",
            "--repair=false",
            *flags,
        )
        self._camera = Camera(folder)
        self._installed = Installed(Saboteur(folder))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: host.run(self._run), daemon=True)
        self._observer = ThreadPoolExecutor(1, initializer=host.enter)
        self._engine: Engine | None = None
        self.saboteur: Saboteur

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the engine is closed"
        return self._engine

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    def submit(self, work: Work) -> "tuple[Future[object], asyncio.Task[object]]":
        """Begin something with the engine; returns its result to come and its task."""
        made: Future[asyncio.Task[object]] = Future()
        result: Future[object] = Future()

        def begin() -> None:
            task = self._loop.create_task(_into(result, work(self.engine)))
            made.set_result(task)

        self._loop.call_soon_threadsafe(begin)
        return result, made.result(PATIENCE)

    def do(self, work: Work) -> Any:
        """Do something with the engine; returns what it returns."""
        return self.submit(work)[0].result(PATIENCE)

    def cancel(self, task: "asyncio.Task[object]") -> None:
        self._loop.call_soon_threadsafe(task.cancel)

    def open(self) -> None:
        """Start the engine; raises what hinders it."""

        async def opened() -> Engine:
            return await open_engine(load(self._flags))

        self._engine = asyncio.run_coroutine_threadsafe(opened(), self._loop).result(PATIENCE)

    def close(self) -> None:
        """End the engine; containers go on."""
        engine, self._engine = self._engine, None
        if engine:
            asyncio.run_coroutine_threadsafe(engine.close(), self._loop).result(PATIENCE)

    def reopen(self) -> None:
        self.close()
        self.open()

    def clear(self) -> None:
        """Remove every container; if the engine cannot any more, the next one does."""
        self.saboteur.disarm()
        try:
            self.do(clear)
        except (EngineError, TimeoutError):
            self.reopen()
            self.do(clear)
        if any("linkspan resolver" in command for command in processes(self.folder).values()):
            self.reopen()  # one that nobody needs any more ends with its engine, and by itself after a minute: in the middle of a test
        self.settled()

    def picture(self) -> Snapshot:
        """Return the host as it is now."""
        return self._observer.submit(self._camera.take, self.engine).result(PATIENCE)

    def idle(self) -> bool:
        """Whether the engine neither does anything to a container nor has anything to clear away."""
        return not self.do(_busy)

    def settled(self, enough: Callable[[], object] = lambda: False) -> Snapshot:
        """Return the host when nothing changes any more, or it is enough."""
        latest, same = self.picture(), 0
        deadline = time.monotonic() + PATIENCE
        while same < STEADY and not enough():
            assert time.monotonic() < deadline, "the host does not settle"
            time.sleep(PAUSE)
            idle, newest = self.idle(), self.picture()
            same = same + 1 if idle and newest == latest else 0
            latest = newest
        return latest

    def __enter__(self) -> Self:
        (self.folder / "daemon.json").write_text("{}")
        self._thread.start()
        self.saboteur = self._installed.__enter__()
        self.saboteur.observer = self._observer.submit(threading.get_ident).result(PATIENCE)
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.saboteur.disarm()
        try:
            if self._engine is None:
                self.open()
            self.do(clear)
            self.close()
        finally:
            self._installed.__exit__(*error)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._observer.shutdown()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


class Faults(AssertionError):
    """What went wrong at several steps, one text for each; its first line says at which."""

    def __init__(self, tried: int, all_of_them: list[str]) -> None:
        super().__init__("\n".join(all_of_them))
        self.tried = tried
        self.all = all_of_them


class Trial:
    """An operation on a lab whose steps fail."""

    def __init__(self, lab: Lab, operation: Operation) -> None:
        self._lab = lab
        self._operation = operation
        lab.do(operation.prepare)
        self._before = lab.settled()
        self._mode = Mode.BEFORE
        lab.saboteur.arm(0)
        lab.do(operation.operate)
        self._after = lab.settled()
        lab.saboteur.disarm()
        self.steps = lab.saboteur.steps
        """Of the operation when nobody disturbs it, what follows in the background included."""
        self._restore("undisturbed")
        self._between: dict[str, Snapshot] = {}
        if operation.between:
            lab.do(operation.between)
            self._between["between"] = lab.settled()
            self._restore("between")

    def run(self, mode: Mode, *, every: int = 1, only: str = "") -> int:
        """Make each step fail in turn, or every so manyth, or those of one name; returns how many failed.

        Raises Faults with all that is wrong.
        """
        tried, faults, reached, self._mode = 0, [], 0, mode
        named = (number for number, step in enumerate(self.steps, 1) if step == only)
        for number in named if only else itertools.islice(self._numbers(), 0, None, every):
            if number <= reached:
                continue  # it cannot fail in this way: the one after it has failed in its place
            try:
                reached = self._try(number, mode)
                if not reached:
                    break
            except (AssertionError, EngineError, TimeoutError) as fault:
                faults.append(str(fault) if isinstance(fault, AssertionError) else f"step {number} {mode.value}: {fault!r}")
                self._begin_again()
            tried += 1
        if faults:
            raise Faults(tried, faults)
        return tried

    def _numbers(self) -> Iterator[int]:
        """The steps, and one more; of a long row of the same ones the first and the last."""
        steps = ["", *self.steps, ""]
        for number in range(1, len(steps) - 1):
            if steps[number - 1 : number + 2] != [steps[number]] * 3:
                yield number
        yield from itertools.count(len(steps) - 1)

    def _begin_again(self) -> None:
        """After a fault: bring about what the operation needs."""
        self._lab.clear()
        self._lab.do(self._operation.prepare)
        self._reached({"before": self._before}, "begun again")

    def _try(self, number: int, mode: Mode) -> int:
        """Returns which step failed: this one, in `AFTER` the next one that can, or 0 for none."""
        saboteur = self._lab.saboteur
        failure = self._operate(number, mode)
        if failure is None and not saboteur.fired:
            self._lab.settled(lambda: saboteur.fired)  # the step may be one of those in the background
        saboteur.disarm()
        if mode is Mode.FOR_GOOD and saboteur.fired:
            self._lab.reopen()  # what could not be taken back is swept by the next engine
        what, failed = f"step {number} ({saboteur.fired}) {mode.value}", saboteur.fired_at
        if not failed:
            assert failure is None, f"step {number} did not fail, but: {failure!r}"
            self._restore(what)
        else:
            self._check(failure, what)
        return failed

    def _operate(self, number: int, mode: Mode) -> BaseException | None:
        """Do the operation with that step failing; returns how it failed."""
        started: Future[asyncio.Task[object]] = Future()
        self._lab.saboteur.arm(number, mode, lambda: self._lab.cancel(started.result(PATIENCE)))
        result, task = self._lab.submit(self._operation.operate)
        started.set_result(task)
        try:
            result.result(PATIENCE)
        except TimeoutError:
            raise AssertionError(f"step {number} ({self._lab.saboteur.fired}) {mode.value}: the operation hangs") from None
        except BaseException as failure:  # noqa: BLE001  it is looked at
            return failure
        return None

    def _check(self, failure: BaseException | None, what: str) -> None:
        if failure is not None and not isinstance(failure, asyncio.CancelledError):
            assert isinstance(failure, EngineError), f"{what}: the user would read {failure!r}"
            assert MARK in str(failure), f"{what}: {failure!r}"
        wanted = {"after": self._after} if failure is None else {"before": self._before, **self._between}
        if failure is not None and (self._operation.ends or isinstance(failure, asyncio.CancelledError)):
            wanted["after"] = self._after
        state = self._reached(wanted, what)
        if state == "before" and not self._operation.ends:
            return
        if state != "after":
            self._lab.do(self._operation.operate)
            self._reached({"after": self._after}, f"{what}, then repeated")
        self._restore(what)

    def _restore(self, what: str) -> None:
        self._lab.do(self._operation.restore)
        self._reached({"before": self._before}, f"{what}, then restored")

    def _reached(self, wanted: dict[str, Snapshot], what: str) -> str:
        """Wait until the host looks as one of the wanted pictures and nothing goes on; returns its name."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._lab.saboteur.arm(0)
            idle, found = self._lab.idle(), self._lab.picture()
            for name, picture in wanted.items():
                if idle and not self._left(picture, found) and not self._lab.saboteur.steps:
                    self._lab.saboteur.disarm()
                    return name
            if time.monotonic() > deadline:
                lines = {name: "\n  ".join(self._left(picture, found)[:MOST]) for name, picture in wanted.items()}
                raise AssertionError("\n".join([what, *(f"not as {name}:\n  {text}" for name, text in lines.items())]))
            time.sleep(PAUSE)

    def _left(self, picture: Snapshot, found: Snapshot) -> list[str]:
        operation, for_good = self._operation, self._mode is Mode.FOR_GOOD
        lines = differences(picture, found)
        return [line for line in lines if not (operation.passing(line) or (for_good and operation.kept(line)))]


async def clear(engine: Engine) -> None:
    """Remove every container and network."""
    for view in engine.containers.list(all=True):
        with contextlib.suppress(EngineError):
            await engine.lifecycle.remove(view.container.id, force=True)
    await engine.networks.prune({})


async def _busy(engine: Engine) -> frozenset[str]:
    return engine.lifecycle.busy() | engine.networks.pending()


async def _into(result: "Future[object]", work: Coroutine[Any, Any, object]) -> None:
    try:
        value = await work
    except BaseException as error:  # noqa: BLE001  for the one who waits
        result.set_exception(error)
    else:
        result.set_result(value)
