"""Joining small pieces of a stream: a log has a record for each line, and one packet for each would be slow."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

LIMIT = 64 << 10
"""Bytes that are collected while the client does not read."""


async def joined(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield what `pieces` yields, those together that come without waiting for anything: none is held back for the next."""
    collector = _Collector()
    task = asyncio.get_running_loop().create_task(collector.run(pieces))
    try:
        while together := await collector.take():
            yield together
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pieces.aclose()


class _Collector:
    """Runs ahead of the one who takes, by LIMIT at most."""

    def __init__(self) -> None:
        self._collected = bytearray()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False

    async def run(self, pieces: AsyncIterator[bytes]) -> None:
        try:
            async for piece in pieces:
                self._collected.extend(piece)
                self._arrived.set()
                if len(self._collected) >= LIMIT:
                    self._taken.clear()
                    await self._taken.wait()
        finally:
            self._ended = True
            self._arrived.set()

    async def take(self) -> bytes:
        """Return what has been collected, nothing at the end."""
        while not self._collected and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        together = bytes(self._collected)
        self._collected.clear()
        self._taken.set()
        return together
