"""Why a name means what it means to a container: each question that its C library would ask, and who answered what."""

from collections.abc import Sequence
from dataclasses import dataclass

from linkspan.engine.files import ContainerFiles
from linkspan.engine.lookup import Lookup
from linkspan.engine.resolution import Resolution
from linkspan.errors import Conflict, InvalidInput
from linkspan.plan.files import EMBEDDED, Resolver
from linkspan.resolver import wire
from linkspan.resolver.messages import Message, ResolverError
from linkspan.store.base import Store

KINDS = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "HTTPS": 65, "CAA": 257, "ANY": 255}
_ANSWERED, _REFUSED_WHOLLY = (wire.NO_ERROR,), (wire.SERVER_FAILURE, wire.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was done, how long after the question, and the answer that it brought."""

    milliseconds: float
    what: str
    server: str = ""
    message: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question, and what it led to."""

    name: str
    steps: tuple[Step, ...]
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTrace:
    """All questions about one name."""

    container: str
    kind: str
    configured: Resolver
    """The container's resolv.conf."""
    asked: tuple[Asked, ...]


class Tracer:
    """Asks in a container's place."""

    def __init__(self, store: Store, files: ContainerFiles, resolution: Resolution) -> None:
        self._lookup = Lookup(store)
        self._files = files
        self._resolution = resolution

    async def trace(self, ref: str, name: str, kind: str = "A") -> NameTrace:
        """Ask for a name as a process in the container would. Raises NotFound, Conflict if it does not run, InvalidInput."""
        container = self._lookup.container(ref)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        number = KINDS.get(kind.upper())
        if number is None:
            raise InvalidInput(f"unknown record type {kind!r}: use one of {', '.join(KINDS)}")
        if wire.encode_name(name) is None:
            raise InvalidInput(f"nobody can ask for the name {name!r}")
        configured = self._files.resolver_of(container.sandbox)
        if EMBEDDED not in configured.servers:
            servers = ", ".join(configured.servers) or "nobody"
            raise Conflict(f"container {container.name} does not ask {EMBEDDED}: its /etc/resolv.conf names {servers}")
        asked = []
        for candidate in candidates(name, configured):
            asked.append(_asked(candidate, await self._resolution.trace(container, candidate, number)))
            if _settled(asked[-1].answer):
                break
        return NameTrace(container=container.name, kind=kind.upper(), configured=configured, asked=tuple(asked))


def candidates(name: str, configured: Resolver) -> list[str]:
    """Return what a C library asks for in turn (resolv.conf(5)): the name as it is, and completed by the search list."""
    if name.endswith("."):
        return [name.rstrip(".")]
    ndots = next((int(option[6:]) for option in reversed(configured.options) if option.startswith("ndots:") and option[6:].isdecimal()), 1)
    completed = [f"{name}.{domain.strip('.')}" for domain in configured.search if domain.strip(".")]
    return [name, *completed] if name.count(".") >= ndots else [*completed, name]


def _settled(answer: bytes) -> bool:
    """Whether a C library looks no further: there are records, or nobody has an answer at all."""
    return answer[3] & 0xF in _REFUSED_WHOLLY or (answer[3] & 0xF in _ANSWERED and answer[6:8] != b"\0\0")


def _asked(name: str, told: Message) -> Asked:
    steps, answer = told.get("steps"), told.get("answer")
    if not isinstance(steps, list) or not isinstance(answer, str):
        raise ResolverError("the resolver told no steps")
    return Asked(name=name, steps=tuple(map(_step, steps)), answer=_bytes(answer))


def _step(told: object) -> Step:
    if not isinstance(told, dict):
        raise ResolverError("the resolver told no step")
    values: Sequence[object] = [told.get(key) for key in ("ms", "what", "server", "message")]
    passed, what, server, message = values
    return Step(
        milliseconds=passed if isinstance(passed, float | int) else 0.0,
        what=str(what),
        server=str(server or ""),
        message=_bytes(str(message or "")),
    )


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ResolverError("the resolver told no message") from error
