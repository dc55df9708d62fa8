"""How many files this process may have open (RLIMIT_NOFILE)."""

import resource

_started_with: tuple[int, int] | None = None


def raise_limit() -> None:
    """Raise the soft limit to the hard one; equivalent to `ulimit -Sn $(ulimit -Hn)`.

    Programs that this process starts inherit it: `started_with` is what containers should get.
    """
    global _started_with  # noqa: PLW0603  a fact about the process
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _started_with = soft, hard


def started_with() -> tuple[int, int] | None:
    """Return the soft and the hard limit before `raise_limit`, None if nothing was raised."""
    return _started_with


def most() -> int:
    """Return how many files may be open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
