"""The folder of images: all or nothing, whatever happens in between."""

import itertools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from linkspan.errors import EngineError, InvalidInput, NotFound
from linkspan.images.layout import Layout
from linkspan.model.image import Image
from tests.unit.images.samples import configuration, layer_file


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "images")
    layout.open()
    return layout


def reopened(layout: Layout) -> Layout:
    again = Layout(layout.path.parent)
    again.open()
    return again


def add(layout: Layout, name: str, files: dict[str, bytes], *more: dict[str, bytes]) -> Image:
    """Take an image in as a load does; its root is an empty folder."""
    with tempfile.TemporaryDirectory(dir=layout.temporary) as folder:
        work = Path(folder)
        layers = [layer_file(work, content) for content in (files, *more)]
        stored = layout.stage(configuration([layer for _, layer in layers], comment=name), layers, work)
        (work / "unpacked" / "rootfs").mkdir(parents=True)
        layout.take(stored, work, [name], [f"{name.partition(':')[0]}@{stored.image.id}"])
    return layout.index.images[stored.image.id].image


def blobs(layout: Layout) -> set[str]:
    return {path.name for path in (layout.path / "blobs" / "sha256").iterdir()}


def test_an_image_survives_a_restart(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"}, {"y": b"22"})

    again = reopened(layout)

    assert again.index == layout.index
    assert again.index.find("a:1").image == image
    assert image.size == 3


def test_the_same_image_twice_is_one(layout: Layout) -> None:
    first = add(layout, "a:1", {"x": b"1"})
    before = blobs(layout)

    assert add(layout, "a:1", {"x": b"1"}) == first
    assert blobs(layout) == before


def test_a_layer_that_occurs_twice_is_stored_once(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"}, {"x": b"1"})

    assert len(image.layers) == 2
    assert len(blobs(layout)) == 3


def test_removing_an_image_keeps_what_another_shares(layout: Layout) -> None:
    keep = add(layout, "keep:1", {"x": b"1"})
    before = blobs(layout)
    gone = add(layout, "gone:1", {"x": b"1"}, {"y": b"2"})

    layout.change(lambda index: index.without(gone.id))

    assert blobs(layout) == before
    assert reopened(layout).index.find("keep:1").image == keep


def test_what_a_crash_left_is_swept(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"})
    before = blobs(layout)
    (layout.path / "blobs" / "sha256" / "orphan").write_text("of a pull that died before its index was written")
    (layout.temporary / "half").mkdir()
    (layout.temporary / "half" / "download").write_text("…")

    again = reopened(layout)

    assert blobs(again) == before
    assert list(again.temporary.iterdir()) == []
    assert again.index.find("a:1").image == image


def test_a_damaged_index_is_named_and_left_alone(layout: Layout) -> None:
    index = layout.path / "index.json"
    index.write_text('{"manifests": [')
    kept = blobs(layout)

    with pytest.raises(EngineError, match=r"the image store is damaged: .*index\.json"):
        reopened(layout)

    assert index.read_text() == '{"manifests": ['
    assert blobs(layout) == kept


@pytest.mark.parametrize("what", ["manifest", "configuration", "layer"])
def test_a_damaged_image_is_dropped_and_the_others_stay(layout: Layout, what: str) -> None:
    good = add(layout, "good:1", {"x": b"1"})
    bad = add(layout, "bad:1", {"y": b"2"})
    stored = layout.index.images[bad.id]
    digest = {"manifest": stored.manifest, "configuration": bad.id, "layer": stored.layers[0].digest}[what]
    if what == "layer":
        layout.blob(digest).unlink()
    else:
        layout.blob(digest).write_text("{}")

    assert [stored.image for stored in reopened(layout).index.images.values()] == [good]


def test_layers_of_another_image_are_refused_and_leave_nothing(layout: Layout) -> None:
    _, other = layer_file(layout.temporary, {"other": b""})
    before = blobs(layout)

    with pytest.raises(InvalidInput, match="its layers are not those"):
        layout.stage(configuration([other]), [layer_file(layout.temporary, {"x": b"1"})], layout.temporary)

    assert blobs(layout) == before


def test_a_write_that_fails_anywhere_changes_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    image = add(layout, "a:1", {"x": b"1"})
    before = layout.index, blobs(layout), layout.unpacked()
    really_flush = os.fsync
    step = 0

    def full_at(failing: int) -> Callable[[int], None]:
        count = itertools.count()

        def flush(handle: int) -> None:
            if next(count) == failing:
                raise OSError(28, "No space left on device")
            really_flush(handle)

        return flush

    while True:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full_at(step))
            try:
                add(layout, "b:1", {"x": b"1"}, {"y": b"2"})
            except OSError:
                assert (layout.index, blobs(layout), layout.unpacked()) == before, f"step {step}"
                assert reopened(layout).index == before[0]
            else:
                break
        step += 1

    assert step > 5
    assert layout.index.find("a:1").image == image


def test_a_removal_that_cannot_be_written_changes_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    image = add(layout, "a:1", {"x": b"1"})
    before = layout.index, blobs(layout)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        layout.change(lambda index: index.without(image.id))

    assert (layout.index, blobs(layout)) == before


def test_the_index_is_what_other_tools_read(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"})

    [entry] = json.loads((layout.path / "index.json").read_bytes())["manifests"]

    assert entry["annotations"]["org.opencontainers.image.ref.name"] == image.id.removeprefix("sha256:")
    assert json.loads(layout.blob(entry["digest"]).read_bytes())["config"]["digest"] == image.id


def test_a_root_belongs_to_an_image(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"})

    layout.discard_root(image.id)
    assert layout.root(image.id).is_dir(), "the image is still there"

    layout.change(lambda index: index.without(image.id))
    assert layout.unpacked() == [image.id]
    layout.discard_root(image.id)
    layout.discard_root(image.id)
    assert layout.unpacked() == []

    (layout.temporary / "unpacked").mkdir()
    with pytest.raises(NotFound):
        layout.adopt_root(image.id, layout.temporary)


def test_files_to_read_stay_when_their_image_goes(layout: Layout) -> None:
    image = add(layout, "a:1", {"x": b"1"})
    folder = layout.temporary / "held"
    folder.mkdir()
    chosen = layout.index.meant(["a:1"])

    [held] = layout.hold(chosen, folder)
    layout.change(lambda index: index.without(image.id))

    assert held.configuration.exists()
    assert all(path.exists() for path, _ in held.layers)
    with pytest.raises(NotFound):
        layout.hold(chosen, folder)


def test_nobody_else_on_the_host_may_look_in(layout: Layout) -> None:
    assert layout.path.parent.stat().st_mode & 0o077 == 0
