"""Who waits for an end that nobody can tell of is told why."""

import asyncio

import pytest

from linkspan.engine.requests import WaitResult
from linkspan.engine.waiters import Waiters
from linkspan.errors import EngineError, KernelError
from tests.unit.api.examples import CONTAINER


def test_an_end_that_nobody_can_tell_of_is_not_waited_for_for_ever() -> None:
    async def wait() -> None:
        waiters, box = Waiters(patience=0), CONTAINER
        waiters.untold[box.id] = KernelError("read exit", 5)
        await waiters.surely(box, waiters.add(box.id, "next-exit"))

    with pytest.raises(EngineError, match=r"cannot kill container: web: .*did not receive an exit event: read exit: Input/output error"):
        asyncio.run(wait())


def test_an_end_that_is_told_is_enough() -> None:
    async def wait() -> None:
        waiters, box = Waiters(), CONTAINER
        ended = waiters.add(box.id, "next-exit")
        waiters.ended(box.id, WaitResult(exit_code=137))
        await waiters.surely(box, ended)

    asyncio.run(wait())
