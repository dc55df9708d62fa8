"""The image store with the real skopeo and umoci."""

import asyncio
import contextlib
import gzip
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from linkspan.errors import Conflict, EngineError, InvalidInput, NotFound
from linkspan.images.removal import ImageUser
from linkspan.images.store import ImageStore
from tests.kernel.imagestores import LAYER, Store, answered, collected, docker_archive, member, tar_of, tar_of_files

pytestmark = pytest.mark.kernel

STOPPED = ImageUser(id="c0ffee" * 10, running=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


# The built-in image


def test_the_first_start_makes_a_busybox_that_runs(store: Store) -> None:
    root = store.rootfs("busybox")

    said = subprocess.run(
        ["chroot", root, "/usr/bin/env", "sh", "-c", "id -un; cat /etc/group | wc -l; [ -w /tmp ]"], capture_output=True, check=True
    )

    assert said.stdout.split() == [b"root", b"11"]
    assert store.tags() == ["busybox:latest"]


def test_the_same_busybox_has_the_same_id_everywhere(store: Store, tmp_path: Path) -> None:
    assert store.id("busybox") == Store(tmp_path / "other").id("busybox")


def test_a_busybox_that_was_removed_stays_removed(store: Store) -> None:
    image_id = store.id("busybox")

    lines = store.remove("busybox")

    assert lines[:2] == [("Untagged", "busybox:latest"), ("Deleted", image_id)]
    assert store.tags() == []
    assert store.files() == set()
    assert store.events == [("untag", "busybox:latest"), ("delete", image_id)]


# Archives


def test_a_saved_image_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    store.tag("busybox", "team/tool:1")
    other.remove("busybox")

    assert other.load(store.save("busybox", "team/tool")) == ["Loaded image: busybox:latest", "Loaded image: team/tool:1"]

    assert other.id("team/tool:1") == store.id("busybox")
    assert other.files() == store.files()
    assert (other.rootfs("busybox") / "bin" / "sh").is_symlink()


def test_an_image_saved_by_its_id_has_no_name(store: Store) -> None:
    image_id = store.id("busybox")
    saved = store.save(image_id)
    store.remove("busybox")

    assert store.load(gzip.compress(saved)) == [f"Loaded image ID: {image_id}"]
    assert store.tags() == []


def test_an_archive_of_several_images_brings_them_all(store: Store, tmp_path: Path) -> None:
    store.import_root(tar_of_files({"one": b"1"}), "one")
    saved = store.save("one", "busybox")
    other = Store(tmp_path / "other")

    other.load(saved)

    assert other.tags() == ["busybox:latest", "one:latest"]
    assert other.save("one", "busybox") == saved


def test_other_tools_read_what_is_saved(store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(store.save("busybox"))

    inspected = subprocess.run(["skopeo", "inspect", "--raw", f"docker-archive:{archive}"], capture_output=True, check=True)

    assert json.loads(inspected.stdout)["config"]["digest"] == store.id("busybox")


def test_an_oci_archive_is_loaded(store: Store, tmp_path: Path) -> None:
    docker, oci = tmp_path / "docker.tar", tmp_path / "oci.tar"
    docker.write_bytes(store.save("busybox"))
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{docker}", f"oci-archive:{oci}:localhost/b:2"], check=True
    )

    assert store.load(oci.read_bytes()) == ["Loaded image: localhost/b:2"]
    assert (store.rootfs("localhost/b:2") / "bin" / "sh").is_symlink()


def test_a_name_that_moves_is_told(store: Store) -> None:
    old = store.id("busybox")

    lines = store.load(docker_archive(["busybox:latest"], tar_of_files({"x": b""})))

    assert lines == [
        f"The image busybox:latest already exists, renaming the old one with ID {old} to empty string",
        "Loaded image: busybox:latest",
    ]
    assert store.id(old) == old


def test_upper_layers_delete_and_replace(store: Store) -> None:
    base = tar_of_files({"dir/gone": b"1", "dir/kept": b"2", "opaque/below": b"3", "replaced": b"4"})
    top = tar_of_files({"dir/.wh.gone": b"", "opaque/.wh..wh..opq": b"", "opaque/above": b"5", "replaced": b"6"})

    store.load(docker_archive(["two:1"], base, top, history=[{"created_by": "base"}, {"created_by": "top", "comment": "c"}]))
    root = store.rootfs("two:1")

    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["dir", "dir/kept", "opaque", "opaque/above", "replaced"]
    assert (root / "replaced").read_bytes() == b"6"
    steps = store.do(lambda opened: answered(opened.history("two:1")))
    assert [(step.created_by, step.size, step.comment) for step in steps] == [("top", 2, "c"), ("base", 4, "")]


GOOD = docker_archive(["good:1"], LAYER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive" * 1000,
        GOOD[: len(GOOD) // 2],
        GOOD.replace(b"data" * 10, b"DATA" * 10),
        gzip.compress(GOOD)[:200],
        gzip.compress(GOOD)[:-1],
        tar_of_files({"manifest.json": b'[{"Config": "missing.json", "RepoTags": ["a:1"], "Layers": ["missing"]}]'}),
        tar_of_files({"manifest.json": b'[{"Config": "../../etc/passwd", "RepoTags": ["a:1"], "Layers": []}]'}),
        docker_archive(["a:1"], b"this layer is no tar" * 100),
        docker_archive(["NOT A NAME"], LAYER),
        LAYER,
    ],
    ids=["empty", "text", "truncated", "changed", "gzip-cut", "gzip-unfinished", "no-files", "outside", "no-layer", "bad-name", "root"],
)
def test_a_damaged_archive_is_refused_and_leaves_nothing(store: Store, data: bytes) -> None:
    before = store.state()

    with pytest.raises(InvalidInput) as refused:
        store.load(data)

    assert store.state() == before
    assert str(store.root) not in str(refused.value), "where the store works is not the user's business"


def test_an_upload_that_breaks_off_leaves_nothing(store: Store) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield GOOD[:1000]
        raise ConnectionResetError

    before = store.state()

    with pytest.raises(ConnectionResetError):
        store.do(lambda opened: collected(opened.load(broken())))

    assert store.state() == before


# Imports


def test_an_imported_root_is_an_image(store: Store) -> None:
    image_id = store.import_root(gzip.compress(tar_of_files({"etc/motd": b"hello"})), "my/root", ['CMD ["sh"]', "ENV A=1", "EXPOSE 80"])

    image = store.do(lambda opened: answered(opened.find("my/root")))

    assert (image.id, image.tags, image.size) == (image_id, ("my/root:latest",), 5)
    assert (image.config.cmd, image.config.env, [str(port) for port in image.config.exposed]) == (("sh",), ("A=1",), ["80/tcp"])
    assert (store.rootfs("my/root") / "etc" / "motd").read_text() == "hello"
    assert store.events == [("import", "my/root:latest")]


@pytest.mark.parametrize("data", [b"", b"no tar" * 1000, tar_of_files({"x": b"y" * 2000})[:1800]], ids=["empty", "text", "truncated"])
def test_a_damaged_root_is_refused_and_leaves_nothing(store: Store, data: bytes) -> None:
    before = store.state()

    with pytest.raises(InvalidInput, match="is damaged"):
        store.import_root(data, "a")

    assert store.state() == before


@pytest.mark.parametrize(("ref", "change"), [("UPPER", ""), ("a@sha256:" + "0" * 64, ""), ("a", "RUN ls")])
def test_a_wrong_name_or_change_is_refused_before_anything_is_done(store: Store, ref: str, change: str) -> None:
    with pytest.raises(InvalidInput):
        store.import_root(tar_of_files({"x": b""}), ref, [change] if change else [])

    assert store.tags() == ["busybox:latest"]


def test_an_archive_cannot_write_outside_its_root(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    evil = tar_of(
        [
            (member("../../../../../evil"), b"1"),
            (member(f"{outside}/absolute"), b"2"),
            (member("way-out", tarfile.SYMTYPE, str(outside)), b""),
            (member("way-out/through"), b"3"),
            (member("up", tarfile.SYMTYPE, "../../../../.."), b""),
            (member("up/evil"), b"4"),
            (member("hard", tarfile.LNKTYPE, "../../../../../../../../etc/passwd"), b""),
        ]
    )
    with contextlib.suppress(EngineError):  # refusing is as good as taming
        store.import_root(evil, "evil")

    assert list(outside.iterdir()) == []
    written = [path for path in tmp_path.rglob("evil") if store.root / "roots" not in path.parents]
    assert written == []
    assert not any(path.samefile("/etc/passwd") for path in store.root.rglob("hard"))


# Names and removal


def test_a_removed_image_leaves_nothing_but_what_others_share(store: Store) -> None:
    before = store.state()
    store.load(GOOD)
    store.tag("good:1", "again")

    assert store.remove("good:1") == [("Untagged", "good:1")]
    gone = store.id("again")
    assert [kind for kind, _ in store.remove("again")] == ["Untagged", "Deleted", "Deleted"]

    assert store.state() == before
    with pytest.raises(NotFound, match=f"^No such image: {gone}$"):
        store.id(gone)


def test_a_refused_removal_changes_nothing(store: Store) -> None:
    before = store.state()

    with pytest.raises(Conflict, match="must force"):
        store.remove("busybox", users=[STOPPED])

    assert store.state() == before


def test_a_container_keeps_the_root_of_its_image(store: Store) -> None:
    image_id = store.id("busybox")
    root = store.rootfs("busybox")

    store.remove("busybox", force=True, users=[STOPPED])
    store.do(lambda opened: opened.discard_unused_roots(lambda _: [STOPPED]))
    assert store.do(lambda opened: opened.rootfs(image_id)) == root
    assert (root / "bin" / "busybox").exists()

    store.do(lambda opened: opened.discard_unused_roots(lambda _: []))
    assert store.files() == set()
    with pytest.raises(NotFound):
        store.do(lambda opened: opened.rootfs(image_id))


def test_prune_removes_what_nobody_uses(store: Store) -> None:
    unnamed = store.import_root(tar_of_files({"x": b"12345"}))
    store.load(GOOD)

    lines, space = store.do(lambda opened: opened.prune(doomed=lambda image: not image.tags, in_use=lambda _: []))
    assert lines[0] == ("Deleted", unnamed)
    assert space == 5
    assert store.tags() == ["busybox:latest", "good:1"]

    used = store.id("busybox")
    store.do(lambda opened: opened.prune(doomed=lambda _: True, in_use=lambda image_id: [STOPPED] if image_id == used else []))
    assert store.tags() == ["busybox:latest"]


def test_a_root_that_was_lost_is_unpacked_again_once_for_all_who_ask(store: Store) -> None:
    root = store.rootfs("busybox")
    subprocess.run(["rm", "-r", root.parent], check=True)

    async def many(opened: ImageStore) -> set[Path]:
        image_id = opened.find("busybox").id
        return set(await asyncio.gather(*(opened.rootfs(image_id) for _ in range(5))))

    assert store.do(many) == {root}
    assert (root / "bin" / "busybox").exists()


# Trouble


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", small], check=True)
    try:
        store = Store(small / "images")
        before = store.state()
        for size in (3, 20):  # too large to unpack, too large to receive
            with pytest.raises(EngineError, match=r"(?i)no space left on device"):
                store.import_root(tar_of_files({"big": bytes(size << 20)}), "big")
            assert store.state() == before
        store.import_root(tar_of_files({"small": b""}), "fits")
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_disk_too_small_for_the_built_in_image_still_has_a_store(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        store = Store(small / "images")
        assert store.state() == ([], set())
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        assert store.tags() == ["busybox:latest"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_store_whose_path_has_a_colon_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="colon"):
        Store(tmp_path / "a:b").tags()
