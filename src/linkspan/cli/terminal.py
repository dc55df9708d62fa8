"""The user's terminal: raw mode, its size, signals that a poll can see, and the keys that detach."""

import os
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Self

from linkspan.cli.failures import CommandError

RESIZED = (signal.SIGWINCH,)
Handler = Callable[[int, FrameType | None], object] | int | None
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
# What `docker run` passes on to the container. The others report faults of this process, or belong to its terminal.
FORWARDED = tuple(signal.Signals[f"SIG{name}"] for name in "HUP INT QUIT USR1 USR2 ALRM TERM TSTP CONT".split())


def is_terminal(descriptor: int) -> bool:
    """As os.isatty, and False for a descriptor that is closed."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def size() -> tuple[int, int] | None:
    """Return rows and columns of the terminal on stdout; None if it is none, or does not know."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return None
    return (rows, columns) if rows or columns else None


def parse_keys(text: str) -> bytes:
    """Return the bytes of `ctrl-p,ctrl-q`.

    Raises CommandError if a key is neither one character nor ctrl- and one of a-z @ [ \\ ] ^ _.
    """
    keys = b""
    for name in (text or DEFAULT_DETACH_KEYS).split(","):
        letter = name.removeprefix("ctrl-")
        if len(name) == 1 and name.isascii():
            keys += name.encode()
        elif letter != name and len(letter) == 1 and (letter.islower() or letter in "@[\\]^_") and letter.isascii():
            keys += bytes([ord(letter.upper()) & 0x1F])
        else:
            raise CommandError(f"invalid detach keys ({text}): Unknown character: '{name}'")
    return keys


class DetachFilter:
    """Watches what is typed for the detach keys; a beginning of them is held back until it is clear whether they follow."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """Return what is to be sent; sets `detached` and returns what came before the keys once they are complete."""
        sent = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    self.detached = True
                    return bytes(sent)
                continue
            sent += self._keys[: self._seen]
            self._seen = 1 if byte == self._keys[0] else 0
            if not self._seen:
                sent.append(byte)
        return bytes(sent)


class RawMode:
    """Puts the terminal on stdin into raw mode for as long as it is entered; does nothing if stdin is none."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted and is_terminal(0)
        self._saved: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        if self._wanted:
            self._saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._saved is not None:
            termios.tcsetattr(0, termios.TCSANOW, self._saved)


class Signals:
    """Collects signals while it is entered; `fileno` is readable when `take` has some."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[signal.Signals, Handler] = {}
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._wakeup = -1

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """Return the signals that have come since the last call."""
        try:
            return [signal.Signals(number) for number in self._reader.recv(4096)]
        except BlockingIOError:
            return []

    def __enter__(self) -> Self:
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, _noted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has it already."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write to stdout or stderr past Python's buffers."""
    if descriptor == 1:
        sys.stdout.flush()
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
