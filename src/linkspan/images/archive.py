"""Archives of images: Docker's (`docker save`) and OCI's, read by skopeo; Docker's is written here, for several images at once."""

import json
import tarfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from linkspan.errors import InvalidInput
from linkspan.images import layers
from linkspan.images.document import Document
from linkspan.images.layers import LayerBlob
from linkspan.images.manifest import MANIFEST_LIMIT
from linkspan.model.reference import Reference

_DOCKER = "manifest.json"
_OCI = "index.json"
_BLOBS = "blobs/sha256"
"""Where Docker puts files in an archive since version 25; every version finds them there by manifest.json."""
_REFERENCE = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """An image in an archive: what skopeo calls it, and its names, normalised."""

    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedImage:
    """An image to put into an archive."""

    configuration: Path
    layers: Sequence[tuple[Path, LayerBlob]]
    tags: Sequence[str]


def images_in(path: Path) -> list[ArchivedImage]:
    """List the images of a plain tar archive; raises InvalidInput if it is none or holds no images."""
    with layers.damage_refused("the archive"), tarfile.open(path, "r:", tarinfo=layers.Member) as archive:
        listings = _listings(archive)
    if _DOCKER in listings:
        return [
            ArchivedImage(source=f"docker-archive:{path}:@{index}", tags=_names(entry.texts("RepoTags")))
            for index, entry in enumerate(Document.parse_all(listings[_DOCKER], f"the archive's {_DOCKER}"))
        ]
    if _OCI in listings:
        entries = Document.parse(listings[_OCI], f"the archive's {_OCI}").children("manifests")
        return [_oci_image(path, entry.child("annotations")) for entry in entries]
    raise InvalidInput("this is no archive of images: it has neither manifest.json nor index.json (for a file system, use import)")


def docker_archive(images: Sequence[SavedImage]) -> Generator[bytes, None, None]:
    """Write the images as `docker save` does; a file that several share is in it once. Raises InvalidInput if a layer is damaged."""
    listing = [
        {
            "Config": f"{_BLOBS}/{image.configuration.name}",
            "RepoTags": list(image.tags) or None,
            "Layers": [f"{_BLOBS}/{_hex(layer)}" for _, layer in image.layers],
        }
        for image in images
    ]
    written: set[str] = set()
    for image in images:
        if image.configuration.name not in written:
            written.add(image.configuration.name)
            yield from _packed(image.configuration.name, image.configuration.read_bytes())
        for path, layer in image.layers:
            if _hex(layer) not in written:
                written.add(_hex(layer))
                yield _header(f"{_BLOBS}/{_hex(layer)}", layer.tar_size)
                yield from layers.chunks(path)
                yield _padding(layer.tar_size)
    yield from _packed("manifest.json", json.dumps(listing).encode(), folder="")
    yield bytes(2 * tarfile.BLOCKSIZE)


def _listings(archive: tarfile.TarFile) -> dict[str, bytes]:
    """The files that say what is in the archive, by name; of a name that occurs twice, the last, as tar(1) would leave it."""
    found: dict[str, bytes] = {}
    for member in archive:
        if member.name in (_DOCKER, _OCI):
            file = archive.extractfile(member)
            found[member.name] = _limited(file) if file is not None else b""
        layers.forget(archive)
    for name, data in found.items():
        if not data:
            raise InvalidInput(f"the archive's {name} is no file of a sensible size")
    return found


def _limited(file: IO[bytes]) -> bytes:
    data = file.read(MANIFEST_LIMIT + 1)
    return data if len(data) <= MANIFEST_LIMIT else b""


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    references = (Reference.parse(text).or_latest() for text in texts)
    return tuple(str(reference) for reference in references if not reference.digest)


def _oci_image(path: Path, annotations: Document) -> ArchivedImage:
    """One entry of an OCI index. Its reference may be a whole name, or a tag alone: then the name is only in containerd's annotation."""
    reference = annotations.text(_REFERENCE)
    name = annotations.text(_CONTAINERD_NAME) or (reference if ":" in reference or "/" in reference else "")
    source = f"oci-archive:{path}:{reference}" if reference else f"oci-archive:{path}"
    return ArchivedImage(source=source, tags=_names([name] if name else []))


def _packed(name: str, data: bytes, folder: str = f"{_BLOBS}/") -> Iterator[bytes]:
    yield _header(folder + name, len(data))
    yield data
    yield _padding(len(data))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _hex(layer: LayerBlob) -> str:
    return layer.diff_id.removeprefix("sha256:")
