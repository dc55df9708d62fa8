"""Claims that two engines cannot have at once; each ends with its process, however that ends."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import struct
from pathlib import Path

from linkspan.errors import Conflict, EngineError
from linkspan.kernel.netlink import translated

logger = logging.getLogger(__name__)

_NAME = "\0linkspan"
"""An abstract unix socket: its name is taken in one network namespace, and leaves nothing behind."""


def claim_folder(folder: Path) -> contextlib.ExitStack:
    """Take the folder for this process until the returned stack is closed. Raises Conflict, KernelError."""
    with contextlib.ExitStack() as stack:
        with translated(f"open {folder}"):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another engine is using {folder}: stop it, or give this one another --exec-root") from error
        return stack.pop_all()


def claim_network() -> contextlib.ExitStack:
    """Take the calling thread's network namespace for this process until the returned stack is closed. Raises Conflict, EngineError."""
    with contextlib.ExitStack() as stack:
        mark = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            mark.bind(_NAME)
            mark.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise EngineError(f"cannot claim the network namespace: {error.strerror}") from error
            pid, user = _holder()
            if user == 0:
                raise Conflict(
                    f"another engine (pid {pid}) runs in this network namespace: its rules and bridges would be in each other's way"
                ) from error
            logger.warning("process %d of user %d has the name that an engine claims its network namespace by", pid, user)
        return stack.pop_all()


def _holder() -> tuple[int, int]:
    """Return the process that holds the claim, and its user."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1)
        caller.connect(_NAME)
        pid, user, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, user
    return 0, 0
