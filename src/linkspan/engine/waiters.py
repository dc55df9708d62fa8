"""Who waits for a container to end or to go (Docker API: POST /containers/{id}/wait)."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

from linkspan.engine.requests import WaitResult
from linkspan.errors import EngineError, InvalidInput
from linkspan.model.container import Container

SURELY_ENDED = 10
"""Seconds after which nobody waits any longer for the end of what was killed, as in Docker."""
CONDITIONS = ("not-running", "next-exit", "removed")


class Waiters:
    """Futures by container. Used on the event loop only."""

    def __init__(self, patience: int = SURELY_ENDED) -> None:
        self._patience = patience
        self._waiting: dict[str, set[tuple[str, asyncio.Future[WaitResult]]]] = defaultdict(set)
        self.untold: dict[str, EngineError] = {}
        """Why the end of a container could not be recorded so far."""

    def add(self, container_id: str, condition: str) -> asyncio.Future[WaitResult]:
        """Return a future that `condition` completes; raises InvalidInput if Docker has no such condition."""
        if condition not in CONDITIONS:
            raise InvalidInput(f'invalid condition: "{condition}"')
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiting[container_id].add(entry)
        future.add_done_callback(lambda _: self._discard(container_id, entry))
        return future

    def ended(self, container_id: str, result: WaitResult) -> None:
        """Tell those who wait for the end of the container's process."""
        self._complete(container_id, result, lambda condition: condition != "removed")

    def removed(self, container_id: str, result: WaitResult) -> None:
        """Tell everybody who waits for the container: it is gone."""
        self._complete(container_id, result, lambda _: True)

    async def surely(self, container: Container, ended: asyncio.Future[WaitResult]) -> None:
        """Wait for the end of what cannot live on. Raises EngineError, in Docker's words, if nobody can tell of it."""
        for _ in range(self._patience):  # one by one: while the whole engine stands still, hardly any of them pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.shield(ended)
                return
        ended.cancel()
        said = f"cannot kill container: {container.name}: tried to kill container, but did not receive an exit event"
        raise EngineError(f"{said}{self.why(container.id)}")

    def why(self, container_id: str) -> str:
        """Return the rest of a sentence: why the end of the container could not be recorded, empty if that is not known."""
        reason = self.untold.get(container_id)
        return f": {reason}" if reason else ""

    def _complete(self, container_id: str, result: WaitResult, wanted: Callable[[str], bool]) -> None:
        for condition, future in tuple(self._waiting.get(container_id, ())):
            if wanted(condition) and not future.done():
                future.set_result(result)

    def _discard(self, container_id: str, entry: tuple[str, asyncio.Future[WaitResult]]) -> None:
        entries = self._waiting.get(container_id)
        if entries is not None:
            entries.discard(entry)
            if not entries:
                del self._waiting[container_id]
