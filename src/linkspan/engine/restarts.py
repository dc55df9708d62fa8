"""Containers that are to be started again by their policy, each after a delay that grows while they do not last."""

import asyncio
from collections.abc import Callable, Coroutine

FIRST_DELAY = 0.1
"""Seconds before the first restart; doubled each time, as dockerd does."""
LONGEST_DELAY = 60.0
STEADY = 10.0
"""Seconds that a container must have run for the delay to begin anew."""

Spawn = Callable[[Coroutine[None, None, None]], "asyncio.Task[None]"]


class Restarts:
    """Who waits for a restart. Used on the event loop only."""

    def __init__(self, spawn: Spawn, start: Callable[[str], Coroutine[None, None, None]]) -> None:
        self._spawn = spawn
        self._start = start
        self._delays: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def later(self, container_id: str, ran: float = 0.0) -> None:
        """Start a container that has run for so many seconds after its delay."""
        self._waiting[container_id] = self._spawn(self._after_delay(container_id, ran))

    def begun(self, container_id: str) -> None:
        """The container is being started: it waits no more, and nothing is cancelled."""
        self._waiting.pop(container_id, None)

    def cancel(self, container_id: str) -> None:
        """Do not start it after all."""
        if task := self._waiting.pop(container_id, None):
            task.cancel()

    def cancel_all(self) -> None:
        for task in self._waiting.values():
            task.cancel()

    def forget(self, container_id: str) -> None:
        """The container has been removed."""
        self._delays.pop(container_id, None)

    async def _after_delay(self, container_id: str, ran: float) -> None:
        delay = FIRST_DELAY if ran >= STEADY else self._delays.get(container_id, FIRST_DELAY)
        self._delays[container_id] = min(delay * 2, LONGEST_DELAY)
        await asyncio.sleep(delay)
        await self._start(container_id)
