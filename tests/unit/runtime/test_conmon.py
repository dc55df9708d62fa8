"""How a runtime's refusal is worded and classed."""

import pytest

from linkspan.errors import CommandFailed, EngineError, InvalidInput
from linkspan.runtime.conmon import refused

RUNC = "runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (
            f'{RUNC}exec: "x": executable file not found in $PATH',
            InvalidInput,
            f'P: {RUNC}exec: "x": executable file not found in $PATH: unknown',
        ),
        (
            "executable file `x` not found in $PATH: No such file or directory",
            InvalidInput,
            'P: unable to start container process: exec: "x": executable file not found in $PATH: unknown',
        ),
        (
            "open executable: Permission denied",
            InvalidInput,
            "P: unable to start container process: exec: permission denied: unknown",
        ),
        (
            f"{RUNC}error mounting: not a directory",
            InvalidInput,
            f"P: {RUNC}error mounting: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? "
            "Check if the specified host path exists and is the expected type",
        ),
        ("something else", CommandFailed, "P: something else: unknown"),
    ],
)
def test_refusals(said: str, kind: type[EngineError], text: str) -> None:
    error = refused("P", CommandFailed(said, status=1))
    assert type(error) is kind
    assert str(error) == text
