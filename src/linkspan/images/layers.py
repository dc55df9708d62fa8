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
from linkspan.images import room

CHUNK = 1 << 20
_CHECKED = 1000
"""After so many files of a layer, and after each large one, the disk is asked whether they fit."""
_CHECKED_BYTES = 64 << 20
_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LARGEST_EXTENSION = 1 << 20
"""Bytes; what Go's reader takes, and so Docker's."""
GZIP_MAGIC = b"\x1f\x8b"

_OPENERS = {GZIP_MAGIC: gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_WRONG_WHITEOUTS = (".wh.", ".wh..", ".wh...")
"""Whiteouts of nothing, of a folder by itself and of the folder above."""
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError, IndexError, OverflowError)
"""ValueError and what follows it: tarfile lets them pass where an extended header lies about sparse files."""


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

    Raises InvalidInput if it is no whole tar archive or would touch what is not its own, OSError if its files cannot fit on the disk.
    """
    with damage_refused(f"layer {digest or path.name}"), open_tar(path) as stream:
        reader = _Measured(stream, path.parent)
        with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r|", tarinfo=Member) as archive:
            content_size = _content_size(archive, path.parent)
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


def _content_size(archive: tarfile.TarFile, disk: Path) -> int:
    """Read the headers. What they announce need not have been read to be refused: a few kilobytes can announce terabytes."""
    size = count = 0
    for member in archive:
        forget(archive)
        _check(member)
        count += 1
        size += member.size if member.isreg() else 0
        if count % _CHECKED == 0 or member.size > CHUNK:
            room.require(disk, size, count)
    room.require(disk, size, count)
    return size


def _check(member: tarfile.TarInfo) -> None:
    name = member.name.rpartition("/")[2]
    if name in _WRONG_WHITEOUTS:  # umoci would delete the folder that the image is being unpacked in
        raise InvalidInput(f"the layer is malicious: {member.name!r} deletes what is not its own")


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
    """Return the archive without compression: itself, or a new file in `folder`.

    Raises InvalidInput if its compression is damaged, OSError if the disk is full.
    """
    if not _magic(path).startswith((*_OPENERS, _ZSTD_MAGIC)):
        return path
    target = folder / f"{path.name}.tar"
    with target.open("wb") as copy:
        for piece in chunks(path):
            room.require(folder, len(piece))
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


class Member(tarfile.TarInfo):
    """A header that is refused if it would fill the memory: long names and extended headers are read whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENSIONS and self.size > _LARGEST_EXTENSION:
            raise tarfile.ReadError(f"an extended header of {self.size} bytes")
        made: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return made


def forget(archive: tarfile.TarFile) -> None:
    """Let go of the headers read so far, which tarfile keeps: millions fit in a small file."""
    archive.members = []  # type: ignore[attr-defined]


class _Measured:
    """A file whose reading is counted and hashed. Raises OSError when more has come out of it than fits on the disk it is on."""

    def __init__(self, stream: IO[bytes], disk: Path) -> None:
        self._stream = stream
        self._disk = disk
        self._checked = 0
        self.count = 0
        self.hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        self.hash.update(piece)
        if self.count - self._checked > _CHECKED_BYTES:
            room.require(self._disk, self.count)
            self._checked = self.count
        return piece
