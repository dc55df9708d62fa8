"""What `docker rmi` does to an image and its names: moby's rules and words (daemon/images/image_delete.go)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from linkspan.errors import Conflict
from linkspan.model.image import Image
from linkspan.model.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUser:
    """A container made from an image."""

    id: str
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What to do: names to take away, and whether the image goes too."""

    untagged: tuple[str, ...]
    deleted: bool


def decide(image: Image, asked: str, users: Sequence[ImageUser], *, force: bool) -> Removal:
    """Decide what removing `asked`, which means `image`, does; raises Conflict in Docker's words."""
    names = (*image.tags, *image.digests)
    if is_id_prefix(image.id, asked):
        _refuse_by_id(image, users, force=force)
        return Removal(untagged=names, deleted=True)

    if not force and users and _one_repository(image):
        raise Conflict(
            f'conflict: unable to remove repository reference "{asked}" (must force) - '
            f"container {users[0].id[:12]} is using its referenced image {_short(image)}"
        )
    untagged = _names_removed(image, Reference.parse(asked).or_latest())
    if len(untagged) < len(names):
        return Removal(untagged=untagged, deleted=False)
    if any(user.running or not force for user in users):
        return Removal(untagged=untagged, deleted=False)  # the name goes, the image stays: without a name, for its containers
    return Removal(untagged=untagged, deleted=True)


def vanished_layers(image: Image, remaining: Iterable[Image]) -> list[str]:
    """ChainIDs of the image's layers that no remaining image has, the topmost first: what Docker lists as deleted."""
    kept = {chain for other in remaining for chain in _chain_ids(other)}
    return [chain for chain in reversed(_chain_ids(image)) if chain not in kept]


def is_id_prefix(image_id: str, text: str) -> bool:
    """Whether the text is the beginning of the id, with or without `sha256:`."""
    return bool(text) and (image_id.startswith(text) or image_id.removeprefix("sha256:").startswith(text))


def _refuse_by_id(image: Image, users: Sequence[ImageUser], *, force: bool) -> None:
    for user in users:
        if user.running:
            raise _conflict(image, "cannot be forced", f"image is being used by running container {user.id[:12]}")
    if not force and not _one_repository(image):
        raise _conflict(image, "must be forced", "image is referenced in multiple repositories")
    if not force and users:
        raise _conflict(image, "must be forced", f"image is being used by stopped container {users[0].id[:12]}")


def _names_removed(image: Image, reference: Reference) -> tuple[str, ...]:
    """The asked name, and the repository's digests when its last tag goes: nobody sees them without it."""
    removed = str(reference)
    prefix = reference.short_name
    if reference.digest or any(tag != removed and _repository(tag) == prefix for tag in image.tags):
        return (removed,)
    return (removed, *(digest for digest in image.digests if _repository(digest) == prefix))


def _one_repository(image: Image) -> bool:
    if len(image.tags) + len(image.digests) <= 1:
        return True
    return len(image.tags) <= 1 and len({_repository(name) for name in (*image.tags, *image.digests)}) == 1


def _repository(name: str) -> str:
    return Reference.parse(name).short_name


def _chain_ids(image: Image) -> list[str]:
    """The OCI image-spec's ChainID of each layer: it names the layer together with all those below."""
    chain: list[str] = []
    for diff_id in image.layers:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain


def _conflict(image: Image, force: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {_short(image)} ({force}) - {reason}")


def _short(image: Image) -> str:
    return image.id.removeprefix("sha256:")[:12]
