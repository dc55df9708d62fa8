"""Opening sockets in other network namespaces without a thread for it: for a process that has one thread alone."""

import os
from collections.abc import Callable
from typing import TypeVar

from linkspan.errors import KernelError
from linkspan.kernel import _libc

T = TypeVar("T")


class Visitor:
    """Goes into namespaces by their open files, and comes back."""

    def __init__(self) -> None:
        """Remember the namespace that this process is in."""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def run(self, namespace: int, action: Callable[[], T]) -> T:
        """Return `action()`, done in the namespace that the file is open on; equivalent to `nsenter --net=PATH`. Raises KernelError."""
        _libc.setns(namespace, _libc.CLONE_NEWNET)
        try:
            return action()
        finally:
            try:
                _libc.setns(self._home, _libc.CLONE_NEWNET)
            except KernelError:
                os.abort()  # whatever this process did from now on, it would do in the wrong place

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._home)
