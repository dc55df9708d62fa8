"""Manifests as registries give them (OCI image-spec, Docker's v2 schema 2)."""

import platform as machine
from collections.abc import Iterable
from dataclasses import dataclass

from linkspan.errors import InvalidInput, NotFound, Unsupported
from linkspan.images.document import Document
from linkspan.model.reference import is_digest

MANIFEST_LIMIT = 4 << 20
"""Bytes; what Docker takes at most."""

_LISTS = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
_VARIANTS = {"aarch64": "v8", "armv7l": "v7", "armv6l": "v6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Where an image runs. An empty variant means any."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Parse `OS/ARCHITECTURE[/VARIANT]`, `OS` or `ARCHITECTURE`; empty means this machine's. Raises InvalidInput."""
        here = cls.here()
        if not text:
            return here
        os_name, *rest = text.lower().split("/")
        if not rest:
            return here if os_name == "linux" else cls(os="linux", architecture=_MACHINES.get(os_name, os_name))
        if len(rest) > 2 or not all((os_name, *rest)):
            raise InvalidInput(f'"{text}": unable to parse platform: use OS/ARCHITECTURE[/VARIANT]')
        return cls(os=os_name, architecture=_MACHINES.get(rest[0], rest[0]), variant=rest[1] if rest[1:] else "")

    @classmethod
    def here(cls) -> "Platform":
        """This machine's."""
        name = machine.machine()
        return cls(os="linux", architecture=_MACHINES.get(name, name), variant=_VARIANTS.get(name, ""))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLayer:
    """A layer in a registry."""

    digest: str
    size: int

    @property
    def short_id(self) -> str:
        return self.digest.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an image in a registry is made of. `configuration` is its digest, and so the image's id."""

    configuration: str
    layers: tuple[RemoteLayer, ...]


def instance_digest(data: bytes, platform: Platform) -> str:
    """The digest of the platform's manifest if `data` lists several, empty if it is a manifest itself. Raises NotFound if none fits."""
    document = Document.parse(data, "the manifest")
    entries = list(document.children("manifests"))
    if document.text("mediaType") not in _LISTS and not entries:
        return ""
    fitting = [entry for entry in entries if _fits(entry.child("platform"), platform)]
    if not fitting:
        raise NotFound(f"no matching manifest for {platform} in the manifest list entries")
    exact = [entry for entry in fitting if entry.child("platform").text("variant") == platform.variant]
    return _digest((exact or fitting)[0])


def parse_manifest(data: bytes) -> Manifest:
    """Parse the manifest of one image; raises Unsupported for forms that cannot be unpacked here, InvalidInput if it is malformed."""
    document = Document.parse(data, "the manifest")
    if document.number("schemaVersion") != 2:
        raise Unsupported("the image has a manifest of schema 1, which is not supported: push it again with a newer tool")
    layers = list(document.children("layers"))
    _refuse_foreign(layer.text("mediaType") for layer in layers)
    return Manifest(
        configuration=_digest(document.child("config")),
        layers=tuple(RemoteLayer(digest=_digest(layer), size=layer.number("size")) for layer in layers),
    )


def _fits(entry: Document, platform: Platform) -> bool:
    same = (entry.text("os"), entry.text("architecture")) == (platform.os, platform.architecture)
    return same and (not platform.variant or entry.text("variant") in ("", platform.variant))


def _digest(entry: Document) -> str:
    digest = entry.text("digest")
    if not is_digest(digest):
        raise InvalidInput(f"the manifest is malformed: {digest!r} is no sha256 digest")
    return digest


def _refuse_foreign(media_types: Iterable[str]) -> None:
    for media_type in media_types:
        if media_type.endswith("zstd"):
            raise Unsupported("the image has layers compressed with zstd, which is not supported: push it with gzip layers")
        if ".tar" not in media_type:
            raise Unsupported(f"this is no container image: it has a layer of type {media_type}")
