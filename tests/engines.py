"""Engines for the tests: a daemon in a test host, driven by the real docker command and by `linkspan`.

with Engine(host, folder) as engine:
    engine.docker("run", "-d", "--name", "web", "busybox", "httpd", "-f")   # output; AssertionError with its words
    engine.refused("run", "-p", "80:80", …)                                  # the error text of a command that must fail
    engine.inspect("web")["NetworkSettings"]["IPAddress"]
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.hosts import Host, Namespace, until

LINKSPAN = (sys.executable, "-m", "linkspan")
CLIENTS = Path(sys.prefix) / "docker-client" / "docker"
"""Debian's docker client (20.10), unpacked by scripts/setup."""


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str


def docker_clients() -> dict[str, str]:
    """The docker commands of this machine by version: Debian's 20.10, and what is on the PATH."""
    found = {}
    for path in filter(None, (str(CLIENTS) if CLIENTS.exists() else "", shutil.which("docker"))):
        words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
        found[words[2].rstrip(",")] = path
    return found


ENGINES: list["Engine"] = []
"""Those of the running test: when it fails, their logs are shown."""


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Engine:
    """`linkspan daemon` in a test host, with its own roots under `folder`."""

    def __init__(self, host: Host, folder: Path, *flags: str) -> None:
        self.host = host
        self.folder = folder
        self.flags: tuple[str, ...] = flags
        self.program: tuple[str, ...] = (sys.executable, "-X", "faulthandler", "-m", "linkspan")
        self.socket = folder / "run" / "linkspan.sock"
        self.client: tuple[str, ...] = (next(iter(reversed(docker_clients().values())), "docker"),)
        """The command that `docker`, `refused` and the like run."""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._before = leftovers(folder)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the engine is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "engine.log").read_text()

    def start(self, *flags: str) -> None:
        """Start the daemon and wait until it answers."""
        roots = ("--data-root", self.folder / "data", "--exec-root", self.folder / "run", "--config-file", self._config())
        with (self.folder / "engine.log").open("ab") as log:
            self._process = self.host.spawn(
                *self.program, "daemon", *roots, *self.flags, *flags, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        process = self._process
        until(lambda: process.poll() is not None or self._answers(), within=30, what="the engine answers")
        assert process.poll() is None, f"the engine did not start:\n{self.log}"

    def stop(self) -> int:
        """End the daemon as systemd does; containers go on. Returns its exit status."""
        return self._end("terminate")

    def kill(self) -> None:
        """End the daemon with SIGKILL."""
        self._end("kill")

    def restart(self, *flags: str) -> None:
        self.stop()
        self.start(*flags)

    def run(self, *command: str | Path, stdin: str | None = "", timeout: float = 60, env: dict[str, str] | None = None) -> Done:
        """Run a program in the host, with the environment of a user of this engine."""
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": f"unix://{self.socket}",
            "LINKSPAN_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "LC_ALL": "C.UTF-8",
            **(env or {}),
        }
        done = subprocess.run(
            self.host.command(*command), input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=surroundings
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def try_docker(self, *args: str | Path, **options: Any) -> Done:
        """Run the docker command, whatever comes of it."""
        return self.run(*self.client, *args, **options)

    def docker(self, *args: str | Path, **options: Any) -> str:
        """Return what the docker command printed, without the last newline."""
        return _output(("docker", *args), self.try_docker(*args, **options))

    def try_linkspan(self, *args: str | Path, **options: Any) -> Done:
        return self.run(*LINKSPAN, *args, **options)

    def linkspan(self, *args: str | Path, **options: Any) -> str:
        """Return what the linkspan command printed, without the last newline."""
        return _output(("linkspan", *args), self.try_linkspan(*args, **options))

    def refused(self, *args: str | Path, **options: Any) -> str:
        """Return the error text of a docker command that must fail."""
        done = self.try_docker(*args, **options)
        assert done.status != 0, f"docker {' '.join(map(str, args))} should have failed: {done.out}"
        return done.err

    def api(self, method: str, path: str, body: object = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """Ask the API itself; returns the status and the JSON answer (text, if it is none)."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        with contextlib.closing(Connection(self.socket)) as connection:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="surrogateescape")
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    @contextlib.contextmanager
    def following(self, ref: str) -> Iterator[Iterator[str]]:
        """The lines of `docker logs -f`, as they come, from the first on."""
        process = self.host.spawn(
            *self.client, "logs", "-f", ref, stdout=subprocess.PIPE, text=True, env={"DOCKER_HOST": f"unix://{self.socket}"}
        )
        try:
            assert process.stdout is not None
            yield iter(process.stdout)
        finally:
            process.kill()
            process.wait()

    def inspect(self, ref: str) -> dict[str, Any]:
        """Return what `docker inspect` says of a container."""
        found: dict[str, Any] = json.loads(self.docker("inspect", ref))[0]
        return found

    def inside(self, ref: str) -> Namespace:
        """The network namespace of a running container."""
        return Namespace(Path(f"/proc/{self.inspect(ref)['State']['Pid']}/ns/net"))

    def address(self, ref: str) -> str:
        """Return the container's address on its network."""
        return str(self.inspect(ref)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])

    def serve(self, name: str, *flags: str, port: int = 80, page: str = "") -> str:
        """Run a web server in a container that answers `page` (its name unless given) at /; returns its id."""
        script = f"mkdir -p /www && echo {page or name} >/www/index.html && exec httpd -f -p {port} -h /www"
        made = self.docker("run", "-d", "--name", name, *flags, "busybox", "sh", "-c", script)
        self.wait_listening(name, port)
        return made

    def wait_listening(self, name: str, port: int) -> None:
        """Wait until something listens on the port in the container's namespace."""
        pid = self.inspect(name)["State"]["Pid"]
        tables = [Path(f"/proc/{pid}/net/{table}") for table in ("tcp", "tcp6")]
        until(lambda: any(_listens(table, port) for table in tables), what=f"{name} listens on {port}")

    def page(self, url: str, *, container: str = "") -> str:
        """Return what a web server answers to the host, or to a container."""
        if container:
            return self.docker("exec", container, "timeout", "5", "wget", "-qO-", url)
        return self.host.sh("timeout", "5", "busybox", "wget", "-qO-", url).rstrip("\n")

    def remove_containers(self) -> None:
        """Remove every container, and wait until what they left is cleared away."""
        ids = self.docker("ps", "-aq").split()
        if ids:
            self.docker("rm", "-f", *ids)
        until(self.nothing_is_left, within=30, what="what the containers left is cleared away")

    def nothing_is_left(self) -> bool:
        """Whether no container has left an interface, a namespace, a monitor's folder or one of its own."""
        folders = [self.folder / "data" / "containers", self.folder / "run" / "netns", self.folder / "run" / "monitor"]
        entries = [entry for folder in folders if folder.exists() for entry in folder.iterdir()]
        return not entries and "veth" not in self.host.sh("ip", "-br", "link")

    def unmount(self) -> None:
        """Take away everything that is mounted in its folder."""
        points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        ours = [point for point in points if point.startswith(f"{self.folder}/") and point not in self._before]
        for point in reversed(ours):
            subprocess.run(["umount", "--lazy", point], check=True)

    def close(self) -> None:
        """Remove the containers, end the daemon, and make sure that nothing of them is left."""
        try:
            if self._process is None:
                self.start()
            self.remove_containers()
            self.stop()
            left = [found for found in leftovers(self.folder) if found not in self._before]
        finally:  # whatever went wrong here, it must not be in the way of other tests
            for pid in processes(self.folder):
                os.kill(pid, signal.SIGKILL)
            self.unmount()
        assert not left, f"left behind: {left}"

    def __enter__(self) -> Self:
        ENGINES.append(self)
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        finally:
            ENGINES.remove(self)

    def _end(self, how: str) -> int:
        process, self._process = self._process, None
        assert process is not None, "the engine is not running"
        getattr(process, how)()
        return process.wait(timeout=60)

    def _answers(self) -> bool:
        return self.socket.exists() and self.try_docker("version").status == 0

    def _config(self) -> Path:
        """An empty file: the machine's own /etc/linkspan/daemon.json is not for tests."""
        path = self.folder / "daemon.json"
        if not path.exists():
            path.write_text("{}")
        return path


def leftovers(folder: Path) -> list[str]:
    """Mounts and processes that still belong to an engine with its roots in `folder`."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    return mounts + list(processes(folder).values())


def processes(folder: Path) -> dict[int, str]:
    """The processes that have the folder in their command line: an engine, monitors. By pid."""
    found = {}
    for pid in [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]:
        with contextlib.suppress(OSError):  # it has ended
            command = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command:
                found[int(pid)] = command
    return found


def _output(command: Sequence[object], done: Done) -> str:
    assert done.status == 0, f"{' '.join(map(str, command))}: exit status {done.status}\n{done.err}{done.out}"
    return done.out.rstrip("\n")


def _listens(table: Path, port: int) -> bool:
    rows = (line.split() for line in table.read_text().splitlines()[1:]) if table.exists() else ()
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
