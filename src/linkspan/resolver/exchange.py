"""One question to one server, and its answer."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Protocol

from linkspan.resolver import wire

PORT = 53
_LONGEST = 65_535


class OpenSocket(Protocol):
    """Opens a socket where the server is to be asked from."""

    def __call__(self, family: socket.AddressFamily, kind: socket.SocketKind, /) -> socket.socket: ...


async def over_udp(open_socket: OpenSocket, server: str, message: bytes, question: bytes) -> bytes:
    """Ask by UDP from a port of its own, chosen by the kernel at random; returns the answer that has our id, question and server.

    Raises OSError if the server cannot be reached. What else arrives is no answer; the caller's patience ends the wait.
    """
    loop = asyncio.get_running_loop()
    family, address = _address(server)
    with open_socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0)
        asking.connect(address)  # from now on, the kernel takes packets of this server alone
        identity = os.urandom(2)
        asking.send(identity + message[2:])
        while True:
            data = await loop.sock_recv(asking, _LONGEST)
            if data[:2] == identity and is_answer(data, question):
                return data


async def over_tcp(open_socket: OpenSocket, server: str, message: bytes, question: bytes) -> bytes:
    """Ask by TCP. Raises OSError if the server cannot be reached, hangs up or answers something else."""
    loop = asyncio.get_running_loop()
    family, address = _address(server)
    with open_socket(family, socket.SOCK_STREAM) as asking:
        asking.settimeout(0)
        await loop.sock_connect(asking, address)
        identity = os.urandom(2)
        await loop.sock_sendall(asking, len(message).to_bytes(2, "big") + identity + message[2:])
        length = int.from_bytes(await receive(asking, 2), "big")
        data = await receive(asking, length)
    if data[:2] != identity or not is_answer(data, question):
        raise ConnectionError("the server answered another question")
    return data


async def receive(connection: socket.socket, length: int) -> bytes:
    """Return so many bytes; raises ConnectionError if the other side ends before."""
    loop = asyncio.get_running_loop()
    parts = bytearray()
    while len(parts) < length:
        part = await loop.sock_recv(connection, length - len(parts))
        if not part:
            raise ConnectionError("the other side has hung up")
        parts += part
    return bytes(parts)


def is_answer(data: bytes, question: bytes) -> bool:
    """Whether the message answers the question, as far as can be seen without reading on."""
    end = wire.HEADER + len(question)
    return len(data) >= end and data[2] & 0x80 != 0 and data[4:6] == b"\0\1" and data[wire.HEADER : end].lower() == question.lower()


def opener(run: Callable[[Callable[[], socket.socket]], socket.socket] | None = None) -> OpenSocket:
    """Return what opens sockets here, or by `run` in another namespace."""

    def open_socket(family: socket.AddressFamily, kind: socket.SocketKind, /) -> socket.socket:
        if run is None:
            return socket.socket(family, kind)
        return run(lambda: socket.socket(family, kind))

    return open_socket


def _address(server: str) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    host, _, scope = server.partition("%")
    if ":" not in host:
        return socket.AF_INET, (host, PORT)
    if scope and not scope.isdecimal():
        scope = str(socket.if_nametoindex(scope))
    return socket.AF_INET6, (host, PORT, 0, int(scope or 0))
