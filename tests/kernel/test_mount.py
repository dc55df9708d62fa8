"""Mounts."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linkspan.errors import KernelError
from linkspan.kernel import mount

pytestmark = pytest.mark.kernel


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose mounts go with the test."""
    yield tmp_path
    for path in mount.mounts_under(tmp_path):
        mount.unmount(path)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def made(*paths: Path) -> None:
    for path in paths:
        path.mkdir()


def mount_memory(target: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "memory", str(target)], check=True)


class TestBind:
    def test_a_folder_shows_in_two_places(self, folder: Path) -> None:
        made(source := folder / "source", target := folder / "target")
        mount.bind(source, target)

        (target / "file").write_text("text")
        assert (source / "file").read_text() == "text"

    def test_a_read_only_one_cannot_be_written_to(self, folder: Path) -> None:
        made(source := folder / "source", target := folder / "target")
        mount.bind(source, target, read_only=True)

        with pytest.raises(OSError, match="Read-only file system"):
            (target / "file").touch()
        (source / "file").touch()

    def test_a_missing_source_or_target_is_refused(self, folder: Path) -> None:
        made(there := folder / "there")
        for source, target in ((folder / "gone", there), (there, folder / "gone")):
            with pytest.raises(KernelError, match="No such file or directory"):
                mount.bind(source, target)
        assert mount.mounts_under(folder) == []


class TestOverlay:
    @pytest.mark.parametrize("name", ["plain", "a:b", "a,b", r"a\b", r"\:,\\", "name with spaces", "ünïcode"])
    def test_what_is_written_goes_to_the_upper_folder(self, folder: Path, name: str) -> None:
        base = folder / name
        made(base, top := base / "top", bottom := base / "bottom", upper := base / "upper", work := base / "work", target := base / "root")
        (bottom / "kept").write_text("bottom")
        (bottom / "hidden").write_text("bottom")
        (top / "hidden").write_text("top")
        mount.overlay([top, bottom], upper, work, target)

        (target / "kept").write_text("changed")
        assert (target / "hidden").read_text() == "top"
        assert ((upper / "kept").read_text(), (bottom / "kept").read_text()) == ("changed", "bottom")

    def test_options_longer_than_a_page_are_refused_and_not_cut(self, folder: Path) -> None:
        made(target := folder / "root")
        layers = [folder / f"{'x' * 200}{number}" for number in range(20)]
        with pytest.raises(KernelError, match="the paths of its layers are too long") as refusal:
            mount.overlay(layers, folder, folder, target)
        assert refusal.value.errno == errno.E2BIG

    def test_a_missing_layer_is_refused(self, folder: Path) -> None:
        made(upper := folder / "upper", work := folder / "work", target := folder / "root")
        with pytest.raises(KernelError, match=f"^mount overlay on {target}: No such file or directory: there is no {folder / 'gone'}$"):
            mount.overlay([folder / "gone"], upper, work, target)


class TestUnmount:
    def test_all_that_is_stacked_goes_and_nothing_left_is_fine(self, folder: Path) -> None:
        made(target := folder / "memory")
        for _ in range(3):
            mount_memory(target)

        mount.unmount(target)
        mount.unmount(target)
        mount.unmount(folder / "gone")
        assert mount.mounts_under(folder) == []

    def test_a_mount_in_use_goes_too(self, folder: Path) -> None:
        made(target := folder / "memory")
        mount_memory(target)
        with (target / "file").open("w") as used:
            mount.unmount(target)
            used.write("still there for those who have it open")
        assert list(target.iterdir()) == []

    def test_a_link_is_not_followed(self, folder: Path) -> None:
        made(target := folder / "memory")
        mount_memory(target)
        (folder / "link").symlink_to(target)

        mount.unmount(folder / "link")
        assert mount.mounts_under(folder) == [target]


class TestMountsUnder:
    def test_inner_ones_come_first_and_others_not_at_all(self, folder: Path) -> None:
        made(outer := folder / "with space", folder / "with")
        mount_memory(folder / "with")
        mount_memory(outer)
        made(inner := outer / "inner")
        mount_memory(inner)

        assert mount.mounts_under(folder) == [inner, outer, folder / "with"]
        assert mount.mounts_under(outer) == [inner]

    def test_paths_are_told_as_the_caller_wrote_them(self, folder: Path) -> None:
        made(real := folder / "real")
        made(target := real / "memory")
        mount_memory(target)
        (folder / "link").symlink_to(real)

        assert mount.mounts_under(folder / "link") == [folder / "link/memory"]
