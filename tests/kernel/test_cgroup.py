"""Control groups: they go when nothing is in them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linkspan.kernel import cgroup

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
