"""What an engine can do with images, each as an operation whose steps can be made to fail (tests.lab)."""

import contextlib

from linkspan.engine.engine import Engine
from linkspan.errors import NotFound
from linkspan.images import builtin
from tests.kernel.imagestores import LAYER, docker_archive, streamed, tar_of_files
from tests.lab import Operation, Work, in_order, nothing
from tests.registries import REGISTRY

ARCHIVE = docker_archive(["loaded:1"], LAYER)
OTHER = tar_of_files({"y": b"more"})
ROOT = tar_of_files({"a": b"a" * 1000})
REMOTE = f"{REGISTRY}/one:latest"


async def load(engine: Engine) -> None:
    async for _ in engine.images.load(streamed(ARCHIVE)):
        pass


async def import_root(engine: Engine) -> None:
    await engine.images.import_root(streamed(ROOT), "imported:1")


async def save(engine: Engine) -> None:
    async for _ in engine.images.save(["busybox"]):
        pass


async def pull(engine: Engine) -> None:
    async for _ in engine.images.pull(REMOTE):
        pass


async def push(engine: Engine) -> None:
    async for _ in engine.images.push(REMOTE):
        pass


def tag(name: str) -> Work:
    repository, _, version = name.rpartition(":")
    return lambda engine: engine.images.tag("busybox", repository, version)


def untag(name: str) -> Work:
    async def untagged(engine: Engine) -> None:
        with contextlib.suppress(NotFound):
            await engine.images.remove(name)

    return untagged


async def clear_images(engine: Engine) -> None:
    """Remove every image but the built-in one."""
    for image in engine.images.list({}):
        if builtin.NAME not in image.tags:
            await engine.images.remove(image.id, force=True)


def waste(line: str) -> bool:
    """What could not be deleted of an image that is gone is waste; the next removal or engine deletes it."""
    return line.startswith(("files + data/images/roots/", "files + data/images/tmp/", "files + data/images/oci/blobs/"))


def digest_file(line: str) -> bool:
    """A file of a few bytes that could not be deleted; the next engine does."""
    return line.startswith("files + data/images/tmp/digest-")


def load_as(name: str, *layers: bytes) -> Work:
    """Take in an image of these layers under a name."""

    async def loaded(engine: Engine) -> None:
        async for _ in engine.images.load(streamed(docker_archive([name], *layers))):
            pass

    return loaded


load_remote = load_as(REMOTE, LAYER)
load_nameless = in_order(load_as("two:1", LAYER, OTHER), load_as("two:1", OTHER))
"""The second takes the first one's name."""

IMAGE_OPERATIONS: dict[str, Operation] = {
    "load": Operation(operate=load, restore=untag("loaded:1")),
    "import": Operation(operate=import_root, restore=untag("imported:1")),
    "tag": Operation(operate=tag("other:1"), restore=untag("other:1")),
    "rmi": Operation(prepare=load, operate=untag("loaded:1"), restore=load, ends=True, passing=waste),
    "image prune": Operation(
        prepare=load_nameless, operate=lambda engine: engine.images.prune({}), restore=load_nameless, ends=True, passing=waste
    ),
    "save": Operation(operate=save, restore=nothing),
    "push": Operation(prepare=in_order(load_remote, push), operate=push, restore=nothing, passing=digest_file),
    "pull": Operation(prepare=in_order(load_remote, push, untag(REMOTE)), operate=pull, restore=untag(REMOTE)),
}
