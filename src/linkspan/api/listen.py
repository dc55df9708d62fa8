"""Where the API is served: unix sockets, TCP, and sockets that systemd opened."""

import errno
import grp
import logging
import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from linkspan.environment import environment
from linkspan.errors import Conflict, EngineError, InvalidInput, KernelError

logger = logging.getLogger(__name__)

DEFAULT_PORT = 2375
_FIRST_FD = 3
"""sd_listen_fds(3)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket; `path` is its file, if it is ours to remove."""

    socket: socket.socket
    path: Path | None = None
    inode: int = 0

    def remove_file(self) -> None:
        """Remove the socket's file, unless another engine has put its own there in the meantime."""
        if self.path is None:
            return
        try:
            if self.path.lstat().st_ino == self.inode:
                self.path.unlink()
        except OSError as error:
            logger.debug("%s: %s", self.path, error)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        self.remove_file()


def bind(address: str, group: str) -> list[Listener]:
    """Return bound sockets for `unix://PATH`, `tcp://HOST:PORT` or `fd://`.

    Raises Conflict if somebody is served there, InvalidInput if the address is none, KernelError if it cannot be bound.
    """
    scheme, _, rest = address.partition("://")
    match scheme:
        case "unix":
            return [_bind_unix(Path(rest), group)]
        case "tcp":
            return _bind_tcp(address)
        case "fd":
            return _inherited()
        case _:
            raise InvalidInput(f"invalid bind address ({address}): use unix://PATH, tcp://HOST:PORT or fd://")


def _bind_unix(path: Path, group: str) -> Listener:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # The file gets this mode at its birth: there is no moment at which others could connect.
        os.fchmod(made.fileno(), 0o600)
        made.bind(str(path))
        if (gid := _group_id(group)) is not None:
            os.chown(path, -1, gid)
        path.chmod(0o660)
        return Listener(made, path, path.lstat().st_ino)
    except OSError as error:
        made.close()
        raise _refused(f"unix://{path}", error) from error
    except EngineError:
        made.close()
        raise


def _remove_stale(path: Path) -> None:
    """Remove the socket that an engine left which was killed; raises Conflict if somebody answers on it."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Conflict(f"cannot serve unix://{path}: a file is there that is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise Conflict(f"cannot serve unix://{path}: an engine is being served there already")


def _group_id(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        logger.debug("no group %s: the socket is root's alone", group)
        return None


def _bind_tcp(address: str) -> list[Listener]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORT
    except ValueError as error:
        raise InvalidInput(f"invalid bind address ({address}): {error}") from error
    logger.warning("%s is unprotected: whoever can connect to it is root on this machine", address)
    listeners: list[Listener] = []
    try:
        for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            made = socket.socket(family, kind, protocol)
            listeners.append(Listener(made))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(place)
    except OSError as error:
        close_all(listeners)
        raise _refused(address, error) from error
    return listeners


def _inherited() -> list[Listener]:
    count, process = environment("LISTEN_FDS"), environment("LISTEN_PID")
    if not count.isdecimal() or int(count) == 0 or process not in ("", str(os.getpid())):
        raise InvalidInput("cannot serve fd://: systemd passed no socket (LISTEN_FDS)")
    return [Listener(socket.socket(fileno=_FIRST_FD + index)) for index in range(int(count))]


def close_all(listeners: Sequence[Listener]) -> None:
    """Close every one of them."""
    for listener in listeners:
        listener.close()


def _refused(address: str, error: OSError) -> EngineError:
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"cannot serve {address}: address already in use")
    if isinstance(error, socket.gaierror) or error.errno is None:
        return InvalidInput(f"cannot serve {address}: {error.strerror or error}")
    return KernelError(f"cannot serve {address}", error.errno)
