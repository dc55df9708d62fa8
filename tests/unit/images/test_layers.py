"""Reading layers: sizes, digests, damage."""

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from linkspan.errors import InvalidInput, Unsupported
from linkspan.images import layers
from tests.unit.images.samples import tar_of

TAR = tar_of({"a": b"x" * 1000, "b": b"y" * 23})
DIFF_ID = f"sha256:{hashlib.sha256(TAR).hexdigest()}"


def test_a_plain_layer(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(TAR)

    layer = layers.examine(path)

    assert (layer.digest, layer.diff_id, layer.compressed) == (DIFF_ID, DIFF_ID, False)
    assert (layer.size, layer.tar_size, layer.content_size) == (len(TAR), len(TAR), 1023)


def test_a_compressed_layer_keeps_both_digests(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(TAR))

    layer = layers.examine(path, "sha256:given")

    assert (layer.digest, layer.diff_id, layer.compressed) == ("sha256:given", DIFF_ID, True)
    assert (layer.size, layer.tar_size) == (path.stat().st_size, len(TAR))
    assert b"".join(layers.chunks(path)) == TAR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar at all" * 100,
        TAR[:700],
        gzip.compress(TAR)[:-20],
        gzip.compress(TAR)[:20] + b"garbage" + gzip.compress(TAR)[20:],
        gzip.compress(b"no tar"),
        b"BZh no",
    ],
    ids=["empty", "text", "truncated", "truncated gzip", "damaged gzip", "gzip of text", "damaged bzip2"],
)
def test_a_damaged_layer_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "layer"
    path.write_bytes(data)

    with pytest.raises(InvalidInput, match="is damaged"):
        layers.examine(path)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_archives_may_be_compressed_in_several_ways(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    source = tmp_path / "source"
    source.write_bytes(compress(TAR))

    assert layers.plain(source, tmp_path).read_bytes() == TAR


def test_an_archive_that_is_plain_is_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(TAR)

    assert layers.plain(source, tmp_path) == source


def test_zstd_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(b"\x28\xb5\x2f\xfd rest")

    with pytest.raises(Unsupported, match="zstd"):
        layers.examine(path)
