"""All or nothing: every step of every operation fails, is cancelled, or fails for good; then the whole host is compared."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from tests.campaigns.campaign import Result, Scale
from tests.hosts import Host
from tests.image_operations import IMAGE_OPERATIONS, clear_images
from tests.lab import Lab, Trial, clear, in_order
from tests.operations import OPERATIONS
from tests.operations import run as run_container
from tests.registries import Registry
from tests.sabotage import Mode

HOSTS = 2
ALL = OPERATIONS | IMAGE_OPERATIONS


def run(scale: Scale) -> Result:
    """Try the operations in every way; on hosts side by side, each in a process of its own: a lab takes its process over."""
    shares = [(replace(scale, folder=scale.folder / str(number)), list(ALL)[number::HOSTS]) for number in range(HOSTS)]
    with ProcessPoolExecutor(HOSTS, mp_context=get_context("spawn")) as hosts:
        results = list(hosts.map(_run, *zip(*shares, strict=True)))
    tried, found = sum(tried for tried, _ in results), [fault for _, faults in results for fault in faults]
    return Result(tried=f"{tried} failing steps of {len(ALL)} operations", found=found)


def _run(scale: Scale, names: list[str]) -> tuple[int, list[str]]:
    tried, found, every = 0, [], max(1, round(1 / scale.share))
    (scale.folder / "e").mkdir(parents=True)
    with Host(scale.folder / "host.net") as host, Lab(host, scale.folder / "e") as lab:
        Registry(host, scale.folder / "registry").start()
        lab.do(run_container("first"))  # what the first container brings about stays: a few folders
        for name in names:
            for mode in Mode:
                try:
                    lab.clear()
                    lab.do(in_order(clear, clear_images))
                    lab.reopen()  # sweeps what could not be deleted
                    tried += Trial(lab, ALL[name]).run(mode, every=every)
                except AssertionError as fault:
                    found.append(f"{name}: {fault}")
    return tried, found
