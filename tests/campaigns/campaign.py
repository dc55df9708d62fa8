"""Campaigns: long hunts for faults. `make soak` runs them all in full; the tests run the same code at a small scale with fixed seeds.

A campaign is a module of this folder: the first line of its docstring says what it tries, and

    def run(scale: Scale) -> Result:
        with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine:
            for number in range(scale.times(200)): ...
        return Result(tried="200 kills", found=[...])

`found` holds one sentence per fault; an exception that leaves `run` is a finding too. Nothing else is needed: modules are found by
themselves.
"""

import importlib
import pkgutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of a campaign to run, and where."""

    folder: Path
    """The campaign's own, short enough for a socket in it."""
    share: float = 1.0
    """Of the whole campaign; 1 is what `make soak` does."""
    seed: int = 1

    def times(self, full: int, *, least: int = 1) -> int:
        """Return how often to do what the whole campaign does `full` times."""
        return max(least, round(full * self.share))

    def random(self) -> Random:
        """Return what draws the campaign's random numbers: the same ones for the same seed."""
        return Random(self.seed)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a campaign did and saw."""

    tried: str
    """In figures, e.g. `200 kills among 3,120 operations`."""
    found: Sequence[str] = ()
    """One sentence per fault."""
    notes: str = ""
    seconds: float = field(default=0.0, compare=False)
    """Filled in by `executed`."""


@dataclass(frozen=True)
class Campaign:
    """One module of this folder."""

    name: str
    title: str
    run: Callable[[Scale], Result]


def campaigns() -> Iterator[Campaign]:
    """Yield every campaign there is, by name."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name == "__main__":
            continue
        loaded = importlib.import_module(f"tests.campaigns.{module.name}")
        if hasattr(loaded, "run"):
            yield Campaign(module.name, (loaded.__doc__ or module.name).splitlines()[0], loaded.run)


def executed(campaign: Campaign, scale: Scale) -> Result:
    """Run a campaign; what it raises is a finding."""
    scale.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        result = campaign.run(scale)
    except Exception as error:  # noqa: BLE001  the other campaigns get their turn
        traceback.print_exc()
        result = Result(tried="not to its end", found=[f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"])
    return replace(result, seconds=time.monotonic() - start)
