"""Folders full of what strangers made."""

import os
from pathlib import Path

import pytest

from linkspan.kernel import tree

DEPTH = 1200
"""More folders in one another than Python calls functions in one another; with long names, more than a path can name."""


def deep(path: Path, name: str) -> None:
    """Make folders in one another, with a file of 7 bytes in the last one."""
    path.mkdir()
    folder = os.open(path, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(name, dir_fd=folder)
        deeper = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.write(file, b"content")
    os.close(file)
    os.close(folder)


@pytest.mark.parametrize("name", ["d", "long" * 60], ids=["short", "long"])
def test_a_tree_deeper_than_a_path(tmp_path: Path, name: str) -> None:
    deep(tmp_path / "top", name)
    assert tree.size(tmp_path / "top") == 7
    tree.remove(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_a_wide_tree_with_links(tmp_path: Path) -> None:
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    for branch in range(20):
        (top / str(branch) / "same" / "same").mkdir(parents=True)
        (top / str(branch) / "file").write_text("12345")
        (top / str(branch) / "folder").symlink_to(outside)
        (top / str(branch) / "link").symlink_to(outside / "kept")
    os.mkfifo(top / "pipe")
    links = sum(path.lstat().st_size for path in top.rglob("*") if path.is_symlink())
    assert tree.size(top) == 20 * 5 + links
    tree.remove(top)
    assert not top.exists()
    assert (outside / "kept").read_text() == "kept"


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    tree.remove(tmp_path / "nothing")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(OSError, match="Not a directory"):
        tree.remove(tmp_path / "link")
    assert (tmp_path / "folder").is_dir()


def test_what_can_be_removed_is_removed_although_something_cannot(tmp_path: Path) -> None:
    """As a mount point cannot: that is told, and the rest is gone."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_text("x")
    (top / "c").mkdir()
    real = os.rmdir

    def failing(name: str, *, dir_fd: int | None = None) -> None:
        if name == "a":
            raise PermissionError(1, "Operation not permitted", name)
        real(name, dir_fd=dir_fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rmdir", failing)
        with pytest.raises(PermissionError):
            tree.remove(top)
    assert [str(path.relative_to(top)) for path in top.rglob("*")] == ["a"]
    tree.remove(top)
