"""The bridges of removed networks: out of use at once, deleted a moment after the answer, a few at a time.

The kernel takes about 30 ms for one of them, and hardly less when there are many: a client need not wait for it, and no other
job of the kernel thread for many of them. After a crash `strays` finds those that are left: no network has them.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from linkspan.errors import EngineError
from linkspan.kernel import link
from linkspan.kernel.thread import KernelThread

logger = logging.getLogger(__name__)

GATHERING = 0.05
"""Seconds in which no other has come."""
MANY = 1000
"""So many do not wait any more."""
AT_ONCE = 4
AGAIN = 1.0
"""Seconds before what could not be deleted is tried again."""


class Retired:
    """Deletes them. The methods run on the event loop, but for `finish`."""

    def __init__(self, kernel: KernelThread) -> None:
        self._kernel = kernel
        self._names: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, names: Iterable[str]) -> None:
        """Delete these interfaces soon."""
        self._names |= dict.fromkeys(names)
        if self._names and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def pending(self) -> frozenset[str]:
        """Return those that wait."""
        return frozenset(self._names)

    def finish(self, name: str) -> None:
        """Delete one now, if it waits: its name is wanted again. On the kernel thread."""
        if name in self._names:
            link.delete(name)
            self._names.pop(name, None)

    async def close(self) -> None:
        """Delete those that wait; what fails now is swept by the next engine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._names:
            if not await self._some():
                return

    async def _run(self) -> None:
        while self._names:
            waiting = len(self._names)
            await asyncio.sleep(GATHERING)
            if waiting < len(self._names) < MANY:
                continue  # more come: a prune, or a loop of somebody's
            if not await self._some():
                await asyncio.sleep(AGAIN)
        self._task = None

    async def _some(self) -> bool:
        chosen = tuple(self._names)[:AT_ONCE]
        try:
            await self._kernel.run(partial(self._delete, chosen))
        except EngineError as error:
            logger.warning("could not delete %s: %s", ", ".join(chosen), error)
            return False
        return True

    def _delete(self, chosen: tuple[str, ...]) -> None:
        waiting = [name for name in chosen if name in self._names]
        link.delete_many(waiting)
        for name in waiting:
            self._names.pop(name, None)
