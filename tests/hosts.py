"""Machines for the tests: a test host is a network namespace with no way to the machine's own links.

    with Host(folder / "host") as host:
        host.sh("ip", "addr")                         # runs a command in it
        host.run(lambda: socket.create_connection(…))  # runs Python in it
        engine = host.spawn("linkspan", "daemon", …)   # a process that ends with the test

`join(host, outside)` puts a cable between two of them. Nothing here uses the code under test, apart from setns().
"""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from linkspan.kernel import _libc

T = TypeVar("T")

HOST_ADDRESS = "10.99.0.1"
"""The test host's address on the cable to the outside."""
OUTSIDE_ADDRESS = "10.99.0.2"
"""The neighbour's address."""


class Namespace:
    """A network namespace that is there already, e.g. a container's. `path` is its file, as `nsenter --net=PATH` wants it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, action: Callable[[], T]) -> T:
        """Return `action()`, done by a thread of its own in this namespace; sockets that it opens stay in the namespace."""
        result: T = _Visit(self.path, action).result()
        return result

    def enter(self) -> None:
        """Move the calling thread into this namespace for good: it must be one of the caller's own."""
        with self.path.open() as namespace:
            _libc.setns(namespace.fileno(), _libc.CLONE_NEWNET)

    @contextlib.contextmanager
    def answering(self, address: str, port: int, answer: bytes, protocol: str = "tcp") -> Iterator[list[str]]:
        """While it lasts, `address:port` here answers everyone with `answer`; gives the list of the callers' addresses."""
        with Answering(self, address, port, answer, protocol) as server:
            yield server.callers

    def ask(self, address: str, port: int, protocol: str = "tcp", timeout: float = 2) -> bytes:
        """Return what `address:port` answers to a caller in this namespace; raises OSError (TimeoutError) if nothing does."""
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM

        def call() -> bytes:
            with socket.socket(socket.AF_INET, kind) as caller:
                caller.settimeout(timeout)
                caller.connect((address, port))
                caller.send(b"?")
                return caller.recv(4096)

        return self.run(call)

    def ask_http(self, address: str, port: int, timeout: float = 3) -> bytes:
        """Return what the web server at `address:port` answers to `GET /`, headers and all."""

        def call() -> bytes:
            with socket.create_connection((address, port), timeout) as caller:
                caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                while part := caller.recv(4096):
                    answer += part
                return answer

        return self.run(call)

    def reaches(self, address: str, port: int, protocol: str = "tcp", timeout: float = 0.3) -> bool:
        """Whether somebody answers at `address:port`."""
        try:
            return bool(self.ask(address, port, protocol, timeout))
        except OSError:
            return False


class Host(Namespace):
    """A network namespace that plays a machine, `lo` up."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._processes: list[subprocess.Popen[Any]] = []
        path.touch()
        subprocess.run(["unshare", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)

    def command(self, *args: str | Path) -> list[str]:
        """Return the command line that runs `args` in this namespace."""
        return ["nsenter", f"--net={self.path}", *map(str, args)]

    def sh(self, *args: str | Path, check: bool = True, timeout: float = 20, stdin: str = "") -> str:
        """Return what a command printed; raises AssertionError with its words if it fails and `check` is set."""
        done = subprocess.run(self.command(*args), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{' '.join(map(str, args))}: {done.stderr}{done.stdout}"
        return done.stdout

    def spawn(self, *args: str | Path, **options: Any) -> "subprocess.Popen[Any]":
        """Start a process in this namespace; it is killed when the host is closed."""
        process: subprocess.Popen[Any] = subprocess.Popen(self.command(*args), **options)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End its processes and let the namespace go."""
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                stream.close()
        self._processes.clear()
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def join(
    left: Host,
    right: Host,
    *,
    left_address: str = f"{HOST_ADDRESS}/24",
    right_address: str = f"{OUTSIDE_ADDRESS}/24",
    interface: str = "eth0",
) -> None:
    """Put a cable between two hosts: an interface on each side, up, with its address."""
    left.sh("ip", "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", right.path)
    for host, address in ((left, left_address), (right, right_address)):
        host.sh("ip", "addr", "add", address, "brd", "+", "dev", interface)
        host.sh("ip", "link", "set", interface, "up")


def until(condition: Callable[[], T], *, within: float = 10, what: str = "") -> T:
    """Return the first true value of `condition()`; for things that other processes do and that nobody can wait for."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"did not happen within {within} s: {what or condition}"
        time.sleep(0.01)
    return value


class Answering:
    """A server of one fixed answer in a host's namespace; `callers` are the addresses that it saw."""

    def __init__(self, host: Namespace, address: str, port: int, answer: bytes, protocol: str) -> None:
        self.callers: list[str] = []
        self._answer = answer
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self._socket = host.run(lambda: _bound(kind, address, port))
        self._thread = threading.Thread(target=self._serve_tcp if protocol == "tcp" else self._serve_udp, daemon=True)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = self._socket.accept()
                with connection, contextlib.suppress(ConnectionError):
                    self.callers.append(caller[0])
                    connection.sendall(self._answer)

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, caller = self._socket.recvfrom(4096)
                if not data:
                    return
                self.callers.append(caller[0])
                self._socket.sendto(self._answer, caller)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # wakes the thread; an unconnected UDP socket says ENOTCONN, and wakes it too
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class _Visit(threading.Thread):
    """One call in a namespace. The thread ends with it, so no thread is ever left in the wrong namespace."""

    def __init__(self, path: Path, action: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._action = action
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._path.open() as namespace:
                _libc.setns(namespace.fileno(), _libc.CLONE_NEWNET)
            self._result = self._action()
        except BaseException as error:  # noqa: BLE001  it is raised again in the caller's thread
            self._error = error

    def result(self) -> Any:
        self.start()
        self.join()
        if self._error is not None:
            raise self._error
        return self._result


def _bound(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen()
    except OSError:
        server.close()
        raise
    return server
