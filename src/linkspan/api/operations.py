"""Work that goes on to its end when the client that asked for it hangs up: a start or a removal must not stop half-way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from linkspan.errors import EngineError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Operations:
    """Runs operations and remembers those that are not done."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T], abandon: Callable[[T], Awaitable[None]] | None = None) -> T:
        """Return what `work` returns. If the caller is cancelled, the work is not: `abandon` then gets its result."""
        task = self._start(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._start(_outlive(task, abandon))
            raise
        finally:
            # A refusal's traceback holds this frame, and the task the refusal: the request's body would stay until the collector runs.
            del task

    async def drain(self, seconds: float) -> None:
        """Wait until all of it is done; what is not by then is cancelled."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _outlive(task: asyncio.Task[T], abandon: Callable[[T], Awaitable[None]] | None) -> None:
    try:
        result = await task
        if abandon is not None:
            await abandon(result)
    except ConnectionError:  # it hung up before its request was complete
        logger.info("a client hung up in the middle of its request")
    except EngineError as error:
        logger.info("refused after the client had hung up: %s", error)
    except Exception:
        logger.exception("failed after the client had hung up")
