"""All or nothing: the inverses of the steps already done."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)


class Undo:
    """Runs the pushed inverses, last first, if the `with` block ends in an error; forgets them if it does not.

    An inverse that fails itself does not hide the first error: it is added to it as a note, and the others still run.
    """

    def __init__(self) -> None:
        self._inverses: list[tuple[str, Callable[[], object]]] = []

    def push(self, what: str, inverse: Callable[[], object]) -> None:
        """Remember how to take the step just done back; `what` names the inverse in notes and logs."""
        self._inverses.append((what, inverse))

    def unwind(self, error: BaseException) -> None:
        """Run every inverse, last first."""
        while self._inverses:
            what, inverse = self._inverses.pop()
            try:
                inverse()
            except Exception as failure:  # noqa: BLE001  every inverse gets its turn
                logger.warning("undo: could not %s: %s", what, failure)
                error.add_note(f"could not {what}: {failure}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.unwind(error)
        self._inverses.clear()
