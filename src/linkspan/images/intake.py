"""How an image comes in: received, examined, unpacked, recorded. Only the last step changes what the store holds."""

import asyncio
import contextlib
import functools
import os
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from linkspan.errors import CommandFailed, EngineError, InvalidInput, KernelError, MissingTool
from linkspan.images import layers, room, skopeo
from linkspan.images.archive import ArchivedImage
from linkspan.images.index import Index
from linkspan.images.layers import LayerBlob
from linkspan.images.layout import STAGE, UNPACKED, Layout
from linkspan.images.manifest import parse_manifest
from linkspan.kernel import process, tree

T = TypeVar("T")


class Intake:
    """Everything that adds to a layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._busy: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def rootfs(self, image_id: str) -> Path:
        """Return the folder with the unpacked image, never to be written to; unpacks it if nobody did. Raises NotFound, EngineError."""
        root = self._layout.root(image_id)
        async with self.alone(image_id):
            if not root.exists():
                self._layout.index.find(image_id)
                async with self.folder() as work:
                    try:
                        await self._unpack(self._layout.path, image_id, work)
                    except EngineError as error:
                        raise EngineError(f"{error}; if the image is damaged, remove it and pull or load it again") from error
                    await blocking(self._layout.adopt_root, image_id, work)
        return root

    async def unarchive(self, archived: ArchivedImage, folder: Path) -> str:
        """Take in one image of an archive, with its names; returns its id. `folder` is skopeo's to make. Raises InvalidInput if damaged."""
        try:
            await skopeo.copy(archived.source, f"dir:{folder}", temporary=self._layout.temporary)
        except MissingTool:
            raise
        except CommandFailed as error:
            said = skopeo.reason(error).rpartition(archived.source)[2].lstrip('": ')  # the path is no business of the user's
            raise _refusal("cannot load the archive", said, InvalidInput) from error
        manifest = parse_manifest(await blocking((folder / "manifest.json").read_bytes))
        configuration = await blocking((folder / _hex(manifest.configuration)).read_bytes)
        files = await self.examined(folder, [layer.digest for layer in manifest.layers])
        return await self.admit(configuration, files, tags=archived.tags)

    async def examined(self, folder: Path, digests: Sequence[str]) -> Sequence[tuple[Path, LayerBlob]]:
        """The layers' files in `folder`, named by digest, with what reading them tells."""
        facts: dict[str, LayerBlob] = {}
        for digest in dict.fromkeys(digests):
            known = self._layout.index.known_layer(digest)
            facts[digest] = known if known is not None else await blocking(layers.examine, folder / _hex(digest), digest)
        return [(folder / _hex(digest), facts[digest]) for digest in digests]

    async def admit(
        self, configuration: bytes, files: Sequence[tuple[Path, LayerBlob]], *, tags: Sequence[str] = (), digests: Sequence[str] = ()
    ) -> str:
        """Unpack an image, then record it with these names, all at once; returns its id. Raises InvalidInput, EngineError."""
        async with self.folder() as work:
            stored = await blocking(self._layout.stage, configuration, files, work)
            image_id = stored.image.id
            async with self.alone(image_id):
                if not self._layout.root(image_id).exists():
                    await self._unpack(work / STAGE, image_id, work)
                await blocking(self._layout.take, stored, work, tags, digests)
        return image_id

    async def edit(self, edit: Callable[[Index], Index]) -> None:
        """Replace the index by what `edit` makes of it."""
        await blocking(self._layout.change, edit)

    async def spool(self, stream: AsyncIterator[bytes], folder: Path) -> Path:
        """Write a stream, which may be compressed, to a file that is not. Raises InvalidInput if its compression is damaged."""
        received = folder / "received"
        await blocking(received.touch)
        async for piece in stream:
            await blocking(_append, received, piece)
        return await blocking(layers.plain, received, folder)

    @contextlib.asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder for work in progress, on the file system of the images."""
        folder = self._layout.temporary / f"tmp{os.urandom(8).hex()}"
        try:
            await blocking(functools.partial(folder.mkdir, mode=0o700))
            yield folder
        finally:
            await self._discard(folder)

    @staticmethod
    async def _discard(folder: Path) -> None:
        try:
            await blocking(tree.remove, folder)
        except KernelError:
            with contextlib.suppress(KernelError):  # once more; at last the next start sweeps it
                await blocking(tree.remove, folder)

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Nobody else works on `key` meanwhile."""
        lock = self._busy.setdefault(key, asyncio.Lock())
        async with lock:
            yield

    async def _unpack(self, layout: Path, image_id: str, work: Path) -> None:
        """Unpack an image of a layout into `work`."""
        folder = work / UNPACKED
        root = folder / "rootfs"
        await blocking(folder.mkdir)
        try:
            await process.run("umoci", "raw", "unpack", "--image", f"{layout}:{_hex(image_id)}", root)
            await process.run("sync", "--file-system", folder)  # a power failure would leave empty files in a root that looks whole
        except MissingTool:
            raise
        except CommandFailed as error:
            said = skopeo.reason(error).replace(str(root), "")  # the path is no business of the user's
            raise _refusal(f"cannot unpack image {_hex(image_id)[:12]}", said, EngineError) from error


async def blocking(job: Callable[..., T], *args: object) -> T:
    """Do `job` in a thread; raises KernelError for what the file system refuses, such as a full disk.

    It is done to its end also if the caller is cancelled: what clears up after it must not come in the middle of it.
    """
    done = asyncio.ensure_future(asyncio.to_thread(job, *args))
    try:
        await asyncio.wait((done,))
    except asyncio.CancelledError:
        await asyncio.gather(done, return_exceptions=True)
        raise
    try:
        return done.result()
    except OSError as error:
        raise KernelError("the image store", error.errno or 0, error.filename or "") from error


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _append(path: Path, piece: bytes) -> None:
    room.require(path.parent, len(piece))
    with path.open("ab") as file:
        file.write(piece)


def _refusal(what: str, said: str, kind: type[EngineError]) -> EngineError:
    return EngineError(f"{what}: no space left on device") if "no space left on device" in said else kind(f"{what}: {said}")
