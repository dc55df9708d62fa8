"""`linkspan daemon`: the engine in the foreground, until a signal ends it."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

from linkspan import logs
from linkspan.api import wire_doctor
from linkspan.api.connections import Limits
from linkspan.api.server import Server
from linkspan.config import Config, load
from linkspan.engine import offline
from linkspan.engine.engine import open_engine
from linkspan.engine.purge import purge
from linkspan.environment import environment
from linkspan.errors import EngineError
from linkspan.kernel import openfiles

PURGE = "--purge"
"""Instead of serving, take off the host what the engine made there; `linkspan down --purge` does it."""
DOCTOR = "--doctor"
"""Instead of serving, examine the host and what the last engine left, and print the report as JSON; `linkspan doctor` shows it."""
VALIDATE = "--validate"
"""Instead of serving, check the settings, as dockerd does."""

_OTHER_FILES = 256
_FEWEST_CONNECTIONS = 32
logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the engine with dockerd's command line; returns the exit status."""
    try:
        config = load([argument for argument in arguments if argument not in (PURGE, DOCTOR, VALIDATE)])
        if VALIDATE in arguments:
            sys.stdout.write("configuration OK\n")
            return 0
        _log(config)
        if os.geteuid() != 0:
            raise EngineError("linkspan daemon needs root: it makes namespaces, interfaces and firewall rules")
        if DOCTOR in arguments:
            sys.stdout.write(json.dumps(wire_doctor.report(offline.report(config))) + "\n")
        elif PURGE in arguments:
            purge(config)
        else:
            openfiles.raise_limit()
            asyncio.run(_serve(config))
    except EngineError as error:
        sys.stderr.write(f"linkspan: {error}\n")
        return 1
    return 0


async def _serve(config: Config) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, logger.warning, "SIGHUP: settings are read at the start only; restart the engine to change them")
    engine = await open_engine(config)
    try:
        server = Server(engine, Limits(connections=_connections(openfiles.most())))
        try:
            with _pid_file(config):
                await server.serve(config.sockets)
                logger.info("serving the API on %s", ", ".join(config.sockets))
                _notify("READY=1")
                await stopped.wait()
                _notify("STOPPING=1")
        finally:
            await server.close()
    finally:
        await engine.close()
    logger.info("stopped")


def _connections(files: int) -> int:
    """How many connections leave enough open files for everything else; a connection may need one more, for a log or a container."""
    return max(_FEWEST_CONNECTIONS, min(Limits().connections, (files - _OTHER_FILES) // 2))


def _log(config: Config) -> None:
    logs.configure(config.log_level)
    for warning in config.warnings:
        logger.warning("%s", warning)


@contextlib.contextmanager
def _pid_file(config: Config) -> Iterator[None]:
    path = config.pid_path
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise EngineError(f"cannot write the pid file {path}: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _notify(state: str) -> None:
    """Tell systemd how far we are (sd_notify(3)); without it, nothing happens."""
    address = environment("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
