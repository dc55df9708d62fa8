"""`linkspan`, the command: the engine's start and stop, and what else has no counterpart in docker."""

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import LINKSPAN, Done, Engine, docker_clients, leftovers
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel


class Machine:
    """A test host with folders of its own at the places where the engine lives by default."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.home = folder / "home"
        self.home.mkdir()
        self.places = (Path("/var/lib/linkspan"), Path("/run/linkspan"))
        self._script = folder / "enter"
        binds = ""
        for number, place in enumerate(self.places):
            (folder / str(number)).mkdir()
            place.mkdir(parents=True, exist_ok=True)
            binds += f"mount --bind {folder / str(number)} {place}\n"
        self._script.write_text(f'#!/bin/sh\nset -e\n{binds}\nexec "$@"\n')
        self._script.chmod(0o755)
        # One mount namespace for all commands of the test: what an engine mounts there must be there for the next one.
        self._keeper = host.spawn("unshare", "--mount", "--propagation=private", self._script, "sleep", "infinity")
        until(lambda: Path(f"/proc/{self._keeper.pid}/comm").read_text() == "sleep\n", what="the machine is up")

    def run(self, *command: str | Path, **environment: str) -> Done:
        enter = ["nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", f"--net={self.host.path}"]
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", **environment}
        done = subprocess.run([*enter, *map(str, command)], capture_output=True, text=True, timeout=60, check=False, env=surroundings)
        return Done(done.returncode, done.stdout, done.stderr)

    def linkspan(self, *args: str, **environment: str) -> Done:
        return self.run(*LINKSPAN, *args, **environment)


@pytest.fixture
def default_place(host: Host, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(host, tmp_path)
    yield machine
    machine.linkspan("down", "--purge")
    assert [line for line in leftovers(tmp_path) if line != str(host.path)] == []
    for place in machine.places:
        with contextlib.suppress(OSError):  # the machine has an engine of its own
            place.rmdir()


def test_up_and_down(default_place: Machine) -> None:
    up = default_place.linkspan("up")
    assert up.status == 0, up.err
    assert up.out.startswith("linkspan is running on unix:///run/linkspan/linkspan.sock (pid ")
    assert default_place.linkspan("up").out.startswith("linkspan is already running")
    assert default_place.linkspan("ps").status == 0
    down = default_place.linkspan("down")
    assert (down.status, down.out.startswith("linkspan is stopped (pid ")) == (0, True)
    assert default_place.linkspan("down").out == "linkspan is not running\n"


def test_the_first_command_starts_the_engine_and_says_so(default_place: Machine) -> None:
    first = default_place.linkspan("run", "--rm", "busybox", "echo", "hello")
    assert (first.status, first.out) == (0, "hello\n")
    assert first.err.startswith("linkspan: starting the engine")
    second = default_place.linkspan("run", "--rm", "busybox", "echo", "hello")
    assert (second.status, second.out, second.err) == (0, "hello\n", "")


def test_starting_can_be_forbidden(default_place: Machine) -> None:
    done = default_place.linkspan("ps", LINKSPAN_NO_AUTOSTART="1")
    assert done.status == 1
    assert "Is it running?" in done.err
    assert "sudo linkspan up" in done.err


def test_an_engine_that_cannot_start_says_why(default_place: Machine) -> None:
    done = default_place.linkspan("up", "--mtu", "1")
    assert done.status != 0
    assert "invalid MTU number: 1" in done.err
    done = default_place.linkspan("up", "--default-runtime", "/nowhere/runc")
    assert done.status != 0
    assert "no such OCI runtime: /nowhere/runc" in done.err


def test_context_makes_plain_docker_use_it(default_place: Machine) -> None:
    assert default_place.linkspan("up").status == 0
    assert default_place.linkspan("context").status == 0
    for docker in docker_clients().values():
        assert default_place.run(docker, "run", "--rm", "busybox", "echo", "hello").out == "hello\n"


def test_the_demo_shows_all_four_modes_and_cleans_up(default_place: Machine) -> None:
    done = default_place.linkspan("demo")
    assert done.status == 0, done.out
    for mode in ("bridge", "host", "container", "none"):
        assert f"== {mode} ==" in done.out
    assert "0 did not" in done.out
    assert default_place.linkspan("ps", "-aq").out == ""


def test_purge_takes_everything_off_the_host(default_place: Machine) -> None:
    default_place.host.sh("sysctl", "-qw", "net.ipv4.ip_forward=0")
    default_place.linkspan("run", "-d", "--name", "web", "-p", "8080:80", "--stop-signal", "KILL", "busybox", "sleep", "100")
    assert "docker0" in default_place.host.sh("ip", "link")
    assert default_place.host.sh("sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    done = default_place.linkspan("down", "--purge")
    assert done.status == 0, done.err
    assert default_place.host.sh("ip", "-br", "link").startswith("lo ")
    assert "docker0" not in default_place.host.sh("ip", "link")
    assert default_place.host.sh("nft", "list", "tables") == ""
    assert default_place.host.sh("sysctl", "-n", "net.ipv4.ip_forward") == "0\n"
    assert default_place.linkspan("ps", "-a", "--format", "{{.Names}}").out == "web\n"


def test_the_socket_is_for_root_and_the_group(engine: Engine) -> None:
    assert stat.S_IMODE(engine.socket.stat().st_mode) == 0o660
    for folder in (engine.folder / "data", engine.folder / "run" / "netns"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_daemon_takes_dockerds_flags_with_one_warning_each(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--containerd", "/run/c.sock", "--userland-proxy=false", "--storage-driver", "overlay2", "--iptables=true")
    for flag in ("--containerd", "--userland-proxy", "--storage-driver", "--iptables"):
        assert engine.log.count(f"{flag} has no effect") == 1


def test_daemon_checks_its_settings(engine: Engine) -> None:
    assert engine.linkspan("daemon", "--validate", "--mtu", "1400") == "configuration OK"
    done = engine.try_linkspan("daemon", "--validate", "--mtu", "1")
    assert (done.status, done.err) == (1, "linkspan: invalid MTU number: 1\n")


def test_ps_is_quick_to_import() -> None:
    """No timing, but its reason: nothing of the engine, and no heavy module, is loaded for a command."""
    code = "import sys; from linkspan.cli.main import main; main(['ps', '--help']); print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "aiohttp", "pyroute2", "argparse", "http.client", "linkspan.engine", "linkspan.config"} & set(loaded)


def test_tables_and_templates(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "100")
    assert engine.linkspan("ps", "--format", "{{.Names}}\t{{.Ports}}") == "web\t0.0.0.0:8080->80/tcp"
    assert json.loads(engine.linkspan("ps", "--format", "json"))["Names"] == "web"
    assert engine.linkspan("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web") == engine.address("web")
    columns = "{{.ID}} {{.Image}} {{.Command}} {{.State}} {{.Ports}} {{.Names}}"
    assert engine.linkspan("ps", "--format", columns) == engine.docker("ps", "--format", columns)
    assert engine.linkspan("ps").splitlines()[0].split() == engine.docker("ps").splitlines()[0].split()
    assert engine.linkspan("network", "ls") == engine.docker("network", "ls")
    assert engine.linkspan("port", "web") == engine.docker("port", "web")


def test_exit_codes_are_dockers(engine: Engine) -> None:
    for args in (["--rm", "busybox", "sh", "-c", "exit 3"], ["--rm", "busybox", "nope"], ["--rm", "busybox", "/etc"], ["--rm", "no/such"]):
        assert engine.try_linkspan("run", *args).status == engine.try_docker("run", *args).status


def test_a_terminal(engine: Engine) -> None:
    main, side = pty.openpty()
    command = engine.host.command(*LINKSPAN, "-H", f"unix://{engine.socket}", "run", "--rm", "-it", "busybox", "sh")
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, start_new_session=True) as client:
        os.close(side)
        os.write(main, b"tty; exit 4\n")
        said = b""
        deadline = time.monotonic() + 20
        while client.poll() is None and time.monotonic() < deadline:
            try:
                said += os.read(main, 4096)
            except OSError:
                break
    os.close(main)
    assert b"/dev/pts/0" in said
    assert client.returncode == 4


def test_completion_knows_the_containers(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "webserver", "busybox", "sleep", "100")
    script = engine.linkspan("completion", "bash")
    (engine.folder / "completion").write_text(script)
    assert subprocess.run(["bash", "-n", str(engine.folder / "completion")], check=False).returncode == 0
    assert "webserver" in engine.linkspan("__complete", "stop", "web").split()
