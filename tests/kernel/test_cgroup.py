"""Control groups: they go when nothing is in them."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from linkspan.kernel import cgroup
from tests.hosts import until

pytestmark = pytest.mark.kernel

ROOT = Path("/sys/fs/cgroup")
PATH = f"linkspan-test-{os.getpid()}/group"


def hierarchies() -> list[Path]:
    """Those that a group can be made in."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [folder for folder in ROOT.iterdir() if folder.name in ("pids", "freezer")]


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    made = [hierarchy / PATH for hierarchy in hierarchies()]
    for group in made:
        group.mkdir(parents=True)
    yield made
    for group in made:
        for folder in (group, group.parent):
            if folder.exists():
                folder.rmdir()


def test_it_is_removed_from_every_hierarchy_and_may_be_gone(groups: list[Path]) -> None:
    assert cgroup.remove(PATH)
    assert not [group for group in groups if group.exists()]
    assert cgroup.remove(PATH)


def test_what_processes_are_in_stays(groups: list[Path]) -> None:
    with subprocess.Popen(["sleep", "100"]) as inside:
        (groups[0] / "cgroup.procs").write_text(str(inside.pid))
        assert not cgroup.remove(PATH)
        assert groups[0].exists()
        inside.kill()
    assert cgroup.remove(PATH)


def test_the_kernels_lock_is_taken_ahead_for_a_moment_without_moving_anybody() -> None:
    processes = cgroup.own_processes()
    assert processes
    before = Path("/proc/self/cgroup").read_text()
    moves = cgroup.SwiftMoves(processes)
    for _ in range(2):
        moves.expect()
        assert [thread for thread in threading.enumerate() if thread.name == "swift-moves"]
        until(lambda: not [thread for thread in threading.enumerate() if thread.name == "swift-moves"], what="the moment passes")
    assert Path("/proc/self/cgroup").read_text() == before


def test_the_moment_lasts_while_processes_are_expected(tmp_path: Path) -> None:
    written = tmp_path / "cgroup.procs"
    moves = cgroup.SwiftMoves(written)
    moves.expect()
    until(written.exists, what="the lock is taken")
    assert written.read_bytes() == b"0"
    written.unlink()
    moves.expect()
    until(written.exists, what="it is taken again")


def test_a_host_without_the_hierarchies_is_no_error() -> None:
    cgroup.SwiftMoves(None).expect()
    cgroup.SwiftMoves(Path("/nowhere/cgroup.procs")).expect()
