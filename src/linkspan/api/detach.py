"""Detach keys: what a user types to leave a container's terminal without ending it."""

import re

from linkspan.errors import InvalidInput

DEFAULT_KEYS = "ctrl-p,ctrl-q"

_CONTROL = re.compile(r"ctrl-([a-z@\[\\\]^_])")


class DetachKeys:
    """Finds the keys in what is typed; the beginning of them is held back until it is clear what it is."""

    def __init__(self, keys: str = "") -> None:
        self._keys = _parse(keys or DEFAULT_KEYS)
        self._matched = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what of it is input, and whether the keys are complete (what follows them is dropped)."""
        passed = bytearray()
        for position in range(len(typed)):
            key = typed[position : position + 1]
            if key != self._keys[self._matched : self._matched + 1]:
                passed += self._keys[: self._matched]
                self._matched = 0
            if key != self._keys[self._matched : self._matched + 1]:
                passed += key
                continue
            self._matched += 1
            if self._matched == len(self._keys):
                return bytes(passed), True
        return bytes(passed), False


def _parse(text: str) -> bytes:
    """Parse `ctrl-p,ctrl-q`, `ctrl-@,x`; raises InvalidInput in Docker's words."""
    return b"".join(_key(name, text) for name in text.split(","))


def _key(name: str, text: str) -> bytes:
    if len(name) == 1 and name.isascii():
        return name.encode()
    match = _CONTROL.fullmatch(name.lower())
    if match is None:
        raise InvalidInput(f"Invalid detach keys ({text}) provided")
    return bytes([ord(match[1].upper()) & 0x1F])
