"""Limits and devices of a create: HostConfig's resources, with Docker's checks (moby: daemon/daemon_unix.go)."""

import re

from linkspan.api.fields import Fields
from linkspan.errors import InvalidInput, Unsupported
from linkspan.model.container import Device, Resources, Ulimit

MINIMUM_MEMORY = 6 << 20
"""Bytes; a runtime needs about that much to start anything."""
_CPUS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
_BILLION = 10**9

_ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
OOM_WARNING = (
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
)


def parse_resources(host: Fields, cpus: int) -> tuple[Resources, tuple[str, ...]]:
    """Parse the limits; `cpus` is the number of this machine's. Returns them and warnings. Raises InvalidInput."""
    resources = Resources(
        memory=host.integer("Memory"),
        memory_swap=host.integer("MemorySwap"),
        memory_reservation=host.integer("MemoryReservation"),
        nano_cpus=host.integer("NanoCpus"),
        cpu_shares=host.integer("CpuShares"),
        cpu_quota=host.integer("CpuQuota"),
        cpu_period=host.integer("CpuPeriod"),
        cpuset_cpus=_cpu_set(host, "CpusetCpus", "cpus"),
        cpuset_mems=_cpu_set(host, "CpusetMems", "mems"),
        pids_limit=max(host.integer("PidsLimit"), 0),
        oom_kill_disable=host.boolean("OomKillDisable"),
        oom_score_adj=host.integer("OomScoreAdj"),
        ulimits=tuple(_ulimit(given) for given in host.children("Ulimits")),
        devices=tuple(_device(given) for given in host.children("Devices")),
    )
    _check_memory(resources)
    _check_cpus(resources, cpus)
    if not -1000 <= resources.oom_score_adj <= 1000:
        raise InvalidInput(f"Invalid value {resources.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.has("DeviceRequests"):
        raise Unsupported("device requests (--gpus) are not supported: give the devices one by one with --device")
    if host.has("DeviceCgroupRules"):
        raise Unsupported("device cgroup rules are not supported: give the devices one by one with --device")
    warnings = (OOM_WARNING,) if resources.oom_kill_disable and not resources.memory else ()
    return resources, warnings


def _check_memory(resources: Resources) -> None:
    memory, swap, reservation = resources.memory, resources.memory_swap, resources.memory_reservation
    refusals = (
        (memory != 0 and memory < MINIMUM_MEMORY, "Minimum memory limit allowed is 6MB"),
        (memory > 0 and 0 < swap < memory, "Minimum memoryswap limit should be larger than memory limit, see usage"),
        (memory == 0 and swap > 0, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        (reservation != 0 and reservation < MINIMUM_MEMORY, "Minimum memory reservation allowed is 6MB"),
        (0 < memory < reservation, "Minimum memory limit can not be less than memory reservation limit, see usage"),
    )
    _refuse_first(refusals)


def _check_cpus(resources: Resources, cpus: int) -> None:
    nano, quota, period = resources.nano_cpus, resources.cpu_quota, resources.cpu_period
    refusals = (
        (nano > 0 and period > 0, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
        (nano > 0 and quota > 0, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        (
            not 0 <= nano <= cpus * _BILLION,
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available",
        ),
        (resources.cpu_shares < 0, f"shares of CPU time cannot be negative: {resources.cpu_shares}"),
        (
            period != 0 and not 1000 <= period <= 1_000_000,
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (0 < quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    )
    _refuse_first(refusals)


def _refuse_first(refusals: tuple[tuple[bool, str], ...]) -> None:
    for found, text in refusals:
        if found:
            raise InvalidInput(text)


def _cpu_set(host: Fields, field: str, what: str) -> str:
    """Parse `0-2,5`."""
    text = host.text(field)
    for part in text.split(",") if text else ():
        match = _CPUS.fullmatch(part.strip())
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise InvalidInput(f"Invalid value {text} for cpuset {what}")
    return text


def _ulimit(given: Fields) -> Ulimit:
    name, soft, hard = given.text("Name").lower(), given.integer("Soft"), given.integer("Hard")
    if name not in _ULIMITS:
        raise InvalidInput(f"invalid ulimit type: {name}")
    if hard != -1 and (soft == -1 or soft > hard):
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name=name, soft=soft, hard=hard)


def _device(given: Fields) -> Device:
    host_path = given.text("PathOnHost")
    permissions = given.text("CgroupPermissions") or "rwm"
    if not host_path.startswith("/"):
        raise InvalidInput(f"invalid device path: {host_path!r} must be absolute")
    if not set(permissions) <= set("rwm"):
        raise InvalidInput(f"invalid device mode: {permissions}")
    return Device(host_path=host_path, container_path=given.text("PathInContainer") or host_path, permissions=permissions)
