"""The kernel thread: a job runs to its end, whatever becomes of the one who asked for it."""

import asyncio
import threading
from functools import partial

import pytest

from linkspan.kernel.thread import KernelThread

pytestmark = pytest.mark.kernel


class Gate:
    """A job that says when it has begun and goes on when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.ended = False
        self._error = error

    def __call__(self) -> None:
        self.begun.set()
        assert self.open.wait(10)
        self.ended = True
        if self._error:
            raise self._error


def fail() -> None:
    raise LookupError("not there")


async def abandon(kernel: KernelThread, gate: Gate) -> None:
    """Ask for a job, give up once it has begun, let it go on, and wait until the thread is through with it."""
    client = asyncio.create_task(kernel.run(gate))
    await asyncio.to_thread(gate.begun.wait, 10)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    gate.open.set()
    await kernel.run(lambda: None)


def test_a_job_gives_its_result_or_its_error() -> None:
    kernel = KernelThread()

    assert asyncio.run(kernel.run(lambda: 7)) == 7
    with pytest.raises(LookupError, match="not there"):
        asyncio.run(kernel.run(fail))
    kernel.stop()


def test_jobs_run_one_after_another_in_one_thread() -> None:
    kernel = KernelThread()
    seen: list[tuple[int, int]] = []

    def note(number: int) -> None:
        seen.append((number, threading.get_ident()))

    async def ask() -> None:
        await asyncio.gather(*(kernel.run(partial(note, number)) for number in range(20)))

    asyncio.run(ask())
    kernel.stop()
    assert [number for number, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_an_abandoned_job_runs_to_its_end() -> None:
    kernel, gate = KernelThread(), Gate()

    asyncio.run(abandon(kernel, gate))
    kernel.stop()
    assert gate.ended


def test_the_failure_of_an_abandoned_job_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    kernel = KernelThread()

    asyncio.run(abandon(kernel, Gate(LookupError("lost"))))
    kernel.stop()
    assert [record.getMessage() for record in caplog.records] == ["a job that nobody waits for failed: lost"]


def test_a_job_that_waited_while_its_client_gave_up_still_runs() -> None:
    kernel, gate, done = KernelThread(), Gate(), threading.Event()

    async def give_up() -> None:
        first = asyncio.create_task(kernel.run(gate))
        await asyncio.sleep(0)
        client = asyncio.create_task(kernel.run(done.set))
        await asyncio.sleep(0)
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client
        gate.open.set()
        await first

    asyncio.run(give_up())
    kernel.stop()
    assert done.is_set()


def test_it_stops_twice_and_leaves_no_thread() -> None:
    before = threading.active_count()
    kernel = KernelThread()
    asyncio.run(kernel.run(lambda: None))

    kernel.stop()
    kernel.stop()
    assert threading.active_count() == before
