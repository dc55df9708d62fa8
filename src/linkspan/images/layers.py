"""Layers: tar archives, plain or gzip, as they arrived."""

import bz2
import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from linkspan.errors import InvalidInput, Unsupported

CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

_OPENERS = {GZIP_MAGIC: gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBlob:
    """A layer as it is stored, and what reading it once has told."""

    digest: str
    """Of the stored file."""
    size: int
    """Bytes of the stored file."""
    compressed: bool
    diff_id: str
    """Digest of the tar archive itself."""
    tar_size: int
    """Bytes of the tar archive itself."""
    content_size: int
    """Bytes of the files in it: what Docker calls the layer's size."""


def examine(path: Path, digest: str = "") -> LayerBlob:
    """Read a layer from end to end; `digest` is that of the file, if it is known (a plain tar's is its DiffID).

    Raises InvalidInput if it is no whole tar archive.
    """
    with damage_refused(f"layer {digest or path.name}"), open_tar(path) as stream:
        reader = _Measured(stream)
        with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r|") as archive:
            content_size = sum(member.size for member in archive if member.isreg())
        while reader.read(CHUNK):
            pass
    compressed = _magic(path).startswith(GZIP_MAGIC)
    diff_id = f"sha256:{reader.hash.hexdigest()}"
    return LayerBlob(
        digest=digest or diff_id,
        size=path.stat().st_size,
        compressed=compressed,
        diff_id=diff_id,
        tar_size=reader.count,
        content_size=content_size,
    )


def open_tar(path: Path) -> IO[bytes]:
    """Open a tar archive that may be compressed; what is read is plain. Raises Unsupported for zstd, which Python 3.11 lacks."""
    magic = _magic(path)
    if magic.startswith(_ZSTD_MAGIC):
        raise Unsupported("archives and layers compressed with zstd are not supported: use gzip")
    opener = next((opener for prefix, opener in _OPENERS.items() if magic.startswith(prefix)), None)
    return cast(IO[bytes], opener(path)) if opener else path.open("rb")


def chunks(path: Path) -> Iterator[bytes]:
    """The plain bytes of a layer, piece by piece."""
    with damage_refused(f"layer {path.name}"), open_tar(path) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def plain(path: Path, folder: Path) -> Path:
    """Return the archive without compression: itself, or a new file in `folder`. Raises InvalidInput if its compression is damaged."""
    if not _magic(path).startswith((*_OPENERS, _ZSTD_MAGIC)):
        return path
    target = folder / f"{path.name}.tar"
    with target.open("wb") as copy:
        for piece in chunks(path):
            copy.write(piece)
    return target


@contextmanager
def damage_refused(what: str) -> Iterator[None]:
    """Raise InvalidInput for what the readers of archives raise."""
    try:
        yield
    except _DAMAGE as error:
        raise InvalidInput(f"{what} is damaged: {error}") from error
    except OSError as error:
        if error.errno is None:  # bz2 says "Invalid data stream" so
            raise InvalidInput(f"{what} is damaged: {error}") from error
        raise


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


class _Measured:
    """A file whose reading is counted and hashed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0
        self.hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        self.hash.update(piece)
        return piece
