"""How many questions may be under way: for each asker some, and all together not more than there are files for."""

import asyncio
from collections import deque

EACH = 256
"""Questions of one asker that are under way at once."""
WAITING = 1024
"""Questions of one asker that wait for their turn; more are refused at once."""
LEAST = 16
"""What an asker gets, however many there are."""


class Slots:
    """Each asker has its own; where there are not enough for all, everyone gets an equal share."""

    def __init__(self, total: int, each: int = EACH, waiting: int = WAITING) -> None:
        self._total = max(total, LEAST)
        self._each = each
        self._most_waiting = waiting
        self._active: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order of their turns."""

    def active(self, asker: str) -> int:
        """Return how many of this asker are under way."""
        return self._active.get(asker, 0)

    def waiting(self, asker: str) -> int:
        """Return how many of this asker wait."""
        return len(self._waiting.get(asker, ()))

    async def take(self, asker: str, patience: float) -> bool:
        """Wait for a turn; returns whether it came in time. Who had one gives it back by `release`."""
        if asker not in self._waiting and self._may(asker):
            self._active[asker] = self.active(asker) + 1
            return True
        queue = self._waiting.setdefault(asker, deque())
        if len(queue) >= self._most_waiting:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait([turn], timeout=patience)
        except asyncio.CancelledError:
            if turn.done():
                self.release(asker)
            raise
        finally:
            if not turn.done():
                self._leave(asker, turn)
        return turn.done()

    def release(self, asker: str) -> None:
        """Give a turn back."""
        left = self.active(asker) - 1
        if left > 0:
            self._active[asker] = left
        else:
            self._active.pop(asker, None)
        for name in tuple(self._waiting):
            if (queue := self._waiting.get(name)) and self._may(name):
                turn = queue.popleft()
                if not queue:
                    del self._waiting[name]
                else:
                    self._waiting[name] = self._waiting.pop(name)  # behind the others
                self._active[name] = self.active(name) + 1
                turn.set_result(None)

    def _leave(self, asker: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting[asker]
        queue.remove(turn)
        if not queue:
            del self._waiting[asker]

    def _may(self, asker: str) -> bool:
        active = self.active(asker)
        if sum(self._active.values()) < self._total:
            return active < self._each
        return active < min(self._each, LEAST, self._total // max(1, len(self._active)))
