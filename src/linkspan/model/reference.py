"""Names of images: `busybox`, `localhost:5000/team/app:1.2`, `busybox@sha256:…`.

The engine and the command share this parser, so it imports nothing that takes time (dataclasses would). Grammar and words:
distribution/reference, which Docker uses. A short name belongs to docker.io, and to its `library` if it has no user.
"""

import re
from typing import NamedTuple, Self

from linkspan.errors import InvalidInput

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255
"""Characters of domain and path together."""

_LONGEST = 1024
"""Characters; more than the longest name, tag and digest together have."""
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BARE_ID = re.compile(r"[0-9a-f]{64}")


class Reference(NamedTuple):
    """A full name. `str()` gives the short form that people write and read, `busybox:latest`."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what a user wrote; adds no tag. Raises InvalidInput in Docker's words."""
        if len(text) > _LONGEST:
            raise InvalidInput("invalid reference format")
        if _BARE_ID.fullmatch(text):
            raise InvalidInput(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        named, has_digest, digest = text.partition("@")
        domain, remainder = _split_domain(named)
        path, has_tag, tag = remainder.partition(":")
        if path != path.lower():
            raise InvalidInput(f"invalid reference format: repository name ({path}) must be lowercase")
        if (
            not (_DOMAIN.fullmatch(domain) and _PATH.fullmatch(path))
            or (has_tag and not _TAG.fullmatch(tag))
            or (has_digest and not _DIGEST.fullmatch(digest))
        ):
            raise InvalidInput("invalid reference format")
        if len(domain) + 1 + len(path) > NAME_LIMIT:
            raise InvalidInput(f"repository name must not be more than {NAME_LIMIT} characters")
        return cls(domain=domain, path=path, tag=tag, digest=digest)

    @property
    def name(self) -> str:
        """The full name without tag and digest: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    @property
    def short_name(self) -> str:
        """The name as people write it: `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def suffix(self) -> str:
        """`:TAG` or `@DIGEST`, the digest if there are both; empty if there is neither."""
        if self.digest:
            return f"@{self.digest}"
        return f":{self.tag}" if self.tag else ""

    @property
    def full(self) -> str:
        """The name with nothing left out, `docker.io/library/busybox:latest`; the digest alone decides if there is one."""
        return self.name + self.suffix

    def or_latest(self) -> Self:
        """With tag `latest` if it has neither tag nor digest."""
        return self if self.tag or self.digest else self._replace(tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.short_name + self.suffix


def is_digest(text: str) -> bool:
    """Whether the text is `sha256:` and 64 hex digits."""
    return _DIGEST.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether the text can only be an image's id: a digest, with or without `sha256:`."""
    return is_digest(text) or _BARE_ID.fullmatch(text) is not None


def _split_domain(named: str) -> tuple[str, str]:
    first, slash, rest = named.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost" or first != first.lower()):
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, named
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
