"""A measurement that fails gets new engines and a second try; the others go on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.engines import Field
from bench.measure import Effort, Measured, Part


class Parts:
    """Parts that fail as often as they are told to."""

    def __init__(self) -> None:
        self.engines = 0

    def part(self, name: str, failures: int) -> Part:
        left = iter([True] * failures)

        def measure(field: Field, effort: Effort) -> Iterator[Measured]:
            if next(left, False):
                raise RuntimeError("dockerd: broken pipe")
            yield Measured(name, {})

        return Part(name, (name,), measure)

    @contextlib.contextmanager
    def contestants(self, folder: Path, names: list[str], *flags: str) -> Iterator[Field]:
        self.engines += 1
        yield []


def test_what_fails_once_is_measured_again_and_what_fails_twice_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, failed = Parts(), list[Part]()
    monkeypatch.setattr(bench, "contestants", parts.contestants)
    asked = [parts.part("good", 0), parts.part("shaky", 1), parts.part("broken", 2), parts.part("last", 0)]
    found = [measured.row for measured in bench.measure(asked, [], Effort(), failed)]
    assert found == ["good", "shaky", "last"]
    assert failed == [asked[2]]
    assert parts.engines == 4  # the first, and new ones after each failure
