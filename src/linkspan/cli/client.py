"""HTTP/1.1 to the engine over its unix socket: requests, streams, uploads, hijacked connections.

Written by hand because `import http.client` brings the email package and costs 35 ms, half of what `linkspan ps` takes in all, and
because it has no notion of a hijacked connection. One connection per request: on a unix socket that is cheaper than bookkeeping.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from linkspan.cli.failures import ApiError, CommandError, Unreachable

API_VERSION = "1.51"
_PIECE = 1 << 16
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/")

Json = Any
"""What json.loads returns. The command shows the engine's answers and does not check them: their schema is Docker's."""
JsonObject = dict[str, Any]
Value = str | int | bool | None | Sequence[str]
Query = Mapping[str, Value]
Body = bytes | Iterable[bytes] | None


def quote(text: str) -> str:
    """Percent-encode for a path or a query; `/` and `:` stay, because image names hold them. (urllib.parse imports ipaddress: 3 ms.)"""
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode(errors="surrogateescape"))


def container_path(name: str, action: str = "") -> str:
    """Return `/containers/NAME/ACTION`.

    Raises CommandError if there is no name.
    """
    if not name.strip():
        raise CommandError("invalid container name or ID: value is empty")
    return f"/containers/{quote(name).replace('/', '%2F')}{'/' if action else ''}{action}"


def encode_filters(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the API's `filters`: names with sets of values; empty for none."""
    sets: dict[str, dict[str, bool]] = {}
    for name, value in pairs:
        sets.setdefault(name, {})[value] = True
    return json.dumps(sets) if sets else ""


class Connection:
    """A connected socket and the bytes that were received but not yet asked for."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.early = b""

    def line(self) -> bytes:
        """Read up to the next line end, which is cut off."""
        while b"\n" not in self.early:
            self.early += self._receive()
        line, _, self.early = self.early.partition(b"\n")
        return line.removesuffix(b"\r")

    def some(self, limit: int) -> bytes:
        """Read at least one byte, at most `limit`; empty at the end."""
        if not self.early:
            return self.sock.recv(min(limit, _PIECE))
        piece, self.early = self.early[:limit], self.early[limit:]
        return piece

    def _receive(self) -> bytes:
        piece = self.sock.recv(_PIECE)
        if not piece:
            raise ConnectionResetError
        return piece


class Answer:
    """A response whose body is still to be read; a context manager that closes the connection."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.connection = connection
        words = connection.line().split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise CommandError("what answers on the socket does not speak HTTP")
        self.code = int(words[1])
        self.headers: dict[str, str] = {}
        while line := connection.line():
            name, _, value = line.decode("latin-1").partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self._empty = method == "HEAD" or self.code in (204, 304)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises CommandError if the connection breaks before its end.
        """
        if self._empty:
            return
        try:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                yield from self._chunks()
            elif "content-length" in self.headers:
                yield from self._exactly(int(self.headers["content-length"]))
            else:
                while piece := self.connection.some(_PIECE):
                    yield piece
        except OSError as error:
            raise CommandError("the engine closed the connection in the middle of its answer") from error

    def read(self) -> bytes:
        return b"".join(self.pieces())

    def json(self) -> Json:
        """Parse the whole body; None if it is empty."""
        content = self.read()
        try:
            return json.loads(content) if content.strip() else None
        except ValueError as error:
            raise CommandError(f"the engine's answer is not JSON: {error}") from error

    def messages(self) -> Iterator[JsonObject]:
        """Yield the JSON objects of a stream as they arrive, one per line."""
        rest = b""
        try:
            for piece in self.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
            if rest.strip():
                yield json.loads(rest)
        except ValueError as error:
            raise CommandError(f"the engine's answer is not JSON: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.sock.close()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.connection.line().split(b";")[0], 16):
            yield from self._exactly(size)
            self.connection.line()
        while self.connection.line():
            """Trailers mean nothing here."""

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.connection.some(size)
            if not piece:
                raise ConnectionResetError
            size -= len(piece)
            yield piece


class Client:
    """The engine at `host` (`unix://PATH` or `tcp://HOST:PORT`).

    All methods raise ApiError if the engine refuses, Unreachable if nothing answers and `wake` does not help. `wake` is called when
    nothing listens; it returns whether it is worth trying again.
    """

    def __init__(self, host: str, wake: Callable[[], bool] | None = None) -> None:
        self.host = host
        self._wake = wake

    def get(self, path: str, **query: Value) -> Json:
        return self._whole("GET", path, query, None)

    def post(self, path: str, body: object = None, **query: Value) -> Json:
        return self._whole("POST", path, query, body)

    def delete(self, path: str, **query: Value) -> Json:
        return self._whole("DELETE", path, query, None)

    def stream(self, method: str, path: str, query: Query | None = None, body: Body = None) -> Answer:
        """Send a request and return once the headers of its answer are there; bytes go out as a tar archive."""
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        return self._checked(self._send(method, path, query or {}, headers, body))

    def hijack(self, path: str, query: Query | None = None, body: object = None) -> Connection:
        """POST, and take over the connection: from here on both sides send raw bytes."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        answer = self._send("POST", path, query or {}, headers, content)
        if answer.code != 101 and answer.code >= 300:
            self._checked(answer)
        return answer.connection

    def _whole(self, method: str, path: str, query: Query, body: object) -> Json:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        with self._checked(self._send(method, path, query, headers, content)) as answer:
            return answer.json()

    def _send(self, method: str, path: str, query: Query, headers: dict[str, str], body: Body) -> Answer:
        connection = Connection(self._connect())
        lines = [f"{method} /v{API_VERSION}{path}{_query(query)} HTTP/1.1", "Host: linkspan", "User-Agent: linkspan"]
        if isinstance(body, bytes):
            headers["Content-Length"] = str(len(body))
        elif body is not None:
            headers["Transfer-Encoding"] = "chunked"
        elif method == "POST":
            headers["Content-Length"] = "0"
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            _deliver(connection.sock, "\r\n".join([*lines, "", ""]).encode("latin-1"), body)
            return Answer(connection, method)
        except ConnectionError as error:
            connection.sock.close()
            raise CommandError(f"the linkspan engine at {self.host} closed the connection without an answer") from error
        except BaseException:
            connection.sock.close()
            raise

    def _checked(self, answer: Answer) -> Answer:
        if answer.code < 400:
            return answer
        with answer:
            content = answer.read().decode(errors="replace").strip()
        try:
            message = str(json.loads(content)["message"])
        except (ValueError, KeyError, TypeError):
            message = content or f"status {answer.code}"
        raise ApiError(message, answer.code)

    def _connect(self) -> socket.socket:
        try:
            return _dial(self.host)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if self._wake is not None and self._wake():
                self._wake = None
                return self._connect()
            hint = "Is it running? Start it with: sudo linkspan up"
            raise Unreachable(f"Cannot connect to the linkspan engine at {self.host}. {hint}") from error
        except PermissionError as error:
            hint = "Use sudo, or join the group that the socket belongs to"
            raise Unreachable(f"Permission denied on the linkspan engine's socket at {self.host}. {hint}") from error
        except OSError as error:
            raise Unreachable(f"Cannot connect to the linkspan engine at {self.host}: {error.strerror or error}") from error


def _query(query: Query) -> str:
    """Write the query; what is None, False or empty is left out, and a sequence is given several times."""
    words: list[str] = []
    for name, value in query.items():
        if value is None or value is False or value == "":
            continue
        texts = ["1" if value is True else str(value)] if isinstance(value, (str, int)) else value
        words += [f"{quote(name)}={quote(text)}" for text in texts]
    return f"?{'&'.join(words)}" if words else ""


def _deliver(sock: socket.socket, head: bytes, body: Body) -> None:
    """Send a request. An engine that refuses a long body says why before it hangs up, so that is no error here."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(head + (body if isinstance(body, bytes) else b""))
        if isinstance(body, bytes) or body is None:
            return
        for piece in body:
            if piece:
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")


def _dial(host: str) -> socket.socket:
    scheme, _, address = host.partition("://")
    if scheme == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock
    name, colon, port = address.rpartition(":")
    if scheme != "tcp" or not colon or not port.isdigit():
        raise CommandError(f"unable to parse the host {host!r}: use unix://PATH or tcp://HOST:PORT")
    return socket.create_connection((name.strip("[]"), int(port)))
