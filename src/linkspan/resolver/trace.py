"""What was done to answer a question, step by step, for people who ask why."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Trace:
    """A list of steps; `message` of a step is the answer, as it came."""

    steps: list[dict[str, object]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def add(self, what: str, *, server: str = "", message: bytes = b"") -> None:
        """Write down a step."""
        step: dict[str, object] = {"ms": round((time.monotonic() - self._began) * 1000, 2), "what": what}
        if server:
            step["server"] = server
        if message:
            step["message"] = message.hex()
        self.steps.append(step)


class NoTrace(Trace):
    """Takes note of nothing: for all the questions that nobody asks why about."""

    def add(self, what: str, *, server: str = "", message: bytes = b"") -> None:
        """Do nothing."""


UNTRACED = NoTrace()
