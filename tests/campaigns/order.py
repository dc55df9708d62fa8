"""All or nothing: every step of every operation fails, is cancelled, or fails for good; then the whole host is compared."""

from tests.campaigns.campaign import Result, Scale
from tests.hosts import Host
from tests.lab import Lab, Trial
from tests.operations import OPERATIONS
from tests.operations import run as run_container
from tests.sabotage import Mode


def run_all(scale: Scale, names: list[str]) -> Result:
    """Try the operations of these names in every way."""
    tried, found, every = 0, [], max(1, round(1 / scale.share))
    (scale.folder / "e").mkdir(parents=True)
    with Host(scale.folder / "host.net") as host, Lab(host, scale.folder / "e") as lab:
        lab.do(run_container("first"))
        for name in names:
            lab.clear()
            trial = Trial(lab, OPERATIONS[name])
            for mode in Mode:
                try:
                    tried += trial.run(mode, every=every)
                except AssertionError as fault:
                    found.append(f"{name}: {fault}")
    return Result(tried=f"{tried} failing steps of {len(names)} operations", found=found)


def run(scale: Scale) -> Result:
    return run_all(scale, list(OPERATIONS))
