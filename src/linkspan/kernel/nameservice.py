"""Opening what a resolver listens at in a container's namespace."""

import contextlib
import socket
from pathlib import Path

from linkspan.kernel import netns
from linkspan.kernel.netlink import translated
from linkspan.kernel.nft import Firewall
from linkspan.plan import nameservice

_WAITING = 1 << 20
"""Bytes of questions that may wait: a thousand of them, where the default holds 250."""
_SO_RCVBUFFORCE = 33
_BACKLOG = 64


def open_sockets(namespace: Path) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket that 127.0.0.11, port 53, leads to in the namespace, and to no others any more.

    Raises NotFound, RulesetRefused, KernelError.
    """
    return netns.run_in(namespace, _open)


def _open() -> tuple[socket.socket, socket.socket]:
    with translated(f"listen at {nameservice.SERVER}"):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(PermissionError):
                udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WAITING)
            for each in (udp, tcp):
                each.bind((nameservice.SERVER, 0))
            tcp.listen(_BACKLOG)
            rules = Firewall()
            try:
                rules.apply(nameservice.ruleset(udp.getsockname()[1], tcp.getsockname()[1]))
            finally:
                rules.close()
        except BaseException:
            udp.close()
            tcp.close()
            raise
    return udp, tcp
