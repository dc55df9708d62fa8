"""Images as the API sees them: the store's, with the rules about containers that use them, and with events."""

from collections.abc import AsyncIterator, Mapping, Sequence
from fnmatch import fnmatchcase

from linkspan.engine.events import Events
from linkspan.engine.filters import check_keys, label_matches
from linkspan.engine.views import Pruned
from linkspan.errors import InvalidInput
from linkspan.images.store import ImageStore, Progress, RegistryAuth
from linkspan.model.image import Image, Layer
from linkspan.store.base import Store

LIST_FILTERS = ("before", "dangling", "label", "reference", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")


class Images:
    """Everything about images."""

    def __init__(self, images: ImageStore, store: Store, events: Events) -> None:
        self._images = images
        self._store = store
        self._events = events

    def list(self, filters: Mapping[str, Sequence[str]]) -> list[Image]:
        """Return the images that pass Docker's filters, the newest first."""
        check_keys(filters, LIST_FILTERS)
        newer = max((self._images.find(ref).created for ref in filters.get("since", ())), default=-1)
        older = min((self._images.find(ref).created for ref in filters.get("before", ())), default=None)
        found = [image for image in self._images.list() if image.created > newer and (older is None or image.created < older)]
        return sorted((image for image in found if _passes(image, filters)), key=lambda image: image.created, reverse=True)

    def inspect(self, ref: str) -> Image:
        """Return one image; raises NotFound."""
        return self._images.find(ref)

    def history(self, ref: str) -> tuple[Layer, ...]:
        """Return what made the image, the newest step first; raises NotFound."""
        return tuple(reversed(self._images.find(ref).history))

    async def pull(self, ref: str, *, platform: str = "", auth: RegistryAuth | None = None) -> AsyncIterator[Progress]:
        """Fetch an image from its registry, telling how far it is."""
        async for progress in self._images.pull(ref, platform=platform, auth=auth):
            yield progress
        self._announce("pull", ref)

    async def push(self, ref: str, *, auth: RegistryAuth | None = None) -> AsyncIterator[Progress]:
        """Send an image to its registry, telling how far it is."""
        async for progress in self._images.push(ref, auth=auth):
            yield progress
        self._announce("push", ref)

    async def load(self, stream: AsyncIterator[bytes]) -> AsyncIterator[str]:
        """Take the images of a `docker save` archive; yields a line for each."""
        async for line in self._images.load(stream):
            yield line
            self._announce("load", line.partition(": ")[2].strip())

    def save(self, refs: Sequence[str]) -> AsyncIterator[bytes]:
        """Return the images as one archive that `docker load` takes."""
        return self._images.save(refs)

    async def import_root(self, stream: AsyncIterator[bytes], ref: str, *, changes: Sequence[str] = (), message: str = "") -> str:
        """Make an image of a tar of a root file system; returns its id."""
        made = await self._images.import_root(stream, ref, changes=changes, message=message)
        self._announce("import", made)
        return made

    async def tag(self, ref: str, repository: str, tag: str) -> None:
        """Give the image another name."""
        await self._images.tag(ref, repository, tag)
        self._announce("tag", f"{repository}:{tag or 'latest'}")

    async def remove(self, ref: str, *, force: bool = False, noprune: bool = False) -> list[tuple[str, str]]:
        """Remove a name, and the image with its last one. Raises Conflict in Docker's words while containers use it."""
        del noprune  # there are no untagged parents here
        removed = await self._images.remove(ref, force=force, users=self._users())
        for what, name in removed:
            self._announce("untag" if what == "Untagged" else "delete", name)
        return removed

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        """Remove images that no container uses: the nameless ones, with `dangling=false` all."""
        check_keys(filters, PRUNE_FILTERS)
        dangling_only = not any(text in ("false", "0") for text in filters.get("dangling", ()))
        users, gone, space = self._users(), [], 0
        for image in self._images.list():
            if image.id in users or (dangling_only and image.tags) or not _prunable(image, filters):
                continue
            for name in image.tags or (image.id,):
                gone += [text for _, text in await self._images.remove(name, force=False, users=users)]
            space += image.size
        for name in gone:
            self._announce("delete", name)
        return Pruned(ids=tuple(gone), space=space)

    def _users(self) -> dict[str, list[tuple[str, bool]]]:
        """Image id → (container id, whether it runs)."""
        users: dict[str, list[tuple[str, bool]]] = {}
        for container in self._store.containers():
            users.setdefault(container.spec.image, []).append((container.id, container.state.running))
        return users

    def _announce(self, action: str, name: str) -> None:
        self._events.publish("image", action, name, {"name": name})


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
    until = min((float(text) * 1e9 for text in filters.get("until", ())), default=None)
    return (
        (until is None or image.created <= until)
        and all(label_matches(labels, text) for text in filters.get("label", ()))
        and not any(label_matches(labels, text) for text in filters.get("label!", ()))
    )


def _named(tag: str, pattern: str) -> bool:
    return fnmatchcase(tag, pattern) or fnmatchcase(tag.rpartition(":")[0], pattern)


def _truth(text: str) -> bool:
    if text not in ("true", "1", "false", "0"):
        raise InvalidInput(f"invalid filter 'dangling={text}'")
    return text in ("true", "1")
