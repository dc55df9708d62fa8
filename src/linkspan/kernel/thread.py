"""The one thread that changes the host, job by job; it is the lock between operations."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class KernelThread:
    """Runs jobs one after another, each to its end, whatever becomes of those who asked for them."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")

    async def run(self, action: Callable[[], T]) -> T:
        """Return `action()`, done in the thread; raises what it raises.

        If the caller is cancelled, the job still runs, and its failure is logged.
        """
        job = self._executor.submit(action)
        end = asyncio.wrap_future(job)
        end.add_done_callback(asyncio.Future.exception)  # seen: it is raised below or logged, asyncio need not report it as well
        try:
            await asyncio.wait([end])  # unlike `await end`, its cancellation leaves the job alone
        except asyncio.CancelledError:
            job.add_done_callback(_log_failure)
            raise
        return job.result()

    def stop(self) -> None:
        """Run what waits already, then end the thread; blocks until it is gone. May be called twice."""
        self._executor.shutdown()


def _log_failure(job: "Future[T]") -> None:
    error = job.exception()
    if error is not None:
        logger.error("a job that nobody waits for failed: %s", error, exc_info=error)
