"""Signals by name or number, as Docker takes them."""

import signal

from linkspan.errors import InvalidInput


def signal_number(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15` or `SIGRTMIN+3`; raises InvalidInput in Docker's words."""
    name, plus, offset = text.upper().removeprefix("SIG").partition("+")
    if name.isdecimal() and not plus and 1 <= int(name) <= signal.SIGRTMAX:
        return int(name)
    number = signal.Signals.__members__.get(f"SIG{name}")
    if number is None or (plus and not offset.isdecimal()):
        raise InvalidInput(f"Invalid signal: {text}")
    return int(number) + int(offset or 0)
