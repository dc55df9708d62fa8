"""up, down and the start that other commands make; the engine is a small program that serves a socket."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linkspan.cli import settings
from linkspan.cli.engine import autostart
from tests.unit.cli.conftest import Said

Linkspan = Callable[..., Said]

# Called as `engine -m linkspan daemon --exec-root DIR …`.
ENGINE = """#!{python} -ISE
import json, os, signal, socket, sys
root = sys.argv[sys.argv.index("--exec-root") + 1]
print("the engine begins", flush=True)
if "die=1" in sys.argv:
    sys.exit("no kernel module")
def leave(*_):
    os.unlink(root + "/linkspan.pid")
    sys.exit()
signal.signal(signal.SIGTERM, leave)
listener = socket.socket(socket.AF_UNIX)
listener.bind(root + "/linkspan.sock")
with open(root + "/linkspan.pid", "w") as file:
    file.write(str(os.getpid()))
listener.listen()
while True:
    connection, _ = listener.accept()
    with connection:
        asked = connection.recv(4096).split()[:2]
        with open(root + "/asked", "a") as file:
            print(*map(bytes.decode, asked), file=file)
        content = b"OK" if asked[1].endswith(b"/_ping") else json.dumps([{{"Names": ["/web"]}}]).encode()
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(content), content))
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The exec root of an engine that is stopped at the end, whatever the test did."""
    yield tmp_path / "run"
    pidfile = tmp_path / "run" / "linkspan.pid"
    if pidfile.exists():
        os.kill(int(pidfile.read_text()), signal.SIGKILL)


@pytest.fixture
def linkspan(tmp_path: Path, root: Path) -> Linkspan:
    """Call `linkspan WORDS… --exec-root ROOT FLAGS…` in a process of its own, which takes the small program for Python."""
    program = tmp_path / "engine"
    program.write_text(ENGINE.format(python=sys.executable))
    program.chmod(0o755)
    settings_file = tmp_path / "daemon.json"
    settings_file.write_text("{}")
    begin = f"import sys; sys.executable = {str(program)!r}; from linkspan.cli.main import main; sys.exit(main(sys.argv[1:]))"

    def run(*words: str, flags: tuple[str, ...] = ()) -> Said:
        place = ("--exec-root", str(root), "--config-file", str(settings_file))
        done = subprocess.run([sys.executable, "-c", begin, *words, *place, *flags], capture_output=True, text=True, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def test_up_and_down(linkspan: Linkspan, root: Path) -> None:
    said = linkspan("up")
    pid = int((root / "linkspan.pid").read_text())
    assert (said.status, said.out, said.err) == (0, f"linkspan is running on unix://{root}/linkspan.sock (pid {pid})\n", "")
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert (root / "linkspan.log").read_text() == "the engine begins\n"
    assert linkspan("up", "--").out == f"linkspan is already running on unix://{root}/linkspan.sock (pid {pid})\n"
    assert linkspan("down").out == f"linkspan is stopped (pid {pid})\n"
    assert not (root / "linkspan.pid").exists()
    said = linkspan("down")
    assert (said.status, said.out) == (0, "linkspan is not running\n")


def test_down_can_stop_the_containers_first(linkspan: Linkspan, root: Path) -> None:
    linkspan("up")
    said = linkspan("down", "--containers")
    assert said.status == 0
    assert said.out.startswith("web\nlinkspan is stopped")
    assert "POST /v1.51/containers/web/stop" in (root / "asked").read_text()


def test_engine_that_dies_shows_the_end_of_its_log(linkspan: Linkspan, root: Path) -> None:
    said = linkspan("up", flags=("--label", "die=1"))
    assert said.status == 1
    assert said.err == (f"the engine did not start; the end of its log, {root}/linkspan.log:\n  the engine begins\n  no kernel module\n")
    assert not (root / "linkspan.pid").exists()


def test_wrong_flags_are_refused_before_anything_starts(linkspan: Linkspan, root: Path) -> None:
    said = linkspan("up", flags=("--mtu", "5"))
    assert (said.status, said.err) == (1, "invalid MTU number: 5\n")
    assert not root.exists()


def test_down_spares_a_process_that_is_no_engine(linkspan: Linkspan, root: Path) -> None:
    root.mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        (root / "linkspan.pid").write_text(str(other.pid))
        assert linkspan("down").out == "linkspan is not running\n"
        assert other.poll() is None
        other.kill()
    (root / "linkspan.pid").unlink()


def test_host_of_the_command_is_the_engines(linkspan: Linkspan, root: Path, tmp_path: Path) -> None:
    said = linkspan("-H", f"unix://{tmp_path}/run/linkspan.sock", "up")
    assert said.out.startswith(f"linkspan is running on unix://{tmp_path}/run/linkspan.sock")
    words = Path(f"/proc/{(root / 'linkspan.pid').read_text()}/cmdline").read_bytes().split(b"\0")
    assert words[words.index(b"daemon") + 1 :][:2] == [b"--host", f"unix://{tmp_path}/run/linkspan.sock".encode()]


def test_commands_start_no_engine_where_nobody_expects_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert not autostart("unix:///somewhere/else")
    monkeypatch.setenv("LINKSPAN_NO_AUTOSTART", "1")
    assert not autostart(settings.DEFAULT_HOST)
    monkeypatch.delenv("LINKSPAN_NO_AUTOSTART")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not autostart(settings.DEFAULT_HOST)
    assert capfd.readouterr() == ("", "")
