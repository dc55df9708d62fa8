"""Registries, by skopeo."""

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from linkspan.errors import CommandFailed, EngineError, KernelError, MissingTool, NotFound
from linkspan.images import room, skopeo
from linkspan.images.manifest import Manifest, Platform, RemoteLayer, instance_digest, parse_manifest
from linkspan.model.reference import DEFAULT_DOMAIN, Reference

POLL_INTERVAL = 0.1
"""Seconds between two looks at how far a download is."""

_REASON = re.compile(r'(?:Get|Head) "http.*', re.DOTALL)
_DENIED = (
    "access to the resource is denied",
    "access denied",
    "unauthorized",
    "authentication required",
    "invalid username",
    "name unknown",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Who asks, out of Docker's X-Registry-Auth header. An identity token stands in for the password."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One message of a pull or push: Docker's JSON stream. `total` 0 means that there is no bar."""

    status: str
    id: str = ""
    current: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image in a registry: `digest` is that of what its name means there, `configuration` the file that makes its id."""

    digest: str
    source: str
    """Name of the manifest to copy, by digest, so that it cannot change in between."""
    manifest: Manifest
    configuration: bytes


class Registries:
    """All registries. `temporary` is a folder for passwords and downloads; whatever is left in it may be swept."""

    def __init__(self, temporary: Path, insecure: Sequence[str]) -> None:
        self._temporary = temporary
        self._insecure = tuple(insecure)

    async def look_up(self, reference: Reference, platform: Platform, auth: RegistryAuth | None) -> RemoteImage:
        """Ask what the name means for this platform. Raises NotFound, or EngineError with the registry's reason, in Docker's words."""
        with _translated(reference), self._access("", reference, auth) as access:
            raw = await skopeo.inspect(f"docker://{reference.full}", *access)
            digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            instance = instance_digest(raw, platform)
            source = f"{reference.name}@{instance or digest}"
            manifest = parse_manifest(await skopeo.inspect(f"docker://{source}", *access) if instance else raw)
            configuration = await skopeo.inspect(f"docker://{source}", "--config", *access)
        if f"sha256:{hashlib.sha256(configuration).hexdigest()}" != manifest.configuration:
            raise EngineError(f"{reference}: the registry sent another configuration than the manifest names")
        return RemoteImage(digest=digest, source=source, manifest=manifest, configuration=configuration)

    async def download(
        self, image: RemoteImage, reference: Reference, auth: RegistryAuth | None, folder: Path
    ) -> AsyncGenerator[Progress, None]:
        """Fetch the layers that `folder`/sha256 lacks, named by their digests; tells of every layer. Raises as `look_up` does."""
        layout = folder / "layout"
        with _translated(reference), self._access("src-", reference, auth) as access:
            room.require(folder, sum(layer.size for layer in image.manifest.layers))
            layout.mkdir()
            copying = asyncio.create_task(
                skopeo.copy(
                    f"docker://{image.source}",
                    f"oci:{layout}:image",
                    *(*access, f"--dest-shared-blob-dir={folder}", "--dest-oci-accept-uncompressed-layers"),
                    temporary=self._temporary,
                )
            )
            # No TaskGroup: it must not be open while an asynchronous generator yields, because its body could end in another task.
            try:
                watch = _DownloadWatch(image.manifest.layers, folder / "sha256", layout, configuration=len(image.configuration))
                while not (await asyncio.wait({copying}, timeout=POLL_INTERVAL))[0]:
                    for progress in watch.look():
                        yield progress
                await copying
                for progress in watch.look():
                    yield progress
            finally:
                copying.cancel()
                await asyncio.gather(copying, return_exceptions=True)

    async def upload(self, source: str, reference: Reference, auth: RegistryAuth | None) -> str:
        """Push the image that skopeo knows as `source`; returns the digest of its manifest. Raises as `look_up` does."""
        digest_file = self._temporary / f"digest-{os.urandom(8).hex()}"
        with _translated(reference, "push"), self._access("dest-", reference, auth) as access:
            options = (*access, "--format=v2s2", f"--digestfile={digest_file}")
            try:
                await skopeo.copy(source, f"docker://{reference.full}", *options, temporary=self._temporary)
                return digest_file.read_text().strip()
            finally:
                digest_file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _access(self, side: str, reference: Reference, auth: RegistryAuth | None) -> Iterator[Sequence[str]]:
        """Give skopeo's options for this registry; `side` is the prefix that `copy` wants. The password is in a file, not in `ps`."""
        options = [f"--{side}tls-verify=false"] if is_insecure(reference.domain, self._insecure) else []
        if auth is None:
            yield [*options, f"--{side}no-creds"]
            return
        path = self._temporary / f"auth-{os.urandom(8).hex()}.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump({"auths": {reference.domain: _credentials(auth)}}, file)
            yield [*options, f"--{side}authfile={path}"]
        finally:
            path.unlink()


def is_insecure(domain: str, insecure: Sequence[str]) -> bool:
    """Whether a registry may be asked without TLS: this host's own, and those the administrator named, by name or by address range."""
    if domain == DEFAULT_DOMAIN:
        return False
    host = domain.removeprefix("[").partition("]")[0] if domain.startswith("[") else domain.partition(":")[0]
    if host == "localhost" or domain in insecure or host in insecure:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in _networks(insecure))


class _DownloadWatch:
    """How far a download is, by the sizes of skopeo's files.

    A file gets its digest as name when it is complete; before, nothing says which layer it is. Layers start in the manifest's order,
    so a new file is taken for the first layer that has none. A file that outgrows its layer changes with one whose layer is larger.
    """

    def __init__(self, layers: Sequence[RemoteLayer], finished: Path, unfinished: Path, *, configuration: int = 0) -> None:
        self._pending = list({layer.digest: layer for layer in layers}.values())
        self._finished = finished
        self._unfinished = unfinished
        self._files: dict[Path, RemoteLayer] = {}
        self._largest = max((configuration, *(layer.size for layer in layers)))  # which comes in such a file too

    def look(self) -> Iterator[Progress]:
        for layer in tuple(self._pending):
            if (self._finished / layer.digest.removeprefix("sha256:")).exists():
                self._pending.remove(layer)
                yield Progress(id=layer.short_id, status="Download complete")
        for path in sorted(self._unfinished.glob("oci-put-blob*")):
            with contextlib.suppress(FileNotFoundError, StopIteration):
                size = path.stat().st_size
                if size > self._largest:  # skopeo looks at the end only, which may never come
                    raise EngineError(f"the registry sends more than the manifest says: a layer of {size} bytes")
                layer = self._layer_of(path, size)
                yield Progress(id=layer.short_id, status="Downloading", current=min(size, layer.size), total=layer.size)

    def _layer_of(self, path: Path, size: int) -> RemoteLayer:
        taken = self._files.values()
        if self._files.get(path) not in self._pending:
            self._files[path] = next(layer for layer in self._pending if layer not in taken)
        layer = self._files[path]
        if size > layer.size:
            larger = next(layer for layer in self._pending if layer.size >= size)
            for other in [other for other, theirs in self._files.items() if theirs is larger]:
                self._files[other] = layer
            self._files[path] = larger
        return self._files[path]


def _networks(texts: Sequence[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in texts:
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(text)


def _credentials(auth: RegistryAuth) -> Mapping[str, str]:
    pair = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    return {"auth": pair, "identitytoken": auth.identity_token} if auth.identity_token else {"auth": pair}


@contextlib.contextmanager
def _translated(reference: Reference, action: str = "pull") -> Iterator[None]:
    """Raise what skopeo said in Docker's words, and what the file system refused."""
    try:
        yield
    except MissingTool:
        raise
    except CommandFailed as error:
        raise _refusal(skopeo.reason(error), reference, action) from error
    except OSError as error:
        raise KernelError(f"{action} {reference}", error.errno or 0, error.filename or "") from error


def _refusal(said: str, reference: Reference, action: str) -> EngineError:
    if "manifest unknown" in said:
        return NotFound(f"manifest for {reference} not found: manifest unknown: manifest unknown")
    if any(word in said for word in _DENIED):
        return NotFound(
            f"{action} access denied for {reference.short_name}, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied"
        )
    if "no space left on device" in said:
        return EngineError(f"cannot {action} {reference}: no space left on device")
    reason = _REASON.search(said)
    return EngineError(reason[0] if reason else f"cannot {action} {reference}: {said}")
