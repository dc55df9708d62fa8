"""A conversation with a container's process: terminal and hijacked connection, side by side, until the output ends."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterable

from linkspan.cli import terminal
from linkspan.cli.client import Answer, Client, Connection
from linkspan.cli.failures import CommandError
from linkspan.cli.streams import Demultiplexer
from linkspan.cli.terminal import DetachFilter, Signals, write_all

_PIECE = 1 << 16
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Target:
    """What signals and sizes go to: a container or an exec, by its path in the API."""

    def __init__(self, client: Client, path: str, *, tty: bool) -> None:
        self._client = client
        self._path = path
        self.tty = tty

    def resize(self, more: int = 0) -> None:
        """Tell it the size of the terminal, if there is one on both ends; or `more` lines and columns than it has."""
        size = terminal.size() if self.tty else None
        if size is not None:
            with contextlib.suppress(CommandError):  # it may have ended; whoever waits for it will see
                self._client.post(f"{self._path}/resize", h=size[0] + more, w=size[1] + more)

    def handle(self, numbers: Iterable[signal.Signals]) -> None:
        """Pass signals on; a changed window is a new size."""
        for number in numbers:
            if number == signal.SIGWINCH:
                self.resize()
                continue
            with contextlib.suppress(CommandError):
                self._client.post(f"{self._path}/kill", signal=number.name)


class Session:
    """Copies between this process's descriptors 0, 1, 2 and `connection`."""

    def __init__(self, target: Target, connection: Connection, signals: Signals, *, stdin: bool, detach_keys: bytes) -> None:
        self._target = target
        self._sock = connection.sock
        self._signals = signals
        self._demultiplexer = None if target.tty else Demultiplexer()
        self._filter = DetachFilter(detach_keys) if target.tty else None
        self._typing = stdin
        self._unsent = b""
        self._early = connection.early

    def run(self) -> bool:
        """Copy until the output ends (True) or the user detaches (False)."""
        self._print(self._early)
        if not self._typing:
            self._end_input()
        while True:
            ready = self._poll()
            if self._signals.fileno() in ready:
                self._target.handle(self._signals.take())
            if 0 in ready:
                self._read_input()
            if self._filter is not None and self._filter.detached:
                return False
            events = ready.get(self._sock.fileno(), 0)
            if events & select.POLLOUT:
                self._send()
            if events & (select.POLLIN | _GONE) and not self._receive():
                return True

    def _poll(self) -> dict[int, int]:
        """Wait until something can be done. Input is read only when the last of it was sent, so neither side can block the other."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poller.register(self._signals, select.POLLIN)
        if self._typing and not self._unsent:
            poller.register(0, select.POLLIN)
        return dict(poller.poll())

    def _read_input(self) -> None:
        try:
            data = os.read(0, _PIECE)
        except OSError:
            data = b""  # a terminal that is gone, or a descriptor that was closed
        if not data:
            self._typing = False
            self._end_input()
            return
        self._unsent = data if self._filter is None else self._filter.feed(data)
        self._send()

    def _send(self) -> None:
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._typing, self._unsent = False, b""  # it does not listen any more; its output may still come
            return
        self._unsent = self._unsent[sent:]

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(_PIECE)
        except ConnectionError:
            return False
        self._print(data)
        return bool(data)

    def _print(self, data: bytes) -> None:
        if self._demultiplexer is None:
            write_all(1, data)
            return
        for descriptor, piece in self._demultiplexer.feed(data):
            write_all(descriptor, piece)


def exit_code(target: Target, signals: Signals, answer: Answer) -> int:
    """Wait for the answer of POST /containers/ID/wait, still passing signals on; return the container's exit code."""
    while True:
        poller = select.poll()
        poller.register(signals, select.POLLIN)
        if not answer.connection.early:
            poller.register(answer.connection.sock, select.POLLIN)
        ready = dict(poller.poll(0 if answer.connection.early else None))
        if signals.fileno() in ready:
            target.handle(signals.take())
        if answer.connection.early or answer.connection.sock.fileno() in ready:
            return _status(answer)


def _status(answer: Answer) -> int:
    with answer:
        result = answer.json() or {}
    if message := (result.get("Error") or {}).get("Message"):
        raise CommandError(f"Error waiting for container: {message}", 125)
    return int(result.get("StatusCode", 125))
