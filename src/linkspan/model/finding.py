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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of an examination, and of the repair before it if one was asked for."""

    findings: tuple[Finding, ...] = ()
    mended: tuple[str, ...] = ()
    """A sentence for each thing that was put right."""
    engine: bool = True
    """Whether an engine runs."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong now."""
        return all(finding.level is Level.NOTE for finding in self.findings)
