"""How engine and resolver talk: one JSON object a packet, with open files beside it, each answered by one."""

import array
import contextlib
import json
import os
import socket
from collections.abc import Mapping, Sequence

from linkspan import strict_json
from linkspan.errors import EngineError

PROTOCOL = 1
"""`hello`, `held`, `sockets` and `end` stay as they are in every version: by them an engine takes over from any resolver."""
SOCKET = "resolver.sock"
LONGEST = 160 * 1024
"""Bytes of a message, a little less than what a socket's buffer holds by default."""
MOST_FILES = 3
"""The UDP and the TCP socket of a sandbox, and its namespace."""
_FILE = array.array("i").itemsize

Message = dict[str, object]


class ResolverError(EngineError):
    """The resolver is gone, or refuses what it was told."""


class RefusedError(ResolverError):
    """The resolver lives, and refuses this one thing."""


def send(connection: socket.socket, message: Mapping[str, object], files: Sequence[int] = ()) -> None:
    """Send a message; raises RefusedError if it is too long, OSError."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > LONGEST:
        raise RefusedError(f"a message of {len(data)} bytes is too long")
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([data], beside)


def receive(connection: socket.socket) -> tuple[Message, list[int]]:
    """Return the next message and the files that came with it, which are the caller's; raises ResolverError, OSError."""
    data, beside, flags, _ = connection.recvmsg(LONGEST + 1, socket.CMSG_SPACE(MOST_FILES * _FILE), socket.MSG_CMSG_CLOEXEC)
    files = _files(beside)
    try:
        if not data:
            raise ConnectionResetError("the other side has hung up")
        if len(data) > LONGEST or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ResolverError("a message of more than it may have")
        message = strict_json.parse(data)
        if not isinstance(message, dict):
            raise ResolverError("a message that is no JSON object")
    except BaseException as error:
        close_all(files)
        if isinstance(error, ValueError):
            raise ResolverError(f"a message that is no JSON: {error}") from error
        raise
    return message, files


def close_all(files: Sequence[int]) -> None:
    """Close files that are not used."""
    for file in files:
        with contextlib.suppress(OSError):
            os.close(file)


def _files(beside: Sequence[tuple[int, int, bytes]]) -> list[int]:
    files: list[int] = []
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % _FILE])
            files += numbers
    return files
