"""run -it at a real (pseudo) terminal: raw mode, sizes, detach keys."""

import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading

import pytest

from linkspan.cli.terminal import DetachFilter, parse_keys
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import CONTAINER, FakeEngine, Reply, read_all, when_asked


class Terminal:
    """A user at a terminal of 24 lines and 80 columns, in front of `linkspan`."""

    def __init__(self, *words: str) -> None:
        self.shown = b""
        self.keyboard, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        program = "import sys; from linkspan.cli.main import main; sys.exit(main(sys.argv[1:]))"
        self.process = subprocess.Popen([sys.executable, "-c", program, *words], stdin=screen, stdout=screen, stderr=screen)
        os.close(screen)

    def type(self, data: bytes) -> None:
        os.write(self.keyboard, data)

    def sees(self, text: bytes) -> None:
        """Wait until `text` is on the screen."""
        while text not in self.shown:
            self.shown += os.read(self.keyboard, 4096)

    def ends(self) -> tuple[int, bytes]:
        """Wait for the end; return the exit status and what is on the screen."""
        with contextlib.suppress(OSError):  # when the last one at the terminal has left
            while data := os.read(self.keyboard, 4096):
                self.shown += data
        os.close(self.keyboard)
        return self.process.wait(), self.shown


def test_terminal_is_raw_and_keys_detach(container: FakeEngine) -> None:
    heard: list[bytes] = []
    started = threading.Event()

    def shell(sock: socket.socket) -> None:
        started.wait()
        sock.sendall(b"# ")
        heard.append(read_all(sock))

    container.on(f"POST {CONTAINER}/attach", Reply(talk=shell))
    container.on(f"POST {CONTAINER}/start", Reply(pieces=when_asked(started.set)))
    user = Terminal("-H", container.host, "run", "-it", "busybox")
    user.sees(b"# ")
    user.type(b"\x03ls\r\x10\x11")
    assert user.ends() == (0, b"# ")
    assert heard == [b"\x03ls\r"]
    assert container.last("POST /containers/create").json["HostConfig"]["ConsoleSize"] == [24, 80]
    assert container.last(f"POST {CONTAINER}/resize").query == {"h": "24", "w": "80"}


def test_terminal_of_another_size_is_told(container: FakeEngine) -> None:
    first, resized = threading.Event(), threading.Event()

    def shell(sock: socket.socket) -> None:
        first.wait()
        fcntl.ioctl(user.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        user.process.send_signal(signal.SIGWINCH)
        resized.wait()
        sock.sendall(b"bye\r\n")

    container.on(f"POST {CONTAINER}/attach", Reply(talk=shell))
    container.on(f"POST {CONTAINER}/resize", Reply(pieces=when_asked(first.set)), Reply(pieces=when_asked(resized.set)))
    user = Terminal("-H", container.host, "run", "-it", "--rm", "busybox")
    assert user.ends() == (3, b"bye\r\n")
    assert container.last(f"POST {CONTAINER}/resize").query == {"h": "40", "w": "120"}


@pytest.mark.parametrize(
    ("typed", "sent", "detached"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10a"], b"\x10a", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10"], b"", False),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_detach_keys(typed: list[bytes], sent: bytes, *, detached: bool) -> None:
    keys = DetachFilter(parse_keys(""))
    assert b"".join(keys.feed(data) for data in typed) == sent
    assert keys.detached == detached


def test_names_of_keys(call: Call) -> None:
    assert parse_keys("") == b"\x10\x11"
    assert parse_keys("ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-_,x") == b"\x00\x01\x1a\x1b\x1fx"
    said = call("run", "--detach-keys", "ctrl-,", "busybox")
    assert (said.status, said.err) == (1, "invalid detach keys (ctrl-,): Unknown character: 'ctrl-'\n")
