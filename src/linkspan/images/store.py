"""The images of this host: pull, push, load, save, import, tag, remove."""

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from linkspan.errors import EngineError, InvalidInput, KernelError, NotFound
from linkspan.images import archive, builtin, layers
from linkspan.images.changes import apply_changes
from linkspan.images.configuration import configuration_of, timestamp
from linkspan.images.index import Index
from linkspan.images.intake import Intake, blocking
from linkspan.images.layout import Layout
from linkspan.images.manifest import Platform
from linkspan.images.registry import Progress, Registries, RegistryAuth, RemoteImage
from linkspan.images.removal import ImageUser, Removal, decide, vanished_layers
from linkspan.kernel import process
from linkspan.model.image import Image, Layer
from linkspan.model.reference import Reference

logger = logging.getLogger(__name__)

Report = Callable[[str, str, Mapping[str, str]], None]
"""Called with an event's action, the image's name or id, and attributes."""
Lines = list[tuple[str, str]]
"""Docker's lines of a removal: ("Untagged" or "Deleted", what)."""
Users = Callable[[str], Sequence[ImageUser]]
"""Gives the containers made from the image of an id."""


class ImageStore:
    """Images in one folder, for one engine. What it answers without `await` comes from memory; every change is all or nothing."""

    def __init__(self, root: Path, *, insecure_registries: Sequence[str] = (), events: Report | None = None) -> None:
        self._root = root
        self._layout = Layout(root)
        self._intake = Intake(self._layout)
        self._registries = Registries(self._layout.temporary, insecure_registries)
        self._report: Report = events or (lambda *_: None)

    async def open(self) -> None:
        """Read the folder, sweep what a crash left, and make the built-in image if it never was. Raises EngineError if it is damaged."""
        if ":" in str(self._root):
            raise InvalidInput(f"the data root must not contain a colon, where skopeo and umoci end a path: {self._root}")
        await blocking(self._layout.open)
        if not self._index.built_in:
            try:
                await self._build_built_in()
            except EngineError as error:  # the engine is of use without it, and tries again at its next start
                logger.warning("there is no built-in image %s: %s", builtin.NAME, error)

    def list(self) -> tuple[Image, ...]:
        """Every image, the newest first."""
        images = (stored.image for stored in self._index.images.values())
        return tuple(sorted(images, key=lambda image: image.created, reverse=True))

    def find(self, ref: str) -> Image:
        """Return the image that a name, a digest, an id or the beginning of an id means; raises NotFound or InvalidInput as Docker does."""
        return self._index.find(ref).image

    def history(self, ref: str) -> tuple[Layer, ...]:
        """The steps that made an image, the last one first. Raises as `find` does."""
        return tuple(reversed(self.find(ref).history))

    async def rootfs(self, image_id: str) -> Path:
        """Return the folder with the unpacked image, never to be written to; unpacks it if nobody did. Raises NotFound, EngineError.

        Call it when a container is created: an image that a container uses may be removed, its unpacked root then stays.
        """
        return await self._intake.rootfs(image_id)

    async def pull(self, ref: str, *, platform: str = "", auth: RegistryAuth | None = None) -> AsyncGenerator[Progress, None]:
        """Fetch an image from its registry and give it the name. Raises NotFound, or EngineError with the registry's reason."""
        reference = Reference.parse(ref).or_latest()
        wanted = Platform.parse(platform)
        async with self._intake.alone(str(reference)):
            remote = await self._registries.look_up(reference, wanted, auth)
            yield Progress(status=f"Pulling from {reference.path}", id=reference.tag or reference.digest)
            before = self._index.holder(str(reference))
            async with contextlib.aclosing(self._fetch(remote, reference, auth)) as steps:
                async for step in steps:
                    yield step
            yield Progress(status=f"Digest: {remote.digest}")
            fresh = before != remote.manifest.configuration
            yield Progress(status=f"Status: {'Downloaded newer image' if fresh else 'Image is up to date'} for {reference}")
        self._report("pull", str(reference), {"name": reference.short_name})

    async def push(self, ref: str, *, auth: RegistryAuth | None = None) -> AsyncGenerator[Progress, None]:
        """Send an image to the registry that its name says. Raises InvalidInput, NotFound, or EngineError with the registry's reason."""
        reference = Reference.parse(ref).or_latest()
        if reference.digest:
            raise InvalidInput("cannot push a digest reference")
        if not self._index.holder(str(reference)):
            raise NotFound(f"An image does not exist locally with the tag: {reference.short_name}")
        stored = self._index.find(str(reference))
        yield Progress(status=f"The push refers to repository [{reference.name}]")
        for layer in stored.layers:
            yield Progress(status="Preparing", id=layer.diff_id.removeprefix("sha256:")[:12])
        source = f"oci:{self._layout.path}:{stored.image.id.removeprefix('sha256:')}"
        digest = await self._registries.upload(source, reference, auth)
        for layer in stored.layers:
            yield Progress(status="Pushed", id=layer.diff_id.removeprefix("sha256:")[:12])
        await self._intake.edit(lambda index: index.named(stored.image.id, digests=[f"{reference.short_name}@{digest}"]))
        yield Progress(status=f"{reference.tag}: digest: {digest}")
        self._report("push", str(reference), {"name": reference.short_name})

    async def load(self, stream: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
        """Take in the images of an archive of Docker, podman or skopeo; yields Docker's lines. Raises InvalidInput if it is none."""
        async with self._intake.folder() as folder:
            path = await self._intake.spool(stream, folder)
            for number, archived in enumerate(await blocking(archive.images_in, path)):
                holders = {tag: self._index.holder(tag) for tag in archived.tags}
                image_id = await self._intake.unarchive(archived, folder / str(number))
                for tag, holder in holders.items():
                    if holder not in ("", image_id):
                        yield f"The image {tag} already exists, renaming the old one with ID {holder} to empty string"
                for line in [f"Loaded image: {tag}" for tag in archived.tags] or [f"Loaded image ID: {image_id}"]:
                    yield line
                self._report("load", image_id, {"name": next(iter(archived.tags), image_id)})

    async def save(self, refs: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Write images as one archive, as `docker save` does; a name without a tag means all its tags. Raises as `find` does."""
        chosen = self._index.meant(refs)
        async with self._intake.folder() as folder:
            with contextlib.closing(archive.docker_archive(await blocking(self._layout.hold, chosen, folder))) as pieces:
                while (piece := await blocking(next, pieces, None)) is not None:
                    yield piece
        for image_id in chosen:
            self._report("save", image_id, {"name": image_id})

    async def import_root(self, stream: AsyncIterator[bytes], ref: str = "", *, changes: Sequence[str] = (), message: str = "") -> str:
        """Make an image of a tar archive of a file system; returns its id. Raises InvalidInput if it or a change is wrong."""
        reference = Reference.parse(ref).or_latest() if ref else None
        if reference is not None and reference.digest:
            raise InvalidInput("cannot import digest reference")
        config = apply_changes(changes)
        async with self._intake.folder() as folder:
            path = await self._intake.spool(stream, folder)
            layer = await blocking(layers.examine, path)
            configuration = configuration_of(
                config,
                [layer],
                created=timestamp(time.time_ns()),
                architecture=Platform.here().architecture,
                comment=message or "Imported from -",
            )
            image_id = await self._intake.admit(configuration, [(path, layer)], tags=[str(reference)] if reference else [])
        self._report("import", image_id, {"name": str(reference or image_id)})
        return image_id

    async def tag(self, ref: str, repo: str, tag: str = "") -> None:
        """Give an image one more name, taken from whichever has it. Raises NotFound, InvalidInput."""
        image = self.find(ref)
        reference = Reference.parse(f"{repo}:{tag}" if tag else repo).or_latest()
        if reference.digest:
            raise InvalidInput("refusing to create a tag with a digest reference")
        await self._intake.edit(lambda index: index.named(image.id, tags=[str(reference)]))
        self._report("tag", image.id, {"name": str(reference)})

    async def remove(self, ref: str, *, force: bool, in_use: Users) -> Lines:
        """Remove a name, or the image with its last name; raises Conflict, NotFound."""
        image = self.find(ref)
        return await self._carry_out(image, decide(image, ref, in_use(image.id), force=force), in_use)

    async def prune(self, *, doomed: Callable[[Image], bool], in_use: Users) -> tuple[Lines, int]:
        """Remove those of the `doomed` images that no container uses; returns lines as `remove` does, and the bytes."""
        lines: Lines = []
        space = 0
        for image in self.list():
            if doomed(image) and not in_use(image.id):
                lines += await self._carry_out(image, Removal(untagged=(*image.tags, *image.digests), deleted=True), in_use)
                space += image.size
        return lines, space

    async def discard_unused_roots(self, in_use: Users) -> None:
        """Delete the unpacked roots of removed images that lost their last container. The engine calls it at start and after removals."""
        for image_id in await blocking(self._layout.unpacked):
            if image_id not in self._index.images and not in_use(image_id):
                await self._discard_root(image_id)

    @property
    def _index(self) -> Index:
        return self._layout.index

    async def _fetch(self, remote: RemoteImage, reference: Reference, auth: RegistryAuth | None) -> AsyncGenerator[Progress, None]:
        """Download what is missing, and give the image its names."""
        image_id = remote.manifest.configuration
        known = {
            layer.digest for layer in remote.manifest.layers if image_id in self._index.images or self._index.known_layer(layer.digest)
        }
        fresh = [layer for layer in remote.manifest.layers if layer.digest not in known]
        for layer in remote.manifest.layers:
            yield Progress(status="Already exists" if layer.digest in known else "Pulling fs layer", id=layer.short_id)
        names = {"tags": [] if reference.digest else [str(reference)], "digests": [f"{reference.short_name}@{remote.digest}"]}
        if image_id in self._index.images:
            await self._intake.edit(lambda index: index.named(image_id, **names))
            return
        async with self._intake.folder() as folder:
            await blocking(self._layout.link_known, known, folder / "sha256")
            async with contextlib.aclosing(self._registries.download(remote, reference, auth, folder)) as steps:
                async for step in steps:
                    yield step
            for layer in fresh:
                yield Progress(status="Extracting", id=layer.short_id)
            files = await self._intake.examined(folder / "sha256", [layer.digest for layer in remote.manifest.layers])
            await self._intake.admit(remote.configuration, files, **names)
        for layer in fresh:
            yield Progress(status="Pull complete", id=layer.short_id)

    async def _build_built_in(self) -> None:
        busybox = process.find("busybox")
        applets = (await process.run(str(busybox), "--list")).output.split()
        async with self._intake.folder() as folder:
            path = folder / "layer.tar"
            await blocking(builtin.write_layer, busybox, applets, path)
            layer = await blocking(layers.examine, path)
            configuration = configuration_of(
                builtin.CONFIG,
                [layer],
                created=builtin.created(busybox),
                architecture=Platform.here().architecture,
                created_by=builtin.CREATED_BY,
            )
            image_id = await self._intake.admit(configuration, [(path, layer)], tags=[builtin.NAME])
        await self._intake.edit(lambda index: replace(index, built_in=image_id))

    async def _carry_out(self, image: Image, removal: Removal, in_use: Users) -> Lines:
        def edit(index: Index) -> Index:
            return index.without(image.id) if removal.deleted else index.unnamed(image.id, removal.untagged)

        await self._intake.edit(edit)
        lines = [("Untagged", name) for name in removal.untagged]
        for name in removal.untagged:
            self._report("untag", image.id, {"name": name})
        if removal.deleted:
            lines += [("Deleted", what) for what in (image.id, *vanished_layers(image, self.list()))]
            self._report("delete", image.id, {"name": image.id})
            if not in_use(image.id):
                await self._discard_root(image.id)
        return lines

    async def _discard_root(self, image_id: str) -> None:
        try:
            await blocking(self._layout.discard_root, image_id)
        except KernelError as error:  # the image is gone all the same; the next start deletes what is left
            logger.warning("cannot delete the unpacked root of image %s: %s", image_id, error)
