"""Answers of others, kept as long as they may be (RFC 1035, 2308) and as there is room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from linkspan.resolver.wire import Reply

LONGEST = 86_400
"""Seconds that anything is kept."""
LONGEST_NEGATIVE = 900
"""Seconds that a name is taken not to exist."""
_OVERHEAD = 400
"""Bytes of an entry beside its message, about."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message with when it came."""

    message: bytes
    reply: Reply
    since: float
    until: float


class Cache:
    """The least recently used one goes first when there is no room."""

    def __init__(self, clock: Callable[[], float], most: int = 4 << 20) -> None:
        self._clock = clock
        self._most = most
        self._entries: OrderedDict[Hashable, Kept] = OrderedDict()
        self.size = 0
        """Bytes, about."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> tuple[Kept, int] | None:
        """Return what is kept and its age in seconds, None if there is none that still holds."""
        kept = self._entries.get(key)
        if kept is None:
            return None
        now = self._clock()
        if now >= kept.until:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return kept, int(now - kept.since)

    def put(self, key: Hashable, message: bytes, reply: Reply) -> None:
        """Keep a message, if it says that it may be kept."""
        lifetime = min(reply.lifetime, LONGEST if reply.code == 0 and reply.lifetimes else LONGEST_NEGATIVE)
        self._remove(key)
        if lifetime <= 0:
            return
        now = self._clock()
        self._entries[key] = Kept(message, reply, now, now + lifetime)
        self.size += len(message) + _OVERHEAD
        while self.size > self._most:
            self._remove(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0

    def _remove(self, key: Hashable) -> None:
        kept = self._entries.pop(key, None)
        if kept:
            self.size -= len(kept.message) + _OVERHEAD
