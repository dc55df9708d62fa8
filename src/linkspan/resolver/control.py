"""What the engine may tell the resolver: EXEC_ROOT/resolver.sock, for root alone."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable

from linkspan import __version__
from linkspan.errors import EngineError, InvalidInput
from linkspan.resolver import messages, wire
from linkspan.resolver.desk import Desk
from linkspan.resolver.messages import Message, ResolverError
from linkspan.resolver.trace import Trace
from linkspan.resolver.units import MOST, from_json

logger = logging.getLogger(__name__)

CONNECTIONS = 16
_PAGE = 500

_Files = list[int]
_Answer = tuple[Message, tuple[int, ...]]


class Control:
    """Serves the engine's connections."""

    def __init__(self, listening: socket.socket, desk: Desk, end: Callable[[], None]) -> None:
        self._listening = listening
        self._desk = desk
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        listening.settimeout(0)
        self._loop.add_reader(listening, self._accept)
        self._operations: dict[str, Callable[[Message, _Files], _Answer]] = {
            "hello": self._hello,
            "change": self._change,
            "begin": self._begin,
            "commit": self._commit,
            "held": self._held,
            "sockets": self._sockets,
            "status": self._status,
            "end": self._ended,
        }

    def close(self) -> None:
        """Serve nobody any more."""
        for each in (self._listening, *self._connections):
            self._loop.remove_reader(each)
            each.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user not in (0, os.geteuid()) or len(self._connections) >= CONNECTIONS:
            connection.close()
            return
        connection.settimeout(0)
        self._connections.add(connection)
        self._loop.add_reader(connection, self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            message, files = messages.receive(connection)
        except BlockingIOError:
            return
        except ResolverError as error:
            self._answer(connection, {"error": str(error)})
            return
        except OSError:
            self._forget(connection)
            return
        if message.get("op") == "trace":
            messages.close_all(files)
            self._spawn(self._trace(connection, message))
            return
        answer, sent = self._act(message, files)
        self._answer(connection, answer, sent)

    def _act(self, message: Message, files: _Files) -> _Answer:
        """Do what is asked; the files are closed unless they were taken out of the list."""
        operation = self._operations.get(str(message.get("op")))
        try:
            if operation is None:
                raise InvalidInput(f"unknown operation {str(message.get('op'))[:64]!r}")
            return operation(message, files)
        except EngineError as error:
            return {"error": str(error)}, ()
        except OSError as error:
            return {"error": f"the resolver cannot: {error}"}, ()
        finally:
            messages.close_all(files)

    def _answer(self, connection: socket.socket, answer: Message, files: tuple[int, ...] = ()) -> None:
        try:
            messages.send(connection, answer, files)
        except (OSError, ResolverError) as error:  # who does not read its answers has no use for them
            logger.warning("an answer to the engine was lost: %s", error)
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        self._loop.remove_reader(connection)
        connection.close()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hello(self, _: Message, __: _Files) -> _Answer:
        return {"protocol": messages.PROTOCOL, "version": __version__, "pid": os.getpid()}, ()

    def _change(self, message: Message, files: _Files) -> _Answer:
        puts, drops = _list(message, "put"), _list(message, "drop")
        units = [from_json(each) for each in puts]
        gone = [(_text(each, 0), _text(each, 1)) for each in drops]
        self._desk.change(units, gone, files)
        return {}, ()

    def _begin(self, _: Message, __: _Files) -> _Answer:
        self._desk.begin()
        return {}, ()

    def _commit(self, _: Message, __: _Files) -> _Answer:
        return {"swept": self._desk.commit()}, ()

    def _held(self, message: Message, _: _Files) -> _Answer:
        after = str(message.get("after", ""))
        ids = sorted(each for each in self._desk.listeners if each > after)
        return {"ids": ids[:_PAGE], "more": len(ids) > _PAGE}, ()

    def _sockets(self, message: Message, _: _Files) -> _Answer:
        listener = self._desk.listener(str(message.get("id")))
        return {}, (listener.udp.fileno(), listener.tcp.fileno(), listener.namespace)

    def _status(self, _: Message, __: _Files) -> _Answer:
        return self._desk.status(), ()

    def _ended(self, _: Message, __: _Files) -> _Answer:
        self._loop.call_soon(self._end)
        return {}, ()

    async def _trace(self, connection: socket.socket, message: Message) -> None:
        trace = Trace()
        try:
            listener = self._desk.listener(str(message.get("id")))
            name = wire.encode_name(str(message.get("name")))
            kind = message.get("type")
            if name is None or not isinstance(kind, int) or not 0 < kind <= 0xFFFF:
                raise InvalidInput("this name or type cannot be asked for")
            answer = await listener.trace(name, kind, trace)
        except EngineError as error:
            self._reply_later(connection, {"error": str(error)})
        else:
            steps = trace.steps[:MOST]
            self._reply_later(
                connection, {"steps": steps, "answer": answer.hex()} if _fits(steps, answer) else {"error": "too long to show"}
            )

    def _reply_later(self, connection: socket.socket, answer: Message) -> None:
        if connection in self._connections:
            self._answer(connection, answer)


def listen(path: str) -> socket.socket:
    """Return a socket that listens at `path`, for root alone, in place of what a former resolver left."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  a socket's address is a text
    former = os.umask(0o177)
    try:
        listening.bind(path)
    finally:
        os.umask(former)
    listening.listen(CONNECTIONS)
    return listening


def _list(message: Message, name: str) -> list[object]:
    value = message.get(name, [])
    if not isinstance(value, list) or len(value) > MOST:
        raise InvalidInput(f"{name} is not a list of a fit length")
    return value


def _text(pair: object, index: int) -> str:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[index], str):
        raise InvalidInput("what is dropped is named by its kind and its id")
    return str(pair[index])


def _fits(steps: list[dict[str, object]], answer: bytes) -> bool:
    return sum(len(str(step)) for step in steps) + 2 * len(answer) < messages.LONGEST // 2
