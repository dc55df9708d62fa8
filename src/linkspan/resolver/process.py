"""`linkspan resolver`: the name server of an engine's containers. The engine starts it, and it outlives the engine."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from linkspan import logs
from linkspan.kernel import openfiles
from linkspan.kernel.visit import Visitor
from linkspan.resolver import control, exchange, messages
from linkspan.resolver.cache import Cache
from linkspan.resolver.desk import Desk
from linkspan.resolver.forward import Forwarder
from linkspan.resolver.hostfile import HostServers
from linkspan.resolver.slots import Slots

logger = logging.getLogger(__name__)

USAGE = """Usage:  linkspan resolver --exec-root DIR [--resolv-conf FILE] [--log-level LEVEL] [--idle SECONDS]

The name server of the engine's containers; the engine starts it.
"""
IDLE = 60.0
"""Seconds without any sandbox after which the process ends."""
_MOST_ASKING = 8192
_FLAGS = ("--exec-root", "--resolv-conf", "--log-level", "--idle")


def main(arguments: Sequence[str]) -> int:
    """Listen, and serve in a process of its own: this one ends when the engine can connect."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or given.keys() - set(_FLAGS) or "--exec-root" not in given:
        sys.stderr.write(USAGE)
        return 2
    path = Path(given["--exec-root"], messages.SOCKET)
    try:
        listening = control.listen(str(path))
    except OSError as error:
        sys.stderr.write(f"linkspan resolver: cannot listen at {path}: {error.strerror}\n")
        return 1
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    logging.raiseExceptions = False  # who read stderr may be gone
    logs.configure(given.get("--log-level", "info"))
    openfiles.raise_limit()
    asyncio.run(_serve(listening, Path(given.get("--resolv-conf", "/etc/resolv.conf")), float(given.get("--idle", IDLE))))
    return 0


async def _serve(listening: socket.socket, resolv_conf: Path, patience: float) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    timer = loop.call_later(patience, ended.set)

    def idle(nothing_to_do: bool) -> None:  # noqa: FBT001
        nonlocal timer
        timer.cancel()
        if nothing_to_do:
            timer = loop.call_later(patience, ended.set)

    cache, slots = Cache(time.monotonic), Slots(min(_MOST_ASKING, openfiles.most() // 2))
    forwarder = Forwarder(HostServers(resolv_conf), cache, slots, time.monotonic, exchange.opener())
    desk = Desk(forwarder, cache, slots, Visitor(), idle)
    serving = control.Control(listening, desk, ended.set)
    gc.freeze()  # what is there now stays
    await ended.wait()
    serving.close()
    desk.close()
    with contextlib.suppress(OSError):
        logger.info("resolver ended")
