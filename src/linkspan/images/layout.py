"""The images on disk: one OCI image layout (image-spec, image-layout.md), written so that a crash at any instant loses nothing.

    oci/index.json            every image, with its names: the truth; replaced as a whole, by rename
    oci/blobs/sha256/HEX      manifests, configurations, layers as they arrived, shared between images
    roots/HEX/rootfs          the unpacked image of that id
    tmp/                      work in progress, swept at start

A blob comes before the index names it and goes after the index has forgotten it: what a crash leaves is only waste, and `open` sweeps it.
Configurations are kept byte for byte, Docker's too, under an OCI manifest of ours: so an image has the id that it has in Docker.
The sizes that only reading a layer tells are annotations of the layers in that manifest.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from linkspan.errors import EngineError, InvalidInput, NotFound
from linkspan.images.archive import SavedImage
from linkspan.images.configuration import image_of
from linkspan.images.document import Document
from linkspan.images.index import Index, StoredImage
from linkspan.images.layers import LayerBlob
from linkspan.kernel import tree

logger = logging.getLogger(__name__)

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIGURATION_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP = "+gzip"

VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion": "1.0.0"}'
INDEX = "index.json"
STAGE = "stage"
UNPACKED = "unpacked"
"""Folders of a piece of work: an image on its own, as a layout, and the folder with its finished `rootfs`."""

_REFERENCE = "org.opencontainers.image.ref.name"
_TAGS = "linkspan.tags"
_DIGESTS = "linkspan.digests"
_BUILT_IN = "linkspan.built-in"
_DIFF_ID = "linkspan.diff-id"
_TAR_SIZE = "linkspan.tar-size"
_CONTENT_SIZE = "linkspan.content-size"
_SWEEPS = 20


class Layout:
    """The folder of all images. Methods block; they may be called from any thread, and each does all or nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "oci"
        self.temporary = root / "tmp"
        self.roots = root / "roots"
        self._lock = threading.Lock()
        self.index = Index()

    def open(self) -> None:
        """Make or read the folder and sweep what a crash left; raises EngineError if the index is damaged."""
        with self._lock:
            # 0700: images hold set-user-ID programs, which are not for the host's users.
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            for folder in (_blobs(self.path), self.roots, self.temporary):
                folder.mkdir(parents=True, exist_ok=True)
            if (self.path / INDEX).exists():
                self.index = self._read_index()
            else:
                _write(self.path / VERSION_FILE, VERSION)
                self._commit(self.index)
            self._collect_garbage()

    def blob(self, digest: str) -> Path:
        """Where the blob of this digest is, or would be."""
        return _blobs(self.path) / _hex(digest)

    def root(self, image_id: str) -> Path:
        """Where the unpacked image is, or would be."""
        return self.roots / _hex(image_id) / "rootfs"

    def stage(self, configuration: bytes, files: Sequence[tuple[Path, LayerBlob]], work: Path) -> StoredImage:
        """Lay an image out on its own in `work`/stage, where umoci can unpack it; the files of its layers are linked, not copied.

        Raises InvalidInput if the layers are not those of the configuration.
        """
        layers = tuple(layer for _, layer in files)
        image = image_of(configuration, layers)
        manifest = _manifest(configuration, layers)
        stored = StoredImage(image=image, manifest=_digest(manifest), manifest_size=len(manifest), layers=layers)
        blobs = _blobs(work / STAGE)
        blobs.mkdir(parents=True)
        for path, layer in files:
            if not (blobs / _hex(layer.digest)).exists():
                (blobs / _hex(layer.digest)).hardlink_to(path)
        _write(blobs / _hex(image.id), configuration)
        _write(blobs / _hex(stored.manifest), manifest)
        _write(work / STAGE / VERSION_FILE, VERSION)
        _write(work / STAGE / INDEX, _index_text(Index().with_image(stored)))
        return stored

    def take(self, stored: StoredImage, work: Path, tags: Collection[str] = (), digests: Collection[str] = ()) -> None:
        """Make the image staged in `work`, and unpacked in `work`/unpacked if it has no root yet, one of ours with these names."""
        root = self.root(stored.image.id).parent
        with self._lock:
            fresh = not root.exists()  # a container may be using one whose image was removed
            try:
                for digest in stored.blobs:
                    self._link(_blobs(work / STAGE) / _hex(digest), digest)
                _flush(_blobs(self.path))
                if fresh:
                    (work / UNPACKED).rename(root)
                    _flush(self.roots)
                known = self.index if stored.image.id in self.index.images else self.index.with_image(stored)
                self._commit(known.named(stored.image.id, tags=tags, digests=digests))
            except BaseException:
                self._collect_garbage()
                if fresh and root.exists():
                    root.rename(work / UNPACKED)
                raise

    def link_known(self, digests: Iterable[str], folder: Path) -> None:
        """Make `folder`, with those of the blobs that are here: linked, so that they stay even if their images go."""
        folder.mkdir()
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                (folder / _hex(digest)).hardlink_to(self.blob(digest))

    def hold(self, images: Mapping[str, tuple[StoredImage, set[str]]], folder: Path) -> Sequence[SavedImage]:
        """Link the images' files into `folder`, to be read to the end whatever becomes of the images; with each, its tags to save.

        Raises NotFound if an image is gone.
        """
        saved = []
        with self._lock:
            for image_id, (stored, tags) in images.items():
                if image_id not in self.index.images:
                    raise NotFound(f"No such image: {image_id}")
                files = {digest: folder / _hex(digest) for digest in stored.blobs}
                for digest, path in files.items():
                    if not path.exists():
                        path.hardlink_to(self.blob(digest))
                layers = [(files[layer.digest], layer) for layer in stored.layers]
                saved.append(SavedImage(configuration=files[image_id], layers=layers, tags=sorted(tags)))
        return saved

    def change(self, edit: Callable[[Index], Index]) -> None:
        """Replace the index by what `edit` makes of it, and delete the blobs that no image needs any more."""
        with self._lock:
            before = self.index
            self._commit(edit(before))
            if len(self.index.images) < len(before.images):
                try:
                    self._collect_garbage()
                except OSError as error:  # the images are gone all the same; the next removal or start deletes what is left
                    logger.warning("cannot delete the files of removed images: %s", error)

    def adopt_root(self, image_id: str, work: Path) -> None:
        """Make `work`/unpacked the image's root. Raises NotFound if the image went in the meantime."""
        with self._lock:
            if image_id not in self.index.images:
                raise NotFound(f"No such image: {image_id}")
            (work / UNPACKED).rename(self.root(image_id).parent)
            _flush(self.roots)

    def discard_root(self, image_id: str) -> None:
        """Delete the unpacked root of an image that is gone, if there is one; it vanishes at once, by rename."""
        grave = Path(tempfile.mkdtemp(dir=self.temporary))
        with contextlib.suppress(FileNotFoundError), self._lock:
            if image_id not in self.index.images:
                self.root(image_id).parent.rename(grave / "root")
        tree.remove(grave)

    def unpacked(self) -> list[str]:
        """Ids of the images that have an unpacked root."""
        return [f"sha256:{folder.name}" for folder in self.roots.iterdir()]

    def _sweep(self) -> None:
        """Empty the folder for work in progress. A skopeo that outlived a killed engine may still write there: it soon fails."""
        for _ in range(_SWEEPS):
            with contextlib.suppress(OSError):
                tree.remove(self.temporary)
            if not self.temporary.exists():
                return

    def _commit(self, index: Index) -> None:
        fresh = self.temporary / INDEX
        try:
            _write(fresh, _index_text(index))
            fresh.replace(self.path / INDEX)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self.index = index
        with contextlib.suppress(OSError):  # the change stands; at worst a power failure takes it back
            _flush(self.path)

    def _read_index(self) -> Index:
        path = self.path / INDEX
        try:
            document = Document.parse(path.read_bytes(), "the index")
            images = {}
            for entry in document.children("manifests"):
                stored = self._read_image(entry)
                if stored is not None:
                    images[stored.image.id] = stored
            return Index(images=images, built_in=document.child("annotations").text(_BUILT_IN))
        except InvalidInput as error:
            raise EngineError(f"the image store is damaged: {path}: {error}; remove {self.path} to start with an empty one") from error

    def _read_image(self, entry: Document) -> StoredImage | None:
        names = entry.child("annotations")
        try:
            digest = entry.text("digest")
            manifest = Document.parse(self._read_blob(digest), "the manifest")
            layers = tuple(_layer(item) for item in manifest.children("layers"))
            image = image_of(self._read_blob(manifest.child("config").text("digest")), layers)
            for layer in layers:
                self.blob(layer.digest).stat()
        except (InvalidInput, OSError) as error:
            logger.warning("image %s is damaged and was dropped: %s", names.text(_TAGS) or names.text(_REFERENCE), error)
            return None
        return StoredImage(
            image=replace(image, tags=tuple(names.text(_TAGS).split()), digests=tuple(names.text(_DIGESTS).split())),
            manifest=digest,
            manifest_size=entry.number("size"),
            layers=layers,
        )

    def _read_blob(self, digest: str) -> bytes:
        data = self.blob(digest).read_bytes()
        if _digest(data) != digest:
            raise InvalidInput(f"{digest} has another content than its name says")
        return data

    def _link(self, path: Path, digest: str) -> None:
        target = self.blob(digest)
        if not target.exists():
            _flush(path)
            target.hardlink_to(path)

    def _collect_garbage(self) -> None:
        needed = {self.blob(digest) for stored in self.index.images.values() for digest in stored.blobs}
        for path in _blobs(self.path).iterdir():
            if path not in needed:
                path.unlink()


def _index_text(index: Index) -> bytes:
    manifests = [_index_entry(stored) for stored in index.images.values()]
    return json.dumps({"schemaVersion": 2, "manifests": manifests, "annotations": {_BUILT_IN: index.built_in}}, indent=1).encode()


def _index_entry(stored: StoredImage) -> dict[str, object]:
    annotations = {
        _REFERENCE: _hex(stored.image.id),  # what skopeo and umoci find the image by
        _TAGS: " ".join(stored.image.tags),
        _DIGESTS: " ".join(stored.image.digests),
    }
    return {"mediaType": MANIFEST_TYPE, "digest": stored.manifest, "size": stored.manifest_size, "annotations": annotations}


def _manifest(configuration: bytes, layers: Iterable[LayerBlob]) -> bytes:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIGURATION_TYPE, "digest": _digest(configuration), "size": len(configuration)},
        "layers": [_layer_entry(layer) for layer in layers],
    }
    return json.dumps(manifest).encode()


def _layer_entry(layer: LayerBlob) -> dict[str, object]:
    annotations = {_DIFF_ID: layer.diff_id, _TAR_SIZE: str(layer.tar_size), _CONTENT_SIZE: str(layer.content_size)}
    media_type = LAYER_TYPE + GZIP if layer.compressed else LAYER_TYPE
    return {"mediaType": media_type, "digest": layer.digest, "size": layer.size, "annotations": annotations}


def _layer(entry: Document) -> LayerBlob:
    facts = entry.child("annotations")
    try:
        return LayerBlob(
            digest=entry.text("digest"),
            size=entry.number("size"),
            compressed=entry.text("mediaType").endswith(GZIP),
            diff_id=facts.text(_DIFF_ID),
            tar_size=int(facts.text(_TAR_SIZE)),
            content_size=int(facts.text(_CONTENT_SIZE)),
        )
    except ValueError as error:
        raise InvalidInput(f"the manifest is malformed: {error}") from error


def _blobs(layout: Path) -> Path:
    return layout / "blobs" / "sha256"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
