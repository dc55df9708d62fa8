"""The engine's events: what happened, to whom, when (Docker API: GET /events)."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence

from linkspan.model.container import Container, Event
from linkspan.model.network import Network

logger = logging.getLogger(__name__)

HISTORY = 256
"""Events kept for `since`, as dockerd does."""
BACKLOG = 4096
"""Events that a slow listener may be behind before it is cut off: it must not cost the engine memory without end."""

Filters = Mapping[str, Sequence[str]]


class Events:
    """Remembers the last events and hands new ones to the listeners. Used on the event loop only."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def publish(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Tell everybody that `action` happened to the object `actor`."""
        event = Event(kind=kind, action=action, actor=actor, attributes=dict(attributes), time=time.time_ns())
        self._history.append(event)
        for listener in tuple(self._listeners):
            if listener.qsize() >= BACKLOG:
                self._listeners.discard(listener)
                listener.put_nowait(None)
            else:
                listener.put_nowait(event)

    def container(self, container: Container, action: str, **more: str) -> None:
        """Tell everybody, and the log, what happened to a container; of an exec, its command is not for the log: it may hold secrets."""
        attributes = {**container.spec.labels, "image": container.spec.image_name, "name": container.name, **more}
        self.publish("container", action, container.id, attributes)
        word = action.partition(":")[0]
        logger.info("%s %s (%s)%s", word, container.name, container.short_id, "".join(f" {key}={more[key]}" for key in more))

    def connection(self, container_id: str, network: Network, action: str) -> None:
        """Tell everybody that a container has come to a network, or left it."""
        self.publish("network", action, network.id, {"container": container_id, "name": network.name, "type": network.driver})

    async def subscribe(self, *, since: int = 0, until: int = 0, filters: Filters | None = None) -> AsyncIterator[Event]:
        """Yield remembered events from `since` on (if given), then live ones up to `until` (0: for ever). Nanoseconds."""
        listener: asyncio.Queue[Event | None] = asyncio.Queue()
        # Once, and not by the clock from now on, which somebody may set.
        end = asyncio.get_running_loop().time() + (until - time.time_ns()) / 1e9 if until else None
        past = [event for event in self._history if since and event.time >= since]
        self._listeners.add(listener)
        try:
            for event in past:
                if _matches(event, filters or {}) and not (until and event.time > until):
                    yield event
            while (latest := await _next(listener, end)) is not None:
                if _matches(latest, filters or {}):
                    yield latest
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End every subscription."""
        for listener in tuple(self._listeners):
            listener.put_nowait(None)


async def _next(listener: asyncio.Queue[Event | None], end: float | None) -> Event | None:
    try:
        async with asyncio.timeout_at(end):
            return await listener.get()
    except TimeoutError:
        return None


def _matches(event: Event, filters: Filters) -> bool:
    return all(any(_matches_one(event, key, wanted) for wanted in values) for key, values in filters.items() if values)


def _matches_one(event: Event, key: str, wanted: str) -> bool:
    match key:
        case "type":
            found = event.kind == wanted
        case "event":
            found = event.action == wanted or event.action.startswith(f"{wanted}:")
        case "label":
            name, given, value = wanted.partition("=")
            found = name in event.attributes and (not given or event.attributes[name] == value)
        case "container" | "network":
            found = event.kind == key and (event.actor.startswith(wanted) or event.attributes.get("name") == wanted)
        case "image":
            image = event.actor if event.kind == "image" else event.attributes.get("image", "")
            found = wanted in (image, image.partition(":")[0])
        case _:
            found = (key, wanted) == ("scope", "local") or key == "daemon" == event.kind
    return found
