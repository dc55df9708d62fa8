"""How often to put right what somebody keeps undoing."""

FREE = 5
"""So many times in a row it is done at once."""
FIRST, LONGEST = 2.0, 60.0
"""Seconds between the next ones; doubled each time."""
QUIET = 90.0
"""Seconds without it, after which the count begins anew."""


class Patience:
    """Counts what was mended, by a name of the mend. Times are seconds on any one clock."""

    def __init__(self, free: int = FREE) -> None:
        """`free` times in a row it is done at once."""
        self._free = free
        self._mended: dict[str, tuple[int, float]] = {}

    def delay(self, name: str, now: float) -> float:
        """Return in how many seconds it may be mended: 0 for now."""
        count, last = self._mended.get(name, (0, now))
        if count < self._free or now - last >= QUIET:
            return 0.0
        pause: float = min(FIRST * 2 ** (count - self._free), LONGEST)
        return max(0.0, last + pause - now)

    def spend(self, name: str, now: float) -> bool:
        """Note that it is being mended now; returns whether the next one in a row has to wait, and did not before."""
        count, last = self._mended.get(name, (0, now))
        count = 1 if now - last >= QUIET else count + 1
        self._mended = {other: (times, then) for other, (times, then) in self._mended.items() if now - then < QUIET}
        self._mended[name] = (count, now)
        return count == self._free
