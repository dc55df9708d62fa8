"""The host's own name servers, as its resolv.conf names them now."""

import os
from pathlib import Path

from linkspan.plan.files import Resolver, is_address

STUB = ("127.0.0.53",)
"""The servers of a resolv.conf that leads to systemd-resolved."""
SYSTEMD = Path("/run/systemd/resolve/resolv.conf")
MOST = 3
"""Servers that are asked, as in resolv.conf(5)."""

_Seen = tuple[tuple[int, int, int] | None, ...]


class HostServers:
    """Reads resolv.conf whenever it is another file than before.

    It looks at each question (2 µs) in place of listening by inotify, which hears nothing of a symlink that leads elsewhere,
    of a mount over the file, or of a file on another machine.
    """

    def __init__(self, path: Path, systemd: Path = SYSTEMD) -> None:
        self._paths = (path, systemd)
        self._seen: _Seen | None = None
        self._servers: tuple[str, ...] = ()
        self.generation = 0
        """Grows when the servers change: what the former ones said may not hold any more."""

    def servers(self) -> tuple[str, ...]:
        """Return the addresses, in order."""
        seen = tuple(map(_identity, self._paths))
        if seen != self._seen:
            self._seen = seen
            servers = tuple(filter(is_address, host_resolver(*self._paths).servers))[:MOST]
            if servers != self._servers:
                self._servers = servers
                self.generation += 1
        return self._servers


def host_resolver(path: Path, systemd: Path = SYSTEMD) -> Resolver:
    """Read resolv.conf; systemd-resolved's own one, where the first leads to its stub alone."""
    found = Resolver.parse(_read(path))
    if found.servers == STUB and systemd.exists():
        return Resolver.parse(_read(systemd))
    return found


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  at each question
    except OSError:
        return None
    return status.st_dev ^ status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
