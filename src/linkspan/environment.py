"""The process's environment: read here and nowhere else. A module of its own, because the command needs it at every start."""

import os


def environment(name: str) -> str:
    """Return an environment variable, empty if it is not set."""
    return os.environ.get(name, "")


def is_set(name: str) -> bool:
    """Whether the variable is there, if only empty."""
    return name in os.environ
