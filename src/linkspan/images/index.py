"""Which images there are, and what their names mean: values, no files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from linkspan.errors import NotFound
from linkspan.images.layers import LayerBlob
from linkspan.images.removal import is_id_prefix
from linkspan.model.image import Image
from linkspan.model.reference import Reference, is_digest, is_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image and the files that hold it."""

    image: Image
    manifest: str
    """Digest."""
    manifest_size: int
    layers: tuple[LayerBlob, ...]

    @property
    def blobs(self) -> set[str]:
        """Digests of all its files."""
        return {self.manifest, self.image.id, *(layer.digest for layer in self.layers)}

    def with_names(self, tags: Iterable[str], digests: Iterable[str]) -> "StoredImage":
        image = self.image
        more = replace(image, tags=tuple(sorted({*image.tags, *tags})), digests=tuple(sorted({*image.digests, *digests})))
        return replace(self, image=more)

    def without_names(self, names: Collection[str]) -> "StoredImage":
        image = self.image
        tags, digests = (tuple(name for name in group if name not in names) for group in (image.tags, image.digests))
        return replace(self, image=replace(image, tags=tags, digests=digests))


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Every image by its id. Never changed, only replaced."""

    images: Mapping[str, StoredImage] = field(default_factory=dict)
    built_in: str = ""
    """Id of the built-in image, once it was made, also after its removal."""

    def with_image(self, stored: StoredImage) -> "Index":
        return replace(self, images={**self.images, stored.image.id: stored})

    def without(self, image_id: str) -> "Index":
        return replace(self, images={key: stored for key, stored in self.images.items() if key != image_id})

    def named(self, image_id: str, *, tags: Collection[str] = (), digests: Collection[str] = ()) -> "Index":
        """With these names given to the image, and taken from those that had them. Raises NotFound if the image is gone."""
        if image_id not in self.images:
            raise NotFound(f"No such image: {image_id}")
        images = {key: stored.without_names({*tags, *digests}) for key, stored in self.images.items()}
        return replace(self, images={**images, image_id: images[image_id].with_names(tags, digests)})

    def unnamed(self, image_id: str, names: Collection[str]) -> "Index":
        """With these tags and digests taken from the image."""
        return replace(
            self, images={key: stored.without_names(names) if key == image_id else stored for key, stored in self.images.items()}
        )

    def find(self, ref: str) -> StoredImage:
        """The image that a name, a digest, an id or the beginning of an id means; raises NotFound or InvalidInput as Docker does."""
        if is_id(ref):
            found = self.images.get(ref if is_digest(ref) else f"sha256:{ref}")
            if found is None:
                raise NotFound(f"No such image: {ref}")
            return found
        reference = Reference.parse(ref).or_latest()
        if holder := self.holder(str(reference)):
            return self.images[holder]
        matching = [stored for image_id, stored in self.images.items() if is_id_prefix(image_id, ref)]
        if len(matching) != 1:
            raise NotFound(f"No such image: {reference}")
        return matching[0]

    def holder(self, name: str) -> str:
        """Id of the image with this tag or digest, empty if there is none."""
        images = (stored.image for stored in self.images.values())
        return next((image.id for image in images if name in image.tags or name in image.digests), "")

    def meant(self, refs: Iterable[str]) -> Mapping[str, tuple[StoredImage, set[str]]]:
        """The images of some references by id, each with the tags asked for, or all of a name that has no tag. Raises as `find` does."""
        chosen: dict[str, tuple[StoredImage, set[str]]] = {}
        for ref in refs:
            for stored, tags in self._meant(ref):
                chosen.setdefault(stored.image.id, (stored, set()))[1].update(tags)
        return chosen

    def known_layer(self, digest: str) -> LayerBlob | None:
        """The layer with this digest, if an image has it."""
        return next((layer for stored in self.images.values() for layer in stored.layers if layer.digest == digest), None)

    def _meant(self, ref: str) -> Iterator[tuple[StoredImage, Sequence[str]]]:
        reference = None if is_id(ref) else Reference.parse(ref)
        if reference is not None and not reference.suffix:
            named = [(stored, tag) for stored in self.images.values() for tag in stored.image.tags if _name(tag) == reference.name]
            if named:
                yield from ((stored, [tag]) for stored, tag in named)
                return
        stored = self.find(ref)
        yield stored, [tag for tag in stored.image.tags if reference is not None and tag == str(reference)]


def _name(tag: str) -> str:
    return Reference.parse(tag).name
