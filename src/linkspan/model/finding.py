"""What `doctor` finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    PROBLEM = "problem"
    """Something does not work, or soon will not."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found: what is wrong, why it matters, and what mends it."""

    kind: str
    """What sort of finding it is, in one word with dashes: for programs."""
    what: str
    why: str
    remedy: str
    """A command, or a sentence where no command can do it."""
    level: Level = Level.PROBLEM
    repairable: bool = False
    """Whether `linkspan doctor --repair` mends it."""
