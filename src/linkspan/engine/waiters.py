"""Who waits for a container to end or to go (Docker API: POST /containers/{id}/wait)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from linkspan.engine.requests import WaitResult
from linkspan.errors import InvalidInput

CONDITIONS = ("not-running", "next-exit", "removed")


class Waiters:
    """Futures by container. Used on the event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[str, asyncio.Future[WaitResult]]]] = defaultdict(set)

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
