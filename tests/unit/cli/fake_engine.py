"""A small engine for the command's tests: a real unix socket, real HTTP, canned answers, and a record of what was asked."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Conversation = Callable[[socket.socket], None]
JsonValue = Any

ID = "c" * 64
CONTAINER = f"/containers/{ID}"
"""The one container that these tests know."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def json(self) -> JsonValue:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer: a JSON value, raw pieces sent chunk by chunk, or a conversation on the hijacked connection."""

    status: int = 200
    value: object = None
    pieces: Iterable[bytes] | None = None
    talk: Conversation | None = None
    headers: dict[str, str] = field(default_factory=dict)


class FakeEngine:
    """Answers `METHOD /path` (no version prefix) with the replies given by `on`, in turn; the last one stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Asked] = []
        self._replies: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self._server = _Server(str(path), type("Handler", (_Handler,), {"engine": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def reset(self) -> None:
        """Forget all answers and all requests."""
        with self._lock:
            self.asked = []
            self._replies = {}

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def on(self, request: str, *replies: Reply) -> None:
        """Answer `request` (`GET /info`) with `replies`."""
        self._replies[request] = list(replies)

    def on_json(self, request: str, value: object, status: int = 200) -> None:
        self.on(request, Reply(status=status, value=value))

    def refuse(self, request: str, status: int, message: str) -> None:
        self.on_json(request, {"message": message}, status)

    def requests(self, prefix: str = "") -> list[str]:
        """`METHOD /path` of everything asked so far that starts with `prefix`."""
        lines = [f"{asked.method} {asked.path}" for asked in self.asked]
        return [line for line in lines if line.startswith(prefix)]

    def last(self, request: str) -> Asked:
        """The newest `METHOD /path` that was asked."""
        return next(asked for asked in reversed(self.asked) if f"{asked.method} {asked.path}" == request)

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            replies = self._replies.get(f"{asked.method} {asked.path}")
            if not replies:
                return Reply(status=404, value={"message": f"no answer for {asked.method} {asked.path}"})
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may hang up whenever it likes; anything else is a bug of a test, and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    engine: FakeEngine
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Callable[[], None]:
        """All methods (do_GET, do_POST, …) are answered alike."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: the address of a unix client is empty, which the base class cannot print."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        reply = self.engine.answer(Asked(self.command, re.sub(r"^/v1\.\d+", "", parts.path), query, self._body()))
        if reply.talk is not None:
            self._hijack(reply, reply.talk)
        elif reply.pieces is not None:
            self._chunks(reply, reply.pieces)
        else:
            self._json(reply)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, reply: Reply) -> None:
        content = b"" if reply.value is None else json.dumps(reply.value).encode()
        self._head(reply.status, reply, {"Content-Type": "application/json", "Content-Length": str(len(content))})
        if content and self.command != "HEAD":
            self.wfile.write(content)

    def _chunks(self, reply: Reply, pieces: Iterable[bytes]) -> None:
        self._head(reply.status, reply, {"Transfer-Encoding": "chunked"})
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _hijack(self, reply: Reply, talk: Conversation) -> None:
        self.close_connection = True
        self._head(101, reply, {"Connection": "Upgrade", "Upgrade": "tcp"})
        talk(self.connection)

    def _head(self, status: int, reply: Reply, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Api-Version": "1.51", "Ostype": "linux", **headers, **reply.headers}.items():
            if not (status == 204 and name == "Content-Length"):
                self.send_header(name, value)
        self.end_headers()


def frame(stream: int, data: bytes) -> bytes:
    """One frame of Docker's multiplexed stream."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def says(*frames: bytes) -> Conversation:
    """A container that says this and ends."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(b"".join(frames))

    return talk


def when_asked(action: Callable[[], object]) -> Iterator[bytes]:
    """The pieces of an empty answer; `action` happens before it ends."""
    action()
    yield from ()
