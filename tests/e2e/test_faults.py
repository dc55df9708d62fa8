"""Trouble with the host: full disks, full inode tables, read-only roots. A clear word, nothing lost, and on it goes with room again."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.engines import LINKSPAN, Engine, processes
from tests.hosts import Host, until
from tests.kernel.imagestores import docker_archive, tar_of_files

pytestmark = pytest.mark.kernel

FULL = re.compile("no space left|disk is full", re.IGNORECASE)


class Disk:
    """A small file system at `path`, in memory, that can be filled to the last byte or the last file."""

    def __init__(self, path: Path, options: str) -> None:
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)

    def fill(self, what: str) -> None:
        """Leave not one byte, or not one file, free."""
        if what == "bytes":
            with contextlib.suppress(OSError), (self.path / "filler").open("ab", buffering=0) as filler:
                while filler.write(bytes(1 << 12)):
                    pass
        else:
            (self.path / "fillers").mkdir()
            with contextlib.suppress(OSError):
                for number in range(1 << 20):
                    (self.path / "fillers" / str(number)).touch()

    def free(self) -> None:
        """Make room again."""
        subprocess.run(["rm", "-rf", self.path / "filler", self.path / "fillers"], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Disk]:
    """The data root of `new_engine`, 48 MiB and 2,000 files."""
    disk = Disk(tmp_path / "e" / "data", "size=48m,nr_inodes=2000")
    yield disk
    disk.unmount()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Disk]:
    """The exec root of `new_engine`, 8 MiB and 500 files."""
    disk = Disk(tmp_path / "e" / "run", "size=8m,nr_inodes=500")
    yield disk
    disk.unmount()


def saved_image(folder: Path) -> Path:
    path = folder / "image.tar"
    path.write_bytes(docker_archive(["other:1"], tar_of_files({"x": os.urandom(100_000)})))
    return path


def prepare(engine: Engine) -> None:
    """One container that runs and talks, one that runs and goes by itself, one that was made, one that ended."""
    engine.docker(
        "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", "mkdir /www; echo web >/www/index.html; exec httpd -f -h /www"
    )
    engine.wait_listening("web", 80)
    talk = "while true; do read -r line </pipe; echo $line; done"
    engine.docker("run", "-d", "--name", "talker", "busybox", "sh", "-c", f"mkfifo /pipe; exec 3<>/pipe; {talk}")
    engine.docker("create", "--name", "made", "busybox", "sleep", "300")
    engine.docker("run", "--name", "ended", "busybox", "echo", "a log line of before")


def say(engine: Engine, words: str) -> None:
    engine.docker("exec", "talker", "sh", "-c", f"echo {words} >/pipe")


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_a_full_data_root(data: Disk, new_engine: Callable[..., Engine], tmp_path: Path, what: str) -> None:
    engine = new_engine()
    prepare(engine)
    image = saved_image(tmp_path)
    data.fill(what)

    for refused in (
        ("create", "busybox", "true"),
        ("run", "-d", "busybox", "sleep", "300"),
        ("load", "-i", image),
        ("import", image, "imported:1"),
    ):
        assert FULL.search(engine.refused(*refused)), refused
    assert engine.page("http://127.0.0.1:8080/") == "web"
    assert engine.docker("exec", "web", "echo", "still here") == "still here"
    say(engine, "said-while-full")
    assert engine.docker("logs", "ended") == "a log line of before"
    engine.docker("stop", "-t", "0", "web")
    engine.docker("rm", "web", "ended")
    started = engine.try_docker("start", "made")  # it may: its folder is there already
    assert started.status == 0 or FULL.search(started.err)
    engine.restart()
    assert sorted(engine.docker("ps", "-a", "--format", "{{.Names}}").split()) == ["made", "talker"]
    assert engine.docker("exec", "talker", "echo", "still here") == "still here"

    data.free()
    say(engine, "said-with-room")
    until(lambda: "said-with-room" in engine.docker("logs", "talker"), what="the log goes on")
    engine.docker("load", "-i", image)
    engine.docker("restart", "-t", "0", "made")
    assert engine.docker("run", "--rm", "busybox", "echo", "room again") == "room again"
    assert not list((engine.folder / "data" / "images" / "tmp").glob("tmp*"))


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_a_full_exec_root(run: Disk, new_engine: Callable[..., Engine], what: str) -> None:
    engine = new_engine()
    prepare(engine)
    links = engine.host.sh("ip", "-br", "link")
    run.fill(what)

    refusal = engine.refused("run", "-d", "--name", "late", "-p", "8081:80", "busybox", "sleep", "300")
    assert FULL.search(refusal), refusal
    assert engine.host.sh("ip", "-br", "link") == links
    assert engine.inspect("late")["State"]["Status"] == "created"
    done = engine.try_docker("exec", "web", "true")
    assert done.status != 0
    assert FULL.search(done.out + done.err)
    assert engine.page("http://127.0.0.1:8080/") == "web"
    engine.docker("stop", "-t", "0", "web")
    engine.docker("rm", "web", "ended", "late")
    engine.restart()
    assert engine.docker("ps", "-q", "--filter", "name=talker")

    run.free()
    assert engine.docker("exec", "talker", "echo", "room again") == "room again"
    engine.docker("start", "made")


def test_an_end_on_a_full_disk_keeps_its_exit_code(data: Disk, new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    for code in (7, 8):
        script = f"trap 'exit {code}' TERM; while true; do sleep 0.1; done"
        engine.docker("run", "-d", "--name", f"exits{code}", "busybox", "sh", "-c", script)
    data.fill("bytes")
    engine.docker("kill", "-s", "TERM", "exits7")
    assert engine.docker("wait", "exits7") == "7"
    engine.stop()
    pid = next(pid for pid, command in commands().items() if "exit 8" in command)
    os.kill(pid, signal.SIGTERM)
    until(lambda: pid not in commands())
    engine.start()
    until(lambda: not engine.docker("ps", "-q"), what="the end is noticed")
    assert [engine.inspect(f"exits{code}")["State"]["ExitCode"] for code in (7, 8)] == [7, 8]


def commands() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[int(entry.parent.name)] = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return {pid: command for pid, command in found.items() if command.startswith("sh -c trap")}


@pytest.fixture
def failing_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The data root of `new_engine` on an ext4 of its own, which becomes read-only when its disk fails."""
    image, folder = tmp_path / "disk.img", tmp_path / "e" / "data"
    folder.mkdir(parents=True)
    subprocess.run(["truncate", "-s", "64m", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, folder], check=False).returncode != 0:
        lacking(request.config, "needs loop devices")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fail(disk: Path) -> None:
    """Let the kernel find an error on the disk; what was written long ago is on it."""
    subprocess.run(["sync", "--file-system", disk], check=True)
    device = subprocess.run(["findmnt", "-no", "SOURCE", disk], capture_output=True, text=True, check=True).stdout.strip()
    (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("a test")
    with pytest.raises(OSError, match="Read-only"):
        (disk / "x").touch()


def test_a_data_root_that_becomes_read_only(failing_disk: Path, new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    engine = new_engine()
    prepare(engine)
    fail(failing_disk)
    for refused in (
        ("create", "busybox", "true"),
        ("rm", "ended"),
        ("rename", "made", "other"),
        ("start", "made"),
        ("tag", "busybox", "x"),
    ):
        said = engine.refused(*refused)
        assert re.search("read-?only", said, re.IGNORECASE), f"{refused}: {said}"
    assert engine.page("http://127.0.0.1:8080/") == "web"
    assert engine.docker("exec", "web", "echo", "still here") == "still here"
    assert "a log line of before" in engine.docker("logs", "ended")
    assert len(engine.docker("ps", "-aq").split()) == 4
    waiting = engine.host.spawn(*engine.client, "-H", f"unix://{engine.socket}", "wait", "web", stdout=subprocess.PIPE)
    for name in ("web", "talker"):
        os.kill(engine.inspect(name)["State"]["Pid"], signal.SIGKILL)
    assert waiting.communicate(timeout=20)[0] == b"137\n", "nobody waits for what cannot be recorded"
    engine.stop()
    assert re.search("read-?only", refused_start(engine), re.IGNORECASE)

    until(lambda: not processes(engine.folder), what="the monitors have ended")
    engine.unmount()
    subprocess.run(["umount", failing_disk], check=True)
    image = tmp_path / "disk.img"
    until(lambda: not subprocess.run(["losetup", "-j", image], capture_output=True, check=True).stdout, what="nobody uses the disk")
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, failing_disk], check=True)
    engine.start()
    assert {name: engine.inspect(name)["State"]["ExitCode"] for name in ("web", "talker", "ended")} == {
        "web": 137,
        "talker": 137,
        "ended": 0,
    }
    engine.docker("rm", "ended")
    engine.docker("start", "made")
    assert "Traceback" not in engine.log


def roots(engine: Engine) -> tuple[str, ...]:
    return ("--data-root", str(engine.folder / "data"), "--exec-root", str(engine.folder / "run"))


def refused_start(engine: Engine, *flags: str) -> str:
    """What a daemon says that does not start; its exit status is 1."""
    command = engine.host.command(*LINKSPAN, "daemon", *roots(engine), *flags)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_store_that_cannot_be_read_stops_the_start_and_nothing_else(new_engine: Callable[..., Engine]) -> None:
    """The engine says what to do and ends; what runs goes on, nothing is swept, and the store is as it was."""
    engine = new_engine()
    prepare(engine)
    engine.stop()
    store = engine.folder / "data" / "linkspan.db"
    whole = store.read_bytes()
    newer = bytearray(whole)
    newer[60:64] = (99).to_bytes(4)  # the version that its owner gave it (sqlite.org/fileformat.html)
    faults: tuple[tuple[bytes | None, str], ...] = (
        (whole[: len(whole) // 2], "restore a copy"),
        (b"not a database " * 1000, "restore a copy"),
        (bytes(newer), "written by a newer linkspan"),
        (b"", "empty or missing, but folders of containers are there"),
        (None, "empty or missing, but folders of containers are there"),
    )
    folders = sorted((engine.folder / "data" / "containers").iterdir())
    for content, word in faults:
        if content is None:
            store.unlink()
        else:
            store.write_bytes(content)
        assert word in refused_start(engine)
        assert (store.read_bytes() if store.exists() else None) == content
        assert sorted((engine.folder / "data" / "containers").iterdir()) == folders
        assert engine.page("http://127.0.0.1:8080/") == "web"
    store.write_bytes(whole)
    engine.start()
    assert engine.page("http://127.0.0.1:8080/") == "web"
    assert len(engine.docker("ps", "-aq").split()) == 4


def test_a_first_start_on_a_full_disk(data: Disk, new_engine: Callable[..., Engine], host: Host, tmp_path: Path) -> None:
    data.fill("bytes")
    engine = Engine(host, tmp_path / "e")
    (tmp_path / "e" / "daemon.json").write_text("{}")
    assert FULL.search(refused_start(engine, "--config-file", str(tmp_path / "e" / "daemon.json")))
    data.free()
    assert new_engine().docker("run", "--rm", "busybox", "echo", "room again") == "room again"
