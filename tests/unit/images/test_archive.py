"""Archives: what is in them, and what we write."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from linkspan.errors import InvalidInput
from linkspan.images import archive
from linkspan.images.archive import ArchivedImage, SavedImage
from linkspan.images.layers import examine
from tests.unit.images.samples import DIGEST, tar_of


def written(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "archive.tar"
    path.write_bytes(tar_of(files))
    return path


def test_the_images_of_a_docker_archive(tmp_path: Path) -> None:
    listing = [
        {"Config": "c", "RepoTags": ["docker.io/library/a:1", "b", f"c@{DIGEST}"], "Layers": []},
        {"Config": "d", "RepoTags": None, "Layers": []},
    ]
    path = written(tmp_path, {"c": b"{}", "manifest.json": json.dumps(listing).encode()})

    assert archive.images_in(path) == [
        ArchivedImage(source=f"docker-archive:{path}:@0", tags=("a:1", "b:latest")),
        ArchivedImage(source=f"docker-archive:{path}:@1", tags=()),
    ]


@pytest.mark.parametrize(
    ("annotations", "suffix", "tags"),
    [
        ({}, "", ()),
        ({"org.opencontainers.image.ref.name": "docker.io/library/a:1"}, ":docker.io/library/a:1", ("a:1",)),
        ({"org.opencontainers.image.ref.name": "latest"}, ":latest", ()),
        (
            {"org.opencontainers.image.ref.name": "latest", "io.containerd.image.name": "docker.io/library/a:latest"},
            ":latest",
            ("a:latest",),
        ),
    ],
)
def test_the_image_of_an_oci_archive(tmp_path: Path, annotations: dict[str, str], suffix: str, tags: tuple[str, ...]) -> None:
    index = {"manifests": [{"annotations": annotations}]}
    path = written(tmp_path, {"index.json": json.dumps(index).encode()})

    assert archive.images_in(path) == [ArchivedImage(source=f"oci-archive:{path}{suffix}", tags=tags)]


@pytest.mark.parametrize(
    "files",
    [
        {"etc/passwd": b""},
        {"manifest.json": b""},
        {"manifest.json": b"{}"},
        {"manifest.json": b"[1]"},
        {"manifest.json": b'[{"RepoTags": ["UPPER"]}]'},
        {"manifest.json": b'[{"RepoTags": "a:1"}]'},
        {"manifest.json": b" " * 5_000_000},
        {"index.json": b'{"manifests": 1}'},
        {"index.json": b'{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": 1}}]}'},
    ],
)
def test_what_is_no_archive_of_images_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput):
        archive.images_in(written(tmp_path, files))


def test_a_listing_that_is_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.type = tarfile.DIRTYPE
        tar.addfile(member)

    with pytest.raises(InvalidInput):
        archive.images_in(path)


@pytest.mark.parametrize("data", [b"", b"text" * 1000], ids=["empty", "text"])
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(data)

    with pytest.raises(InvalidInput, match="the archive is damaged"):
        archive.images_in(path)


def test_an_archive_is_a_whole_tar_with_plain_layers_each_once(tmp_path: Path) -> None:
    tar = tar_of({"x": b"1" * 700})
    layer_path = tmp_path / "layer"
    layer_path.write_bytes(gzip.compress(tar))
    layer = examine(layer_path, "sha256:compressed")
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("{}")
    second.write_bytes(b"{" + b" " * 511)
    images = [
        SavedImage(configuration=first, layers=[(layer_path, layer)], tags=["a:1", "a:2"]),
        SavedImage(configuration=second, layers=[(layer_path, layer)], tags=[]),
    ]

    with tarfile.open(fileobj=io.BytesIO(b"".join(archive.docker_archive(images)))) as saved:
        names = saved.getnames()
        listing = json.load(saved.extractfile("manifest.json") or io.BytesIO())
        stored = (saved.extractfile(listing[1]["Layers"][0]) or io.BytesIO()).read()

    name = f"blobs/sha256/{hashlib.sha256(tar).hexdigest()}"
    assert names == ["blobs/sha256/first", name, "blobs/sha256/second", "manifest.json"]
    assert stored == tar
    assert listing == [
        {"Config": "blobs/sha256/first", "RepoTags": ["a:1", "a:2"], "Layers": [name]},
        {"Config": "blobs/sha256/second", "RepoTags": None, "Layers": [name]},
    ]
