"""A resolver without an engine: the process in a test host, and containers that are namespaces and no more."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from linkspan.kernel import nameservice
from linkspan.plan.nameservice import SERVER, ruleset
from linkspan.resolver.link import Link
from linkspan.resolver.listening import Listening
from linkspan.resolver.units import Member, Network, Sandbox, Unit
from tests.hosts import Host, Namespace, until
from tests.nameservers import LOCAL

NETWORK = Network(id="n", name="net")
SECOND = "10.99.0.3"
"""Another server outside."""


class Resolver:
    """`linkspan resolver` in a host, with the host's resolv.conf at `resolv_conf`."""

    def __init__(self, host: Host, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.touch()
        self.link: Link
        self._host = host
        self._flags = flags

    def start(self) -> None:
        program = (sys.executable, "-m", "linkspan", "resolver", "--exec-root", self.folder, "--resolv-conf", self.resolv_conf)
        with (self.folder / "resolver.log").open("ab") as log:
            assert self._host.spawn(*program, *self._flags, stdout=log, stderr=log).wait(30) == 0
        self.link = Link(self.folder, 30)

    @property
    def pid(self) -> int:
        return int(str(self.link.ask("hello")["pid"]))

    def kill(self) -> None:
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        self.link.close()
        until(lambda: not _alive(pid), what="the resolver is gone")

    def serve(self, name: str, where: Namespace, *, more: Sequence[Unit] = (), **fields: Any) -> None:
        """Serve names in a namespace as those of the sandbox `name`, which is on the network `net` unless `fields` say otherwise."""
        listening = Listening(*nameservice.open_sockets(where.path, SERVER, ruleset))
        with contextlib.closing(listening):
            unit = Sandbox(**{"id": name, "networks": (NETWORK.id,), **fields})
            self.link.change([NETWORK, *more, unit], files=listening.files)

    def tell(self, name: str, **fields: Any) -> None:
        """Change what holds for a sandbox that is served."""
        self.link.change([Sandbox(**{"id": name, "networks": (NETWORK.id,), **fields})])

    def know(self, name: str, *addresses: str, aliases: Sequence[str] = (), network: str = NETWORK.id) -> None:
        """Let a network know a member."""
        self.link.change([Member(id=f"endpoint-{name}", network=network, names=(name, *aliases), addresses=addresses)])

    def files(self) -> int:
        """How many files the process has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def log(self) -> str:
        return (self.folder / "resolver.log").read_text()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pid = self.pid
        self.link.ask("end")
        self.link.close()
        until(lambda: not _alive(pid), what="the resolver has ended")
        assert "Traceback" not in self.log(), self.log()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def open_asking(data: bytes, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A socket to the name server, in this thread's namespace."""
    caller = socket.socket(socket.AF_INET, kind)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    caller.settimeout(20)
    caller.connect((LOCAL, 53))
    if data:
        caller.sendall(data)
    return caller
