"""Asking others: which servers, in which order, how long, and what to make of their answers."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from linkspan.resolver import exchange, wire
from linkspan.resolver.cache import Cache
from linkspan.resolver.hostfile import MOST
from linkspan.resolver.slots import Slots
from linkspan.resolver.trace import UNTRACED, Trace
from linkspan.resolver.units import Sandbox, Server

PATIENCE = 4.0
"""Seconds for one server, and for a turn: Docker's."""
SORE = 10.0
"""Seconds that a server is asked last after it has not answered."""
SILENCES = 2
"""So many questions in a row must be without an answer: a single one may be about a domain whose own servers are silent."""
_NEXT = (wire.SERVER_FAILURE, wire.REFUSED)
"""With these the next server is asked."""


class HostServerList(Protocol):
    """The host's servers as they are now."""

    generation: int

    def servers(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: what the engine told, and how to open a socket in its namespace."""

    unit: Sandbox
    open_inside: exchange.OpenSocket


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where an answer comes from: who shares the servers shares the cache."""

    servers: tuple[Server, ...]
    pool: str


class Forwarder:
    """Answers by the servers of an asker."""

    def __init__(
        self, host: HostServerList, cache: Cache, slots: Slots, clock: Callable[[], float], open_outside: exchange.OpenSocket
    ) -> None:
        self._host = host
        self._cache = cache
        self._slots = slots
        self._clock = clock
        self._open_outside = open_outside
        self._seen = host.generation
        self._sore: dict[tuple[str, str], tuple[int, float]] = {}
        """Servers with how many questions in a row they have not answered, and until when that matters."""
        self._under_way: dict[Hashable, asyncio.Future[bytes | None]] = {}
        self.asked = 0
        """Questions that went to a server."""

    def cached(self, asker: Asker, query: wire.Query, identity: bytes) -> bytes | None:
        """Return an answer that is kept, without waiting for anything."""
        if query.has_options:
            return None
        found = self._cache.get((self._plan(asker.unit, query.key).pool, query.variant))
        if found is None:
            return None
        kept, age = found
        return wire.dressed(kept.message, query, identity, age, kept.reply.lifetimes)

    async def answer(self, asker: Asker, query: wire.Query, data: bytes, trace: Trace = UNTRACED) -> bytes:
        """Return the answer of the first server that has one, in the asker's dress; SERVFAIL if none has, REFUSED if there are too many."""
        plan = self._plan(asker.unit, query.key)
        if not plan.servers:
            trace.add("nobody may be asked: the container has no way out" if not asker.unit.external else "there are no name servers")
            return data[:2] + wire.refusal(query, wire.SERVER_FAILURE)
        key = (plan.pool, query.variant, data[2:] if query.has_options else b"")
        shared = self._under_way.get(key)
        if shared is not None and trace is UNTRACED:
            message = await asyncio.shield(shared)
        else:
            if not await self._slots.take(asker.unit.id, PATIENCE):
                trace.add("too many questions of this container are under way")
                return data[:2] + wire.refusal(query, wire.REFUSED)
            try:
                message = await self._ask_for_all(key, asker, plan, query, data, trace)
            finally:
                self._slots.release(asker.unit.id)
        if message is None:
            return data[:2] + wire.refusal(query, wire.SERVER_FAILURE)
        return wire.dressed(message, query, data[:2])

    async def _ask_for_all(self, key: Hashable, asker: Asker, plan: _Plan, query: wire.Query, data: bytes, trace: Trace) -> bytes | None:
        """Ask, and let those wait for the same answer who ask the same meanwhile."""
        shared: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._under_way.setdefault(key, shared)
        message = None
        try:
            message = await self._ask(asker, plan, query, data, trace)
        finally:
            if self._under_way.get(key) is shared:
                del self._under_way[key]
            shared.set_result(message)
        return message

    async def _ask(self, asker: Asker, plan: _Plan, query: wire.Query, data: bytes, trace: Trace) -> bytes | None:
        for server in sorted(plan.servers, key=lambda server: self._is_sore(plan, server)):
            message = await self._ask_one(asker, plan, server, query, (data, trace))
            if message is None:
                continue
            reply = wire.parse_reply(message, query.question)
            if not query.has_options:
                self._cache.put((plan.pool, query.variant), message, reply)
            return message
        trace.add("no server has an answer")
        return None

    async def _ask_one(self, asker: Asker, plan: _Plan, server: Server, query: wire.Query, about: tuple[bytes, Trace]) -> bytes | None:
        """Return the server's answer if it is one to go by."""
        data, trace = about
        where = f"{server.address} from the {'container' if server.inside else 'host'}'s namespace"
        open_socket = asker.open_inside if server.inside else self._open_outside
        self.asked += 1
        try:
            async with asyncio.timeout(PATIENCE):
                message = await exchange.over_udp(open_socket, server.address, data, query.question)
                reply = wire.parse_reply(message, query.question)
                trace.add(f"asked {where} by UDP", server=server.address, message=message)
                if reply.truncated:
                    message, reply = await self._in_full(open_socket, server, message, (data, query), trace)
        except TimeoutError:
            trace.add(f"asked {where}: no answer within {PATIENCE:g} s", server=server.address)
            self._hurt(plan, server)
            return None
        except (OSError, wire.MalformedError) as error:
            trace.add(f"asked {where}: {_reason(error)}", server=server.address)
            return None  # it costs no time: the server may be asked first again
        self._sore.pop((plan.pool, server.address), None)
        return None if reply.code in _NEXT else message

    async def _in_full(
        self, open_socket: exchange.OpenSocket, server: Server, cut: bytes, about: tuple[bytes, wire.Query], trace: Trace
    ) -> tuple[bytes, wire.Reply]:
        """Ask again by TCP; a server that does not serve TCP leaves the asker with what came by UDP."""
        data, query = about
        try:
            message = await exchange.over_tcp(open_socket, server.address, data, query.question)
            reply = wire.parse_reply(message, query.question)
        except (OSError, wire.MalformedError) as error:
            trace.add(f"cut off; by TCP: {_reason(error)}", server=server.address)
            return cut, wire.parse_reply(cut, query.question)
        trace.add("cut off; asked again by TCP", server=server.address, message=message)
        return message, reply

    def _plan(self, unit: Sandbox, key: bytes) -> _Plan:
        """Choose the servers: of the longest domain route that fits, the container's own, or the host's."""
        route = max((domain for domain in unit.routes if _within(key, domain)), key=len, default="")
        if route:
            servers, pool = tuple(Server(address=each) for each in unit.routes[route]), f"route {route} {' '.join(unit.routes[route])}"
        elif unit.servers is not None:
            servers, pool = unit.servers[:MOST], unit.id
        else:
            servers, pool = tuple(Server(address=each) for each in self._host_servers()), "host"
        if not unit.external:
            servers = tuple(server for server in servers if server.inside)
            pool = unit.id
        return _Plan(servers, pool)

    def _host_servers(self) -> tuple[str, ...]:
        servers = self._host.servers()
        if self._host.generation != self._seen:
            self._seen = self._host.generation
            self._cache.clear()  # behind another VPN, the same name may be another machine
        return servers

    def _is_sore(self, plan: _Plan, server: Server) -> bool:
        silences, until = self._sore.get((plan.pool, server.address), (0, 0.0))
        return silences >= SILENCES and until > self._clock()

    def _hurt(self, plan: _Plan, server: Server) -> None:
        now = self._clock()
        self._sore = {key: (silences, until) for key, (silences, until) in self._sore.items() if until > now}
        silences, _ = self._sore.get((plan.pool, server.address), (0, 0.0))
        self._sore[plan.pool, server.address] = silences + 1, now + SORE


def _reason(error: Exception) -> str:
    """Say it without the number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _within(key: bytes, domain: str) -> bool:
    """Whether the name is the domain or below it."""
    end = wire.encode_name(domain)
    if end is None or not key.endswith(end):
        return False
    offset, start = 0, len(key) - len(end)
    while offset < start:
        offset += 1 + key[offset]
    return offset == start
