"""All or nothing: every step of every operation fails, is cancelled, or fails for good; then the whole host is compared."""

import contextlib
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from queue import Empty, Queue

from tests.campaigns.campaign import Result, Scale
from tests.hosts import Host
from tests.image_operations import IMAGE_OPERATIONS, clear_images
from tests.lab import Faults, Lab, Trial, clear, in_order
from tests.operations import OPERATIONS
from tests.operations import run as run_container
from tests.registries import Registry
from tests.sabotage import Mode

HOSTS = 2
ALL = OPERATIONS | IMAGE_OPERATIONS


def run(scale: Scale) -> Result:
    """Try the operations in every way; on hosts side by side, each in a process of its own: a lab takes its process over."""
    folders = [replace(scale, folder=scale.folder / str(number)) for number in range(HOSTS)]
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(HOSTS, mp_context=context) as hosts:
        names = manager.Queue()
        for name in ALL:
            names.put(name)
        results = list(hosts.map(_run, folders, [names] * HOSTS))
    tried, found = sum(tried for tried, _ in results), [fault for _, faults in results for fault in faults]
    return Result(tried=f"{tried} failing steps of {len(ALL)} operations", found=found)


def _run(scale: Scale, names: "Queue[str]") -> tuple[int, list[str]]:
    tried = 0
    found: list[str] = []
    (scale.folder / "e").mkdir(parents=True)
    with Host(scale.folder / "host.net") as host, Lab(host, scale.folder / "e") as lab:
        Registry(host, scale.folder / "registry").start()
        lab.do(run_container("first"))  # what the first container brings about stays: a few folders
        with contextlib.suppress(Empty):
            while True:
                steps, faults = _try(lab, names.get_nowait(), every=max(1, round(1 / scale.share)))
                tried, found = tried + steps, found + faults
    return tried, found


def _try(lab: Lab, name: str, *, every: int) -> tuple[int, list[str]]:
    tried = 0
    found: list[str] = []
    for mode in Mode:
        try:
            lab.clear()
            lab.do(in_order(clear, clear_images))
            lab.reopen()  # sweeps what could not be deleted
            tried += Trial(lab, ALL[name]).run(mode, every=every)
        except Faults as faults:
            tried += faults.tried
            found += [f"{name}: {fault.partition(chr(10))[0]}" for fault in faults.all]
            sys.stderr.write(f"{name}: {faults}\n")
        except Exception as fault:  # noqa: BLE001  the other operations get their turn
            found.append(f"{name}, {mode.value}: {fault!r}")
    sys.stderr.write(f"order: {tried} failing steps of {name}, {len(found)} found\n")
    return tried, found
