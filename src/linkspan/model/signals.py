"""Signals by name or number, as Docker takes them."""

import re
import signal

from linkspan.errors import InvalidInput

_NUMBER = re.compile(r"[0-9]{1,3}")


def signal_number(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15` or `SIGRTMIN+3`; raises InvalidInput in Docker's words."""
    name, plus, offset = text.upper().removeprefix("SIG").partition("+")
    number = int(name) if _NUMBER.fullmatch(name) and not plus else signal.Signals.__members__.get(f"SIG{name}", 0)
    if plus:
        number = number + int(offset) if number and _NUMBER.fullmatch(offset) else 0
    if not 1 <= number <= signal.SIGRTMAX:
        raise InvalidInput(f"Invalid signal: {text}")
    return int(number)
