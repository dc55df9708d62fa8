"""The two engines that are compared, each in a network namespace of its own with no way out."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

OURS, THEIRS = "linkspan", "dockerd"
CGROUP = "linkspan-bench"
"""What dockerd makes its containers' cgroups in, so that nothing of it is left among those of another dockerd."""
PATIENCE = 120
"""How long an engine may take to start or to stop, seconds."""


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class Contestant:
    """An engine: `docker(…)` is the same client for both, `ask(…)` speaks to the API itself."""

    name: str
    socket: Path
    namespace: Path
    command: Sequence[str]
    log: Path
    client: str = field(default_factory=lambda: shutil.which("docker") or "docker")
    process: subprocess.Popen[bytes] | None = None
    hurried: bool = False
    """At the end its containers are killed with it: removing them properly would take minutes."""

    def docker(self, *args: str, stdin: bytes = b"", check: bool = True) -> str:
        command = [self.client, "-H", f"unix://{self.socket}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, env={"PATH": os.environ["PATH"]})
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: docker {' '.join(args)[:300]}: {done.stderr.decode()[:2000]}")
        return done.stdout.decode(errors="replace").strip()

    def dockers(self, *commands: Sequence[str], at_once: int = 4) -> list[str]:
        """Run several docker commands, some of them at once."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda args: self.docker(*args), commands))

    def ask(self, path: str, wanted: object = None) -> bytes:
        """Return the body of the engine's answer to one GET on a new connection; with something that is `wanted`, to one POST of it."""
        method, sent = ("GET", None) if wanted is None else ("POST", json.dumps(wanted))
        with contextlib.closing(Connection(self.socket)) as connection:
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {body[:300]!r}")
        return body

    def serves(self) -> bool:
        try:
            self.ask("/containers/json")
        except (OSError, http.client.HTTPException, RuntimeError):
            return False
        return True

    def start(self) -> float:
        """Start the engine and wait until it serves; returns how long that took."""
        with self.log.open("ab") as log:
            begun = time.perf_counter()
            self.process = subprocess.Popen(self.inside(*self.command), stdout=log, stderr=log, start_new_session=True)
        while not self.serves():
            if self.process.poll() is not None or time.perf_counter() - begun > PATIENCE:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.002)
        return time.perf_counter() - begun

    def stop(self) -> None:
        """End the engine as systemd does."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if self.hurried else signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in the engine's network namespace."""
        return ["nsenter", f"--net={self.namespace}", *command]

    def remove_containers(self) -> None:
        """Remove all that there is; what the engine refuses to remove is told of, and killed later."""
        try:
            if ids := self.docker("ps", "-aq").split():
                self.docker("rm", "-f", *ids)
        except RuntimeError as error:
            print(f"  {error}".rstrip(), file=sys.stderr)


Field = Sequence[Contestant]
"""Those that take turns."""


@contextlib.contextmanager
def namespace(path: Path) -> Iterator[Path]:
    """A network namespace with `lo` up."""
    path.touch()
    subprocess.run(["unshare", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.unlink()


@contextlib.contextmanager
def running(name: str, folder: Path, command: Sequence[str], address: Path) -> Iterator[Contestant]:
    """Start an engine in a namespace of its own, and end it with all its containers."""
    (folder / name).mkdir()
    with namespace(folder / f"{name}.net") as where:
        contestant = Contestant(name, address, where, command, folder / f"{name}.log")
        try:
            contestant.start()
            yield contestant
        finally:
            with contextlib.ExitStack() as end:  # each of these is done whatever becomes of those above it
                end.callback(sweep, folder / name, where)
                end.callback(contestant.stop)
                if not contestant.hurried and contestant.serves():
                    contestant.remove_containers()


def sweep(folder: Path, where: Path) -> None:
    """Take away what an engine left: processes in its namespace or on its files, and mounts."""
    for _ in range(100):  # what is being killed may still start something
        left = {*processes_in(where), *_processes_on(folder)} - {os.getpid()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(0.1)
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", point], check=True)
    root = Path("/sys/fs/cgroup")
    ours = [path.name for path in (folder / "data/containers").glob("*")]  # those that a broken engine did not remove
    for parent in (root, *root.iterdir()):
        for each in (*(parent / CGROUP).glob("*/"), parent / CGROUP, *(parent / OURS / name for name in ours)):
            with contextlib.suppress(OSError):  # not there, or in use by another run
                each.rmdir()


def processes_in(where: Path) -> dict[int, str]:
    """The processes of a network namespace, by pid: the engine and its helpers, and no container but those in host mode."""
    wanted = where.stat().st_ino
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if (entry / "ns/net").stat().st_ino == wanted:
                found[int(entry.name)] = (entry / "comm").read_text().strip()
    return found


def _processes_on(folder: Path) -> set[int]:
    """Those that name the folder in their command line, or have it in their mounts and not in ours: containers."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            private = (entry / "ns/mnt").stat().st_ino != Path("/proc/self/ns/mnt").stat().st_ino
            if str(folder).encode() in (entry / "cmdline").read_bytes() or (private and str(folder) in (entry / "mountinfo").read_text()):
                found.add(int(entry.name))
    return found


@contextlib.contextmanager
def contestants(folder: Path, names: Sequence[str], *flags: str) -> Iterator[Field]:
    """Give the named engines, with the same image: linkspan's built-in busybox. `flags` are dockerd's."""
    with contextlib.ExitStack() as stack:
        linkspan = stack.enter_context(running(OURS, folder, linkspan_command(folder), folder / OURS / "run/linkspan.sock"))
        if THEIRS not in names:
            yield [linkspan]
            return
        other = stack.enter_context(running(THEIRS, folder, [*_dockerd_command(folder), *flags], folder / THEIRS / "docker.sock"))
        archive = folder / "busybox.tar"
        linkspan.docker("save", "-o", str(archive), "busybox")
        other.docker("load", "-i", str(archive))
        yield [linkspan, other] if OURS in names else [other]


def linkspan_command(folder: Path) -> list[str]:
    roots = ["--data-root", f"{folder}/{OURS}/data", "--exec-root", f"{folder}/{OURS}/run"]
    return [sys.executable, "-m", "linkspan", "daemon", "--config-file", _no_settings(folder), *roots]


def dockerd() -> str:
    """Return the dockerd to compare with: DOCKERD, else the one that is installed."""
    return os.environ.get("DOCKERD") or shutil.which("dockerd") or "dockerd"


def _dockerd_command(folder: Path) -> list[str]:
    home = folder / THEIRS
    roots = ["--data-root", f"{home}/data", "--exec-root", f"{home}/run", "--pidfile", f"{home}/pid", "-H", f"unix://{home}/docker.sock"]
    return [dockerd(), "--config-file", _no_settings(folder), "--cgroup-parent", f"/{CGROUP}", *roots]


def _no_settings(folder: Path) -> str:
    """The machine's own settings are not for measurements."""
    path = folder / "settings.json"
    path.write_text("{}")
    return str(path)
