"""Images as the API sees them: the store's, with the rules about containers that use them, and with events."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from fnmatch import fnmatchcase

from linkspan.engine.filters import check_keys, label_matches, made_before
from linkspan.engine.views import Pruned
from linkspan.errors import InvalidInput
from linkspan.images.registry import Progress, RegistryAuth
from linkspan.images.removal import ImageUser
from linkspan.images.store import ImageStore
from linkspan.model.image import Image, Layer
from linkspan.store.base import Store

LIST_FILTERS = ("before", "dangling", "label", "reference", "since", "until")
LONGEST_PATTERN = 512
PRUNE_FILTERS = ("dangling", "label", "label!", "until")


class Images:
    """Everything about images."""

    def __init__(self, images: ImageStore, store: Store) -> None:
        self._images = images
        self._store = store

    def list(self, filters: Mapping[str, Sequence[str]]) -> list[Image]:
        """Return the images that pass Docker's filters, the newest first."""
        check_keys(filters, LIST_FILTERS)
        until = made_before(filters)
        newer = max((self._images.find(ref).created for ref in filters.get("since", ())), default=-1)
        older = min((self._images.find(ref).created for ref in filters.get("before", ())), default=None)
        found = [image for image in self._images.list() if image.created > newer and (older is None or image.created < older)]
        return [image for image in found if _passes(image, filters) and (until is None or image.created <= until)]

    def inspect(self, ref: str) -> Image:
        """Return one image; raises NotFound."""
        return self._images.find(ref)

    def history(self, ref: str) -> tuple[Layer, ...]:
        """Return what made the image, the newest step first; raises NotFound."""
        return self._images.history(ref)

    def pull(self, ref: str, *, platform: str = "", auth: RegistryAuth | None = None) -> AsyncGenerator[Progress, None]:
        """Fetch an image from its registry, telling how far it is."""
        return self._images.pull(ref, platform=platform, auth=auth)

    def push(self, ref: str, *, auth: RegistryAuth | None = None) -> AsyncGenerator[Progress, None]:
        """Send an image to its registry, telling how far it is."""
        return self._images.push(ref, auth=auth)

    def load(self, stream: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
        """Take the images of a `docker save` archive; yields a line for each."""
        return self._images.load(stream)

    def save(self, refs: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Return the images as one archive that `docker load` takes."""
        return self._images.save(refs)

    async def import_root(self, stream: AsyncIterator[bytes], ref: str, *, changes: Sequence[str] = (), message: str = "") -> str:
        """Make an image of a tar of a root file system; returns its id."""
        return await self._images.import_root(stream, ref, changes=changes, message=message)

    async def tag(self, ref: str, repository: str, tag: str) -> None:
        """Give the image another name."""
        await self._images.tag(ref, repository, tag)

    async def remove(self, ref: str, *, force: bool = False, noprune: bool = False) -> Sequence[tuple[str, str]]:
        """Remove a name, and the image with its last one. Raises Conflict in Docker's words while containers use it."""
        del noprune  # there are no untagged parents here
        return await self._images.remove(ref, force=force, in_use=self.users)

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        """Remove images that no container uses: the nameless ones, with `dangling=false` all."""
        check_keys(filters, PRUNE_FILTERS)
        made_before(filters)  # a wrong time is refused also when there is nothing to prune
        dangling_only = not any(text in ("false", "0") for text in filters.get("dangling", ()))
        lines, space = await self._images.prune(
            doomed=lambda image: _prunable(image, filters) and not (dangling_only and image.tags), in_use=self.users
        )
        return Pruned(ids=tuple(text for _, text in lines), space=space)

    def users(self, image_id: str) -> Sequence[ImageUser]:
        """Return the containers made from an image."""
        containers = (container for container in self._store.containers() if container.spec.image == image_id)
        return [ImageUser(id=container.id, running=container.state.running) for container in containers]


def _passes(image: Image, filters: Mapping[str, Sequence[str]]) -> bool:
    dangling = [_truth(text) for text in filters.get("dangling", ())]
    references = filters.get("reference", ())
    return (
        (not dangling or (not image.tags) in dangling)
        and all(label_matches(image.config.labels, text) for text in filters.get("label", ()))
        and (not references or any(_named(tag, pattern) for tag in image.tags for pattern in references))
    )


def _prunable(image: Image, filters: Mapping[str, Sequence[str]]) -> bool:
    labels = image.config.labels
    until = made_before(filters)
    return (
        (until is None or image.created <= until)
        and all(label_matches(labels, text) for text in filters.get("label", ()))
        and not any(label_matches(labels, text) for text in filters.get("label!", ()))
    )


def _named(tag: str, pattern: str) -> bool:
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInput("invalid filter 'reference': the pattern is longer than any name")
    return fnmatchcase(tag, pattern) or fnmatchcase(tag.rpartition(":")[0], pattern)


def _truth(text: str) -> bool:
    if text not in ("true", "1", "false", "0"):
        raise InvalidInput(f"invalid filter 'dangling={text}'")
    return text in ("true", "1")
