"""Traffic that counts what it loses: pings, datagrams and connections every 10 ms, a stream that is compared byte by byte.

with Pings(host, "172.17.0.2") as pings:
    …
pings.lost      # a list: what was sent and not answered within LATE seconds
"""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from tests.hosts import Namespace

PACE = 0.01
LATE = 5.0
"""Seconds after which an answer is taken for lost: the machine may be busy."""
SYN_AGAIN = 0.9
"""A connection that takes longer has lost its first packet: the kernel sends it again after a second."""


class Probe(threading.Thread):
    """Sends something every so often, from a namespace, until the block ends."""

    def __init__(self, source: Namespace, target: tuple[str, int], *, pace: float = PACE) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.lost: list[str] = []
        self._source = source
        self._target = target
        self._pace = pace
        self._over = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(self._pace):
                self.send()
            self.finish()
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            self._error = error

    def send(self) -> None:
        """Send one more."""
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for the last answers."""

    def open(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket in the source's namespace."""
        return self._source.run(lambda: socket.socket(family, kind, protocol))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self.join()
        if self._error and not error:
            raise self._error


class Answered(Probe):
    """A probe on one socket whose answers carry the number of what they answer."""

    def __init__(self, source: Namespace, target: tuple[str, int], *, pace: float = PACE) -> None:
        super().__init__(source, target, pace=pace)
        self._open: dict[int, float] = {}
        self._socket = self.socket()
        self._socket.setblocking(False)

    def socket(self) -> socket.socket:
        raise NotImplementedError

    def packet(self, number: int) -> bytes:
        return struct.pack("!I", number)

    def number(self, packet: bytes) -> int | None:
        """The number that an answer is to."""
        return int(struct.unpack("!I", packet[:4])[0])

    def send(self) -> None:
        self.sent += 1
        self._open[self.sent] = time.monotonic()
        self._socket.sendto(self.packet(self.sent), self._target)
        self._receive()

    def finish(self) -> None:
        deadline = time.monotonic() + LATE
        while self._open and time.monotonic() < deadline:
            select.select([self._socket], [], [], 0.1)
            self._receive()
        self.lost += [f"number {number} of {self.sent}" for number in self._open]
        self._socket.close()

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                number = self.number(self._socket.recv(4096))
                if number is not None:
                    self._open.pop(number, None)


class Pings(Answered):
    """`ping -i 0.01`."""

    _ECHO, _ANSWER = 8, 0

    def __init__(self, source: Namespace, address: str) -> None:
        self._id = os.urandom(2)
        super().__init__(source, (address, 0))

    def socket(self) -> socket.socket:
        return self.open(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def packet(self, number: int) -> bytes:
        body = self._id + struct.pack("!HI", number & 0xFFFF, number)
        words = struct.unpack("!HHHH", body)
        total = (self._ECHO << 8) + sum(words)
        total = (total & 0xFFFF) + (total >> 16)
        return struct.pack("!BBH", self._ECHO, 0, ~(total + (total >> 16)) & 0xFFFF) + body

    def number(self, packet: bytes) -> int | None:
        message = packet[(packet[0] & 15) * 4 :]
        ours = message[0] == self._ANSWER and message[4:6] == self._id
        return int(struct.unpack("!I", message[8:12])[0]) if ours else None


class Datagrams(Answered):
    """Datagrams of one flow, to an echo server."""

    def socket(self) -> socket.socket:
        return self.open(socket.AF_INET, socket.SOCK_DGRAM)


class NewFlows(Probe):
    """Datagrams of a new flow each, to an echo server: each meets the rules, as only the first packet of a flow does."""

    def __init__(self, source: Namespace, target: tuple[str, int], *, pace: float = PACE) -> None:
        super().__init__(source, target, pace=pace)
        self._open: list[tuple[float, int, socket.socket]] = []

    def send(self) -> None:
        self.sent += 1
        made = self.open(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.sendto(struct.pack("!I", self.sent), self._target)
        self._open.append((time.monotonic(), self.sent, made))
        self._receive()

    def finish(self) -> None:
        while self._open:
            select.select([made for _, _, made in self._open], [], [], 0.1)
            self._receive()

    def _receive(self) -> None:
        waiting = []
        for begun, number, made in self._open:
            try:
                made.recv(64)
            except (BlockingIOError, ConnectionRefusedError):
                if time.monotonic() - begun < LATE:
                    waiting.append((begun, number, made))
                    continue
                self.lost.append(f"number {number} of {self.sent}")
            made.close()
        self._open = waiting


class Connections(Probe):
    """New TCP connections, one after the other, to an echo server."""

    def send(self) -> None:
        self.sent += 1
        begun = time.monotonic()
        try:
            with self.open(socket.AF_INET, socket.SOCK_STREAM) as made:
                made.settimeout(LATE)
                made.connect(self._target)
                taken = time.monotonic() - begun
                made.sendall(b"?")
                if made.recv(1) != b"?":
                    self.lost.append(f"number {self.sent} was hung up on")
                if taken > SYN_AGAIN and _retransmitted(made):
                    self.lost.append(f"number {self.sent} took {taken:.1f} s")
        except OSError as error:
            self.lost.append(f"number {self.sent}: {error}")


class Stream(Probe):
    """One long TCP transfer to an echo server; what comes back must be what was sent."""

    def __init__(self, source: Namespace, target: tuple[str, int], *, pace: float = PACE) -> None:
        super().__init__(source, target, pace=pace)
        self._socket = self.open(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.settimeout(30)
        self._socket.connect(target)

    def send(self) -> None:
        data = os.urandom(16 << 10)
        self._socket.sendall(data)
        back = b""
        while len(back) < len(data):
            part = self._socket.recv(len(data) - len(back))
            if not part:
                raise ConnectionError("the transfer was cut off")
            back += part
        self.sent += len(data)
        if back != data:
            self.lost.append(f"the bytes before {self.sent} came back changed")

    def finish(self) -> None:
        self._socket.close()


def _retransmitted(connection: socket.socket) -> bool:
    """Whether the kernel sent something of this connection twice: tcpi_total_retrans of struct tcp_info."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return bool(struct.unpack("I", info[100:104])[0])


class Echo(threading.Thread):
    """A server of UDP in a namespace that sends back what it gets, while its block lasts."""

    def __init__(self, place: Namespace, port: int) -> None:
        super().__init__(daemon=True)
        self._socket = place.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("0.0.0.0", port))

    def run(self) -> None:
        while True:
            data, caller = self._socket.recvfrom(4096)
            if not data:
                return
            self._socket.sendto(data, caller)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):  # it says ENOTCONN, and wakes the thread
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()
