"""The two engines that are compared, each in a network namespace of its own with no way out."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Contestant:
    """A running engine: `docker(…)` is the same client for both."""

    name: str
    socket: Path
    namespace: Path
    client: str = field(default_factory=lambda: shutil.which("docker") or "docker")

    def command(self, *args: str) -> list[str]:
        return ["nsenter", f"--net={self.namespace}", self.client, "-H", f"unix://{self.socket}", *args]

    def docker(self, *args: str, stdin: bytes = b"", check: bool = True) -> str:
        done = subprocess.run(self.command(*args), input=stdin, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: docker {' '.join(args)}: {done.stderr.decode()}")
        return done.stdout.decode(errors="replace").strip()

    def answers(self) -> bool:
        return self.socket.exists() and subprocess.run(self.command("version"), capture_output=True, check=False).returncode == 0


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


def unmount_below(folder: Path) -> None:
    """Take away what is mounted below a folder, the innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", point], check=True)


@contextlib.contextmanager
def running(name: str, folder: Path, command: list[str], socket: Path) -> Iterator[Contestant]:
    """Start an engine, wait until it answers, and end it with all its containers."""
    with namespace(folder / f"{name}.net") as where, (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(["nsenter", f"--net={where}", *command], stdout=log, stderr=log, start_new_session=True)
        contestant = Contestant(name, socket, where)
        try:
            deadline = time.monotonic() + 60
            while not contestant.answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
                time.sleep(0.05)
            yield contestant
        finally:
            if contestant.answers() and (ids := contestant.docker("ps", "-aq").split()):
                contestant.docker("rm", "-f", *ids)
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            unmount_below(folder / name)  # dockerd leaves its namespace file mounted


@contextlib.contextmanager
def contestants(folder: Path) -> Iterator[tuple[Contestant, Contestant]]:
    """linkspan and dockerd with the same image: linkspan's built-in busybox."""
    ours, theirs = folder / "linkspan", folder / "dockerd"
    for home in (ours, theirs):
        home.mkdir()
    settings = folder / "settings.json"
    settings.write_text("{}")
    us = [
        sys.executable,
        "-m",
        "linkspan",
        "daemon",
        "--config-file",
        str(settings),
        "--data-root",
        f"{ours}/data",
        "--exec-root",
        f"{ours}/run",
    ]
    them = ["dockerd", "--config-file", str(settings), "--data-root", f"{theirs}/data", "--exec-root", f"{theirs}/run"]
    them += ["--pidfile", f"{theirs}/pid", "-H", f"unix://{theirs}/docker.sock"]
    with (
        running("linkspan", folder, us, ours / "run" / "linkspan.sock") as linkspan,
        running("dockerd", folder, them, theirs / "docker.sock") as dockerd,
    ):
        archive = folder / "busybox.tar"
        linkspan.docker("save", "-o", str(archive), "busybox")
        dockerd.docker("load", "-i", str(archive))
        yield linkspan, dockerd
