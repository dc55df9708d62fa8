"""The sockets of one sandbox: 127.0.0.11 in its namespace, by UDP and TCP."""

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import Callable, Coroutine

from linkspan.resolver import exchange, wire
from linkspan.resolver.forward import Asker, Forwarder
from linkspan.resolver.records import Book, Found
from linkspan.resolver.trace import UNTRACED, Trace
from linkspan.resolver.units import Sandbox

logger = logging.getLogger(__name__)

AT_ONCE = 16
"""Questions of one sandbox that are answered before the others have their turn."""
LONGEST_QUERY = 4096
REMEMBERED = 64
"""Answers of one sandbox that are kept ready."""
CONNECTIONS = 32
"""TCP connections of one sandbox."""
TASKS = 2048
"""Questions of one sandbox that wait for an answer of others; what comes beyond is dropped, as by a full socket."""
IDLE = 10.0
"""Seconds that a TCP connection may do nothing."""

Peer = tuple[str, int]


class Listener:
    """Answers one sandbox."""

    def __init__(self, unit_id: str, book: Book, forwarder: Forwarder, sockets: tuple[socket.socket, socket.socket]) -> None:
        self.udp, self.tcp = sockets
        self.id = unit_id
        self.answered = 0
        self._book = book
        self._forwarder = forwarder
        self.namespace = -1
        self._open_inside: exchange.OpenSocket = exchange.opener()
        self._ready: dict[bytes, bytes] = {}
        self._generation = -1
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._loop = asyncio.get_running_loop()
        for each in sockets:
            each.settimeout(0)
        self._loop.add_reader(self.udp, self._read)
        self._loop.add_reader(self.tcp, self._accept)

    def enter_by(self, namespace: int, visit: Callable[[int, Callable[[], socket.socket]], socket.socket]) -> None:
        """Ask servers `inside` by sockets opened in this namespace (an open file, ours from now on)."""
        self._let_go()
        self.namespace = namespace
        self._open_inside = exchange.opener(lambda make: visit(namespace, make))

    def close(self) -> None:
        """Answer no more, and let the namespace go."""
        for each in (self.udp, self.tcp):
            self._loop.remove_reader(each)
            each.close()
        for task in self._tasks:
            task.cancel()
        self._let_go()

    async def trace(self, name: bytes, kind: int, trace: Trace) -> bytes:
        """Answer a question as if the sandbox had asked it by TCP, and take note of each step."""
        data = wire.query_message(name, kind)
        query = wire.parse_query(data)
        found = self._find(query, trace)
        if found is not None:
            return data[:2] + found
        if (kept := self._forwarder.cached(self._asker, query, data[:2])) is not None:
            trace.add("there is an answer in the cache, which another question would have got; asking all the same", message=kept)
        return await self._forwarder.answer(self._asker, query, data, trace)

    @property
    def _unit(self) -> Sandbox:
        return self._book.sandboxes[self.id]

    @property
    def _asker(self) -> Asker:
        return Asker(self._unit, self._open_inside)

    def _read(self) -> None:
        """Answer what has come; leave the rest for the next turn, so that nobody is served by a flood alone."""
        for _ in range(AT_ONCE):
            try:
                data, peer = self.udp.recvfrom(LONGEST_QUERY)
            except BlockingIOError:
                return
            except OSError as error:  # what an earlier answer met
                logger.debug("sandbox %s: %s", self.id, error)
                continue
            if self._generation == self._book.generation and (ready := self._ready.get(data[2:])):
                self._send(data[:2] + ready, peer)
                continue
            answer = self.answer_now(data, udp=True)
            if isinstance(answer, wire.Query):
                self._later(self._answer_udp(answer, data, peer))
            elif answer:
                self._send(answer, peer)

    def _send(self, data: bytes, peer: Peer) -> None:
        self.answered += 1
        with contextlib.suppress(OSError):  # as good as lost on the way
            self.udp.sendto(data, peer)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        if len(self._tasks) >= TASKS:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a question could not be answered", exc_info=error)

    def answer_now(self, data: bytes, *, udp: bool) -> bytes | wire.Query | None:
        """Return the answer, None for what deserves none, or the query if others must be asked."""
        try:
            query = wire.parse_query(data)
        except wire.MalformedError:
            answer = wire.malformed(data)
            return answer and data[:2] + answer
        if query.code:
            return data[:2] + wire.refusal(query, wire.NOT_IMPLEMENTED)
        if query.kind in (wire.AXFR, wire.AXFR - 1):
            return data[:2] + wire.refusal(query, wire.REFUSED)
        answer = self._find(query, limit=query.size if udp else None, data=data)
        if answer is not None:
            return data[:2] + answer
        kept = self._forwarder.cached(self._asker, query, data[:2])
        return query if kept is None else _fitted(kept, query, udp=udp)

    def _find(self, query: wire.Query, trace: Trace = UNTRACED, *, limit: int | None = None, data: bytes = b"") -> bytes | None:
        """Answer by what the engine told, without the id; None if others must be asked."""
        unit, key = self._unit, query.key
        found = self._book.find(unit, key, query.kind) if query.klass == wire.IN else None
        if found is None:
            if query.klass == wire.IN and unit.short_names_stay and _is_short(key) and query.kind in (wire.A, wire.AAAA):
                trace.add("no such name here; names without a dot are not asked for elsewhere, as ndots is set")
                return wire.refusal(query, wire.NO_ERROR)
            trace.add("no such name in the container's networks")
            return None
        answer = wire.answer(query, self._shuffled(found), kind=query.kind, lifetime=unit.lifetime, limit=limit)
        trace.add(_said(found), message=b"\0\0" + answer)
        if limit is not None and len(found.records) < 2:
            self._remember(data[2:], answer)
        return answer

    def _shuffled(self, found: Found) -> list[bytes]:
        records = list(found.records)
        random.shuffle(records)
        return records

    def _remember(self, question: bytes, answer: bytes) -> None:
        if self._generation != self._book.generation or len(self._ready) >= REMEMBERED:
            self._ready.clear()
            self._generation = self._book.generation
        self._ready[question] = answer

    async def _answer_udp(self, query: wire.Query, data: bytes, peer: Peer) -> None:
        answer = await self._forwarder.answer(self._asker, query, data)
        self._send(_fitted(answer, query, udp=True), peer)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self.tcp.accept()
            except OSError:  # nobody there any more, or no file left for it
                return
            if self._connections >= CONNECTIONS or len(self._tasks) >= TASKS:
                connection.close()
                continue
            connection.settimeout(0)
            self._connections += 1
            self._later(self._converse(connection))

    async def _converse(self, connection: socket.socket) -> None:
        """Answer one question after the other, until the caller ends, or does nothing for too long."""
        with connection:
            try:
                while True:
                    async with asyncio.timeout(IDLE):
                        length = int.from_bytes(await exchange.receive(connection, 2), "big")
                        data = await exchange.receive(connection, length)
                    answer = self.answer_now(data, udp=False)
                    if isinstance(answer, wire.Query):
                        answer = await self._forwarder.answer(self._asker, answer, data)
                    if not answer:
                        return
                    self.answered += 1
                    async with asyncio.timeout(IDLE):
                        await self._loop.sock_sendall(connection, len(answer).to_bytes(2, "big") + answer)
            except (OSError, TimeoutError):
                return
            finally:
                self._connections -= 1

    def _let_go(self) -> None:
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1


def _fitted(answer: bytes, query: wire.Query, *, udp: bool) -> bytes:
    return wire.shortened(answer, query.question) if udp and len(answer) > query.size else answer


def _is_short(key: bytes) -> bool:
    return len(key) > 1 and key[1 + key[0]] == 0


def _said(found: Found) -> str:
    return f"known by {found.where}" if found.records else f"known by {found.where}, which has nothing of this kind"
