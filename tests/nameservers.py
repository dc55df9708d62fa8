"""Name servers and those who ask them, for the tests: dnslib on sockets of a test host's namespace.

with NameServer(outside, "10.99.0.2", {"a.example": "192.0.2.1"}) as server:
    ask(container, "a.example").addresses                      # ["192.0.2.1"]
    server.asked                                               # [("a.example", "A", "udp")]
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import dnslib
from dnslib import QTYPE, RCODE, RR, DNSRecord

from tests.hosts import Namespace

LOCAL = "127.0.0.11"
Answer = Callable[[DNSRecord, str], DNSRecord | bytes | None]
"""Makes the answer to a question that came by udp or tcp; None: says nothing."""


@dataclass(frozen=True)
class Answered:
    """What a name server said."""

    message: DNSRecord
    seconds: float
    data: bytes = field(repr=False)

    @property
    def code(self) -> str:
        return str(RCODE.get(self.message.header.rcode))

    @property
    def addresses(self) -> list[str]:
        return sorted(str(record.rdata) for record in self.message.rr if record.rtype in (QTYPE.A, QTYPE.AAAA))

    @property
    def texts(self) -> list[str]:
        return [str(record.rdata) for record in self.message.rr]


def question(name: str, kind: str = "A", *, size: int | None = None) -> DNSRecord:
    """Return a question, with EDNS if a size is given."""
    asked = DNSRecord.question(name, kind)
    if size is not None:
        asked.add_ar(dnslib.EDNS0(udp_len=size))
    return asked


def ask(
    where: Namespace, name: str, kind: str = "A", *, server: str = LOCAL, tcp: bool = False, size: int | None = None, timeout: float = 15
) -> Answered:
    """Ask a name server from a namespace; raises OSError, TimeoutError."""
    return where.run(lambda: ask_here(question(name, kind, size=size).pack(), server=server, tcp=tcp, timeout=timeout))


def ask_here(data: bytes, *, server: str = LOCAL, tcp: bool = False, timeout: float = 15) -> Answered:
    """Ask from the namespace of this thread."""
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.connect((server, 53))
        asking.sendall(len(data).to_bytes(2, "big") + data if tcp else data)
        answer = framed(asking) if tcp else asking.recv(65535)
    assert answer[:2] == data[:2], "an answer with another id"
    return Answered(DNSRecord.parse(answer), time.monotonic() - began, answer)


def framed(connection: socket.socket) -> bytes:
    """Return the next message of a TCP connection."""
    length = int.from_bytes(_exactly(connection, 2), "big")
    return _exactly(connection, length)


class NameServer:
    """A name server in a namespace; what it answers can be changed at any time."""

    def __init__(self, host: Namespace, address: str, names: Mapping[str, str] | None = None, *, lifetime: int = 60) -> None:
        self.names = dict(names or {})
        self.asked: list[tuple[str, str, str]] = []
        """(name, type, udp or tcp) of each question."""
        self.messages: list[DNSRecord] = []
        self.callers: list[tuple[str, int]] = []
        self.answer: Answer = self.plain
        self._lifetime = lifetime
        self._udp = host.run(lambda: _bound(socket.SOCK_DGRAM, address))
        self._tcp = host.run(lambda: _bound(socket.SOCK_STREAM, address))
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._serve_udp, self._serve_tcp)]

    def plain(self, asked: DNSRecord, _: str) -> DNSRecord:
        """Answer by the names; NXDOMAIN with a SOA record for others."""
        answer = asked.reply()
        name, kind = str(asked.q.qname).rstrip(".").lower(), QTYPE.get(asked.q.qtype)
        value = self.names.get(name)
        if value is None:
            answer.header.rcode = RCODE.NXDOMAIN
            answer.add_auth(*RR.fromZone(f"example. {self._lifetime} IN SOA ns.example. root.example. 1 2 3 4 {self._lifetime}"))
        elif kind == ("AAAA" if ":" in value else "A"):
            answer.add_answer(*RR.fromZone(f"{name}. {self._lifetime} IN {kind} {value}"))
        return answer

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for each in (self._udp, self._tcp):
            with contextlib.suppress(OSError):  # wakes the thread
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _reply(self, data: bytes, protocol: str, caller: tuple[str, int]) -> bytes | None:
        asked = DNSRecord.parse(data)
        self.asked.append((str(asked.q.qname).rstrip("."), str(QTYPE.get(asked.q.qtype)), protocol))
        self.messages.append(asked)
        self.callers.append(caller)
        made = self.answer(asked, protocol)
        return bytes(made.pack()) if isinstance(made, DNSRecord) else made

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, caller = self._udp.recvfrom(65535)
                if not data:
                    return
                if answer := self._reply(data, "udp", caller):
                    self._udp.sendto(answer, caller)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = self._tcp.accept()
                connection.settimeout(5)
                with connection, contextlib.suppress(OSError, EOFError):
                    if answer := self._reply(framed(connection), "tcp", caller):
                        connection.sendall(len(answer).to_bytes(2, "big") + answer)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise EOFError("the other side has hung up")
        parts += part
    return parts


def _bound(kind: socket.SocketKind, address: str) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, 53))
    if kind == socket.SOCK_STREAM:
        server.listen(64)
    return server


def decoded(name: bytes) -> str:
    """Return a name of the wire as people write it."""
    labels, offset = [], 0
    while offset < len(name) and (length := name[offset]):
        label = name[offset + 1 : offset + 1 + length].decode("utf-8", "backslashreplace")
        labels.append(label.replace(".", "\\.") if label.isprintable() else repr(label)[1:-1])
        offset += 1 + length
    return ".".join(labels)
