"""A live connection to the input and output of a container or an exec.

conmon's socket keeps packet boundaries: what it sends starts with a byte that names the stream, what it gets is raw input.
conmon sends with blocking writes, so nothing is ever lost; a reader that stops stops the container at its next output,
as in Docker, once `READ_AHEAD` bytes and the socket's own buffer are full.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from linkspan.errors import EngineError

STDOUT, STDERR = 1, 2
"""The streams, as Docker's protocol numbers them."""
READ_AHEAD = 1 << 20
"""Bytes of output that are kept for a slow reader (moby's own limit)."""

_PACKET = 64 << 10
_INPUT_PACKET = 8 << 10
"""conmon reads 32 KiB at most and drops the rest of a longer packet."""
_STREAM_OF = {2: STDOUT, 3: STDERR}


class Attachment:
    """Iterate over it for (1 stdout | 2 stderr, bytes) until the process ends; everything of a terminal is stdout.

    Without `stdin`, nothing can be written, and closing it does not close the container's input.
    """

    def __init__(self, connection: socket.socket, *, stdin: bool) -> None:
        self._socket = connection
        self._stdin = stdin
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._kept = 0
        self._limit: int | None = READ_AHEAD
        self._reading = self._ended = self._left = False
        self._changed = asyncio.Event()
        self._resume()

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            while self._chunks:
                stream, data = self._chunks.popleft()
                self._kept -= len(data)
                self._resume()
                yield stream, data
            if self._ended or self._left:
                return
            self._changed.clear()
            await self._changed.wait()

    async def write(self, data: bytes) -> None:
        """Send input; waits while the process does not read. What comes after the end of the process is dropped."""
        if not self._stdin:
            return
        try:
            for start in range(0, len(data), _INPUT_PACKET):
                await self._loop.sock_sendall(self._socket, data[start : start + _INPUT_PACKET])
        except OSError:
            self._stdin = False

    async def close_stdin(self) -> None:
        """Tell that no more input comes; output goes on."""
        if self._stdin:
            self._stdin = False
            self._shut(socket.SHUT_WR)

    async def close(self) -> None:
        """Leave. An attachment without `stdin` is drained unseen from now on: conmon would take its end for the input's."""
        input_ends = self._stdin
        self._left, self._stdin = True, False
        self._chunks.clear()
        self._changed.set()
        if input_ends or self._ended:
            self._finish()
        else:
            self.unbound()

    def unbound(self) -> None:
        """Read without limit from now on. For when the process is gone: what is left is less than a pipe holds, and conmon,
        which cannot end before it has sent it, must not wait for a reader that never comes."""
        self._limit = None
        self._resume()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _resume(self) -> None:
        if not self._reading and not self._ended and (self._limit is None or self._kept < self._limit):
            self._reading = True
            self._loop.add_reader(self._socket, self._receive)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket)

    def _receive(self) -> None:
        try:
            packet = self._socket.recv(_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._finish()
            return
        stream = _STREAM_OF.get(packet[0])
        if stream is None or self._left:
            return
        self._chunks.append((stream, packet[1:]))
        self._kept += len(packet) - 1
        self._changed.set()
        if self._limit is not None and self._kept >= self._limit:
            self._pause()

    def _finish(self) -> None:
        self._pause()
        self._ended = True
        self._stdin = False
        self._changed.set()
        self._socket.close()

    def _shut(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            self._finish()  # the other side is gone


async def connect(folder: Path, *, stdin: bool) -> Attachment:
    """Connect to the monitor whose files are in `folder`. Raises EngineError if it is gone."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            # By descriptor: a socket's path is 107 bytes at most, and the folder may lie deeper.
            await asyncio.get_running_loop().sock_connect(connection, f"/proc/self/fd/{handle}/attach")
        finally:
            os.close(handle)
    except OSError as error:
        connection.close()
        raise EngineError(f"cannot attach: the monitor is gone ({error.strerror})") from error
    return Attachment(connection, stdin=stdin)
