"""Opening what a resolver listens at in a container's namespace."""

import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from linkspan.kernel import netns
from linkspan.kernel.netlink import translated
from linkspan.kernel.nft import Firewall

_WAITING = 1 << 20
"""Bytes of questions that may wait: a thousand of them, where the default holds 250."""
_SO_RCVBUFFORCE = 33
_BACKLOG = 64
_NO_QUESTION = b"\x6c\x73\1" + b"\0" * 9
"""A message that asks nothing: a name server says so, and asks nobody."""


def open_sockets(namespace: Path, address: str, ruleset: Callable[[int, int], str]) -> tuple[socket.socket, socket.socket, int]:
    """Return a UDP and a TCP socket of the namespace's address at ports that were free, and the namespace as an open file.

    The rules for these ports are applied there. Raises NotFound, RulesetRefused, KernelError.
    """
    return netns.run_in(namespace, partial(_open, address, ruleset))


def answers(namespace: Path, address: str, patience: float) -> bool:
    """Whether somebody answers DNS questions at the address in the namespace, port 53. Raises NotFound."""
    return netns.run_in(namespace, partial(_is_answered, address, patience))


def _is_answered(address: str, patience: float) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        try:
            asking.connect((address, 53))
            asking.send(_NO_QUESTION)
            return asking.recv(512)[:2] == _NO_QUESTION[:2]
        except OSError:
            return False


def _open(address: str, ruleset: Callable[[int, int], str]) -> tuple[socket.socket, socket.socket, int]:
    with contextlib.ExitStack() as failed, translated(f"listen at {address}"):
        udp = failed.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = failed.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        with contextlib.suppress(PermissionError):
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WAITING)
        for each in (udp, tcp):
            each.bind((address, 0))
        tcp.listen(_BACKLOG)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        failed.callback(os.close, here)
        rules = Firewall()
        try:
            rules.apply(ruleset(udp.getsockname()[1], tcp.getsockname()[1]))
        finally:
            rules.close()
        failed.pop_all()  # none has
    return udp, tcp, here
