"""Names of images: `busybox`, `host:5000/team/app:1.2`, `app@sha256:…`, and their full form."""

import re
from typing import NamedTuple

from linkspan.cli.failures import CommandError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")


class Reference(NamedTuple):
    """A parsed image name; `registry` is docker.io where none was written."""

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def familiar(self) -> str:
        """The short name without tag: `busybox`, `quay.io/x/y`."""
        if self.registry != "docker.io":
            return f"{self.registry}/{self.path}"
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def full(self) -> str:
        """`docker.io/library/busybox:latest`."""
        return f"{self.registry}/{self.path}{self.suffix}"

    @property
    def suffix(self) -> str:
        """`:TAG`, `@DIGEST` or both; `:latest` if the name had neither."""
        tag = f":{self.tag}" if self.tag else "" if self.digest else ":latest"
        return tag + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Parse an image name.

    Raises CommandError in Docker's words.
    """
    name, at, digest = text.partition("@")
    head, slash, tail = name.rpartition("/")
    last, colon, tag = tail.partition(":")
    whole = head + slash + last
    first, inner, rest = whole.partition("/")
    if inner and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, path = first, rest
    else:
        registry, path = "docker.io", whole if inner else f"library/{whole}"
    if _PATH.fullmatch(path.lower()) and path != path.lower():
        raise CommandError(f"invalid reference format: repository name ({path}) must be lowercase")
    wrong_tag = bool(colon) and not _TAG.fullmatch(tag)
    wrong_name = not _REGISTRY.fullmatch(registry) or not _PATH.fullmatch(path)
    if wrong_name or wrong_tag or (at and not _DIGEST.fullmatch(digest)):
        raise CommandError("invalid reference format")
    return Reference("docker.io" if registry == "index.docker.io" else registry, path, tag, digest)
