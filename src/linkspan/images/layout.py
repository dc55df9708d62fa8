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
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from linkspan.errors import EngineError, InvalidInput, NotFound
from linkspan.images.archive import SavedImage
from linkspan.images.configuration import image_of
from linkspan.images.document import Document
from linkspan.images.index import Index, StoredImage
from linkspan.images.layers import LayerBlob
from linkspan.model.image import Image

logger = logging.getLogger(__name__)

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIGURATION_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP = "+gzip"

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
        self._blobs = self.path / "blobs" / "sha256"
        self._lock = threading.Lock()
        self.index = Index()

    def open(self) -> None:
        """Make or read the folder and sweep what a crash left; raises EngineError if the index is damaged."""
        with self._lock:
            self._root.mkdir(
                parents=True, exist_ok=True, mode=0o700
            )  # images hold set-user-ID programs, which are not for the host's users
            self._sweep()
            for folder in (self._blobs, self.roots, self.temporary):
                folder.mkdir(parents=True, exist_ok=True)
            (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            if (self.path / "index.json").exists():
                self.index = self._read_index()
            else:
                self._write_index(self.index)
            self._collect_garbage()

    def blob(self, digest: str) -> Path:
        """Where the blob of this digest is, or would be."""
        return self._blobs / digest.removeprefix("sha256:")

    def root(self, image_id: str) -> Path:
        """Where the unpacked image is, or would be."""
        return self.roots / image_id.removeprefix("sha256:") / "rootfs"

    def add(self, configuration: bytes, files: Sequence[tuple[Path, LayerBlob]]) -> Image:
        """Take an image in, without names; the files of its layers are linked, not copied. Returns the one that is there if it is known.

        Raises InvalidInput if the layers are not those of the configuration.
        """
        layers = tuple(layer for _, layer in files)
        image = image_of(configuration, layers)
        with self._lock:
            if image.id in self.index.images:
                return self.index.images[image.id].image
            for path, layer in files:
                self._link(path, layer.digest)
            self._write_blob(configuration)
            manifest = _manifest(configuration, layers)
            digest = self._write_blob(manifest)
            _flush(self._blobs)
            stored = StoredImage(image=image, manifest=digest, manifest_size=len(manifest), layers=layers)
            self._commit(self.index.with_image(stored))
        return image

    def link_known(self, digests: Iterable[str], folder: Path) -> None:
        """Make `folder`, with those of the blobs that are here: linked, so that they stay even if their images go."""
        folder.mkdir()
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                (folder / self.blob(digest).name).hardlink_to(self.blob(digest))

    def hold(self, images: Mapping[str, tuple[StoredImage, set[str]]], folder: Path) -> Sequence[SavedImage]:
        """Link the images' files into `folder`, to be read to the end whatever becomes of the images; with each, its tags to save.

        Raises NotFound if an image is gone.
        """
        saved = []
        with self._lock:
            for image_id, (stored, tags) in images.items():
                if image_id not in self.index.images:
                    raise NotFound(f"No such image: {image_id}")
                files = {digest: folder / self.blob(digest).name for digest in stored.blobs}
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
                self._collect_garbage()

    def adopt_root(self, image_id: str, folder: Path) -> None:
        """Make `folder`, which holds a finished `rootfs`, the image's root. Raises NotFound if the image went in the meantime."""
        with self._lock:
            if image_id not in self.index.images:
                raise NotFound(f"No such image: {image_id}")
            folder.rename(self.root(image_id).parent)
            _flush(self.roots)

    def discard_root(self, image_id: str) -> None:
        """Delete the unpacked root of an image that is gone, if there is one; it vanishes at once, by rename."""
        with tempfile.TemporaryDirectory(dir=self.temporary) as grave, contextlib.suppress(FileNotFoundError), self._lock:
            if image_id not in self.index.images:
                self.root(image_id).parent.rename(Path(grave) / "root")

    def unpacked(self) -> list[str]:
        """Ids of the images that have an unpacked root."""
        return [f"sha256:{folder.name}" for folder in self.roots.iterdir()]

    def _sweep(self) -> None:
        """Empty the folder for work in progress. A skopeo that outlived a killed engine may still write there: it soon fails."""
        for _ in range(_SWEEPS):
            shutil.rmtree(self.temporary, ignore_errors=True)
            if not self.temporary.exists():
                return

    def _commit(self, index: Index) -> None:
        self._write_index(index)
        self.index = index

    def _write_index(self, index: Index) -> None:
        text = {
            "schemaVersion": 2,
            "manifests": [_index_entry(stored) for stored in index.images.values()],
            "annotations": {_BUILT_IN: index.built_in},
        }
        _write(self.temporary / "index.json", json.dumps(text, indent=1).encode())
        (self.temporary / "index.json").replace(self.path / "index.json")
        _flush(self.path)

    def _read_index(self) -> Index:
        path = self.path / "index.json"
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
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise InvalidInput(f"{digest} has another content than its name says")
        return data

    def _write_blob(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        _write(self.temporary / "blob", data)
        (self.temporary / "blob").replace(self.blob(digest))
        return digest

    def _link(self, path: Path, digest: str) -> None:
        target = self.blob(digest)
        if not target.exists():
            _flush(path)
            target.hardlink_to(path)

    def _collect_garbage(self) -> None:
        needed = {self.blob(digest) for stored in self.index.images.values() for digest in stored.blobs}
        for path in self._blobs.iterdir():
            if path not in needed:
                path.unlink()


def _index_entry(stored: StoredImage) -> dict[str, object]:
    annotations = {
        _REFERENCE: stored.image.id.removeprefix("sha256:"),  # what skopeo and umoci find the image by
        _TAGS: " ".join(stored.image.tags),
        _DIGESTS: " ".join(stored.image.digests),
    }
    return {"mediaType": MANIFEST_TYPE, "digest": stored.manifest, "size": stored.manifest_size, "annotations": annotations}


def _manifest(configuration: bytes, layers: Iterable[LayerBlob]) -> bytes:
    digest = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIGURATION_TYPE, "digest": digest, "size": len(configuration)},
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
