"""API versions: what is served, and how a client asks for one (`/v1.41/…`)."""

import re
from typing import NamedTuple, Self

from linkspan.errors import InvalidInput

_PREFIX = re.compile(r"/v([0-9]{1,9})\.([0-9]{1,9})(?=/|$)")


class Version(NamedTuple):
    """A version of Docker's API; compares as numbers do."""

    major: int
    minor: int

    @classmethod
    def split(cls, path: str) -> tuple[Self | None, str]:
        """Return the version that the path begins with, None without one, and the rest of the path."""
        match = _PREFIX.match(path)
        if match is None:
            return None, path
        return cls(int(match[1]), int(match[2])), path[match.end() :]

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


MINIMUM = Version(1, 24)
CURRENT = Version(1, 51)


def served(version: Version) -> Version:
    """Return the version if it is served; raises InvalidInput in Docker's words."""
    if version > CURRENT:
        raise InvalidInput(f"client version {version} is too new. Maximum supported API version is {CURRENT}")
    if version < MINIMUM:
        raise InvalidInput(
            f"client version {version} is too old. Minimum supported API version is {MINIMUM}, "
            "please upgrade your client to a newer version"
        )
    return version
