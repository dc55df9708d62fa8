"""All or nothing: every step of every operation fails, is cancelled, or fails for good; then the whole host is compared."""

from tests.campaigns.campaign import Result, Scale
from tests.hosts import Host
from tests.image_operations import IMAGE_OPERATIONS, clear_images
from tests.lab import Lab, Trial, clear, in_order
from tests.operations import OPERATIONS
from tests.operations import run as run_container
from tests.registries import Registry
from tests.sabotage import Mode


def run(scale: Scale) -> Result:
    """Try the operations in every way."""
    operations = OPERATIONS | IMAGE_OPERATIONS
    tried, found, every = 0, [], max(1, round(1 / scale.share))
    (scale.folder / "e").mkdir(parents=True)
    with Host(scale.folder / "host.net") as host, Lab(host, scale.folder / "e") as lab:
        Registry(host, scale.folder / "registry").start()
        lab.do(run_container("first"))  # what the first container brings about stays: a few folders
        for name, operation in operations.items():
            for mode in Mode:
                try:
                    lab.clear()
                    lab.do(in_order(clear, clear_images))
                    lab.reopen()  # sweeps what could not be deleted
                    tried += Trial(lab, operation).run(mode, every=every)
                except AssertionError as fault:
                    found.append(f"{name}: {fault}")
    return Result(tried=f"{tried} failing steps of {len(operations)} operations", found=found)
