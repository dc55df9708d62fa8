"""Image stores and small archives for tests."""

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from linkspan.images.registry import Progress, RegistryAuth
from linkspan.images.removal import ImageUser
from linkspan.images.store import ImageStore
from linkspan.kernel import process
from tests.hosts import Host

T = TypeVar("T")


@dataclass
class Store:
    """A store for the tests. Each call opens it anew, as a restarted engine does."""

    root: Path
    host: Host | None = None
    events: list[tuple[str, str]] = field(default_factory=list)

    def do(self, action: Callable[[ImageStore], Awaitable[T]]) -> T:
        async def main() -> T:
            process.watch_children()
            store = ImageStore(self.root, events=lambda action, _, attributes: self.events.append((action, attributes["name"])))
            await store.open()
            return await action(store)

        return self.host.run(lambda: asyncio.run(main())) if self.host else asyncio.run(main())

    def load(self, data: bytes) -> list[str]:
        return self.do(lambda store: collected(store.load(streamed(data))))

    def import_root(self, data: bytes, ref: str = "", changes: Sequence[str] = ()) -> str:
        return self.do(lambda store: store.import_root(streamed(data), ref, changes=changes))

    def save(self, *refs: str) -> bytes:
        return b"".join(self.do(lambda store: collected(store.save(refs))))

    def pull(self, ref: str, auth: RegistryAuth | None = None) -> list[Progress]:
        return self.do(lambda store: collected(store.pull(ref, auth=auth)))

    def push(self, ref: str, auth: RegistryAuth | None = None) -> list[Progress]:
        return self.do(lambda store: collected(store.push(ref, auth=auth)))

    def remove(self, ref: str, *, force: bool = False, users: Sequence[ImageUser] = ()) -> list[tuple[str, str]]:
        return self.do(lambda store: store.remove(ref, force=force, in_use=lambda _: users))

    def tag(self, ref: str, name: str) -> None:
        self.do(lambda store: store.tag(ref, name))

    def id(self, ref: str) -> str:
        return self.do(lambda store: answered(store.find(ref).id))

    def tags(self) -> list[str]:
        return self.do(lambda store: answered(sorted(tag for image in store.list() for tag in image.tags)))

    def rootfs(self, ref: str) -> Path:
        return self.do(lambda store: store.rootfs(store.find(ref).id))

    def state(self) -> tuple[list[str], set[str]]:
        """The names and the files; what a refused operation must leave as it was."""
        return self.tags(), self.files()

    def files(self) -> set[str]:
        """Every file of the store but the index, every root and every work in progress."""
        patterns = ("oci/blobs/sha256/*", "roots/*", "tmp/*")
        return {str(path.relative_to(self.root)) for pattern in patterns for path in self.root.glob(pattern)}


async def streamed(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 50_000):
        yield data[start : start + 50_000]


async def collected(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def answered(value: T) -> T:
    return value


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    result = tarfile.TarInfo(name)
    result.type = kind
    result.linkname = link
    return result


def tar_of(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_of_files(files: Mapping[str, bytes]) -> bytes:
    return tar_of((member(name), data) for name, data in files.items())


def docker_archive(tags: Sequence[str], *layers: bytes, history: Sequence[Mapping[str, object]] = ()) -> bytes:
    """An archive as `docker save` of old wrote it."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    # Fields of Docker's own: an image that went through a conversion to OCI would lose them, and have another id.
    config = {"architecture": "amd64", "os": "linux", "docker_version": "20.10", "container": "0123", "config": {"Cmd": ["sh"]}}
    data = json.dumps({**config, "history": history, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    listing = [{"Config": name, "RepoTags": tags, "Layers": [f"{number}/layer.tar" for number in range(len(layers))]}]
    files = {
        name: data,
        **{f"{number}/layer.tar": layer for number, layer in enumerate(layers)},
        "manifest.json": json.dumps(listing).encode(),
    }
    return tar_of_files(files)


LAYER = tar_of_files({"x": b"data" * 10_000})
"""A layer of one file."""
