"""Processes as they start and end, told by the kernel (the proc connector, linux/cn_proc.h): nothing is traced or slowed down."""

import contextlib
import errno
import os
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_CONNECTOR, _PROCESSES = 11, 1
_FORK, _EXEC, _EXIT = 0x1, 0x2, 0x80000000
_EVENT = struct.Struct("=IIQ")
"""What happened, on which processor, when (ns of CLOCK_MONOTONIC); behind the netlink and connector headers."""
_HEADERS = 36


@dataclass
class Life:
    """A process: when it was forked or executed its last program, when it ended, and what it is."""

    pid: int
    parent: "Life | None"
    forked: int
    executed: int = 0
    ended: int = 0
    command: str = ""

    @property
    def begun(self) -> int:
        return self.executed or self.forked


class Births:
    """While it lasts, every process of the machine is noted. It works in the machine's first network namespace only."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self._alive: dict[int, Life] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _CONNECTOR)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ending = False

    def __enter__(self) -> Self:
        self._socket.bind((0, _PROCESSES))
        self._ask(listen=True)
        self._socket.settimeout(0.2)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending = True
        self._thread.join()
        self._ask(listen=False)
        self._socket.close()

    def of(self, ancestor: int) -> list[Life]:
        """Return the processes that descend from one that was started meanwhile and has this pid now."""
        family, found = {id(self._alive.get(ancestor))}, []
        for life in self.lives:
            if life.parent and id(life.parent) in family:
                family.add(id(life))
                found.append(life)
        return found

    def _ask(self, *, listen: bool) -> None:
        wish = struct.pack("=IIIIHHI", 1, _PROCESSES, 0, 0, 4, 0, 1 if listen else 2)
        self._socket.send(struct.pack("=IHHII", 16 + len(wish), 3, 0, 0, os.getpid()) + wish)

    def _listen(self) -> None:
        while not self._ending:
            try:
                self._take(self._socket.recv(4096))
            except TimeoutError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # the machine was too busy: some processes are not known
                    raise

    def _take(self, data: bytes) -> None:
        what, _, when = _EVENT.unpack_from(data, _HEADERS)
        body = data[_HEADERS + _EVENT.size :]
        if what == _FORK:
            _, parent, thread, pid = struct.unpack_from("=IIII", body)
            if thread == pid:
                forked = self._alive.get(parent)
                self._alive[pid] = Life(pid, forked, when, command=forked.command if forked else "")
                self.lives.append(self._alive[pid])
        elif what in (_EXEC, _EXIT):
            thread, pid = struct.unpack_from("=II", body)
            life = self._alive.get(pid)
            if life and what == _EXEC:
                life.executed, life.command = when, _command(pid)
            elif life and thread == pid:
                life.ended = when
                del self._alive[pid]


def _command(pid: int) -> str:
    """Return the command line, or the name alone if it has ended meanwhile."""
    with contextlib.suppress(OSError):
        folder = Path(f"/proc/{pid}")
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or (
            folder / "comm"
        ).read_text().strip()
    return ""
