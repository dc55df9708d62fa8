"""The engine itself on the wire: info, version, events, disk usage."""

import platform
from collections.abc import Sequence

from linkspan import __version__
from linkspan.api.times import SECOND, rfc3339
from linkspan.api.versions import CURRENT, MINIMUM
from linkspan.api.wire_containers import container_line
from linkspan.engine.views import ContainerView, SystemInfo
from linkspan.model.container import Event
from linkspan.model.image import Image

Json = dict[str, object]

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def info(system: SystemInfo, now: int) -> Json:
    """Render GET /info; `now` in nanoseconds. `Linkspan` holds what Docker has no field for."""
    return {
        "ID": system.id,
        "Name": system.name,
        "ServerVersion": __version__,
        "SystemTime": rfc3339(now),
        **_counts(system),
        **_abilities(system),
        **_parts(system),
        "KernelVersion": system.kernel,
        "OperatingSystem": system.os,
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": system.architecture,
        "NCPU": system.cpus,
        "MemTotal": system.memory,
        "DockerRootDir": system.data_root,
        "Labels": list(system.labels),
        "LiveRestoreEnabled": system.live_restore,
        "Warnings": list(system.warnings) or None,
        "Linkspan": {
            "ExecRoot": system.exec_root,
            "Bridge": system.bridge,
            "RuntimeReason": system.runtime_reason,
            "Versions": system.versions,
        },
    }


def _counts(system: SystemInfo) -> Json:
    return {
        "Containers": system.containers,
        "ContainersRunning": system.running,
        "ContainersPaused": system.paused,
        "ContainersStopped": system.stopped,
        "Images": system.images,
    }


def _abilities(system: SystemInfo) -> Json:
    """What the clients warn about if it is missing."""
    return {
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "OomKillDisable": system.cgroup_version == "1",
        "IPv4Forwarding": True,
        "BridgeNfIptables": True,
        "BridgeNfIp6tables": True,
        "Debug": False,
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
        "ExperimentalBuild": False,
    }


def _parts(system: SystemInfo) -> Json:
    return {
        "Driver": "overlay2",
        "DriverStatus": [],
        "Plugins": {"Volume": [], "Network": ["bridge", "host", "null"], "Authorization": None, "Log": ["json-file"]},
        "LoggingDriver": "json-file",
        "CgroupDriver": system.cgroup_driver,
        "CgroupVersion": system.cgroup_version,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [],
            "IndexConfigs": {
                name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in system.insecure_registries
            },
            "Mirrors": [],
        },
        "GenericResources": None,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Runtimes": {system.runtime: {"path": system.runtime}},
        "DefaultRuntime": system.runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "Isolation": "",
        "InitBinary": "docker-init",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": _commit(system.versions.get(system.runtime, "")),
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": ["name=seccomp,profile=builtin"],
    }


def _commit(version: str) -> Json:
    return {"ID": version, "Expected": version}


def version(system: SystemInfo) -> Json:
    """Render GET /version."""
    architecture = _GO_ARCHITECTURES.get(system.architecture, system.architecture)
    details = {
        "ApiVersion": str(CURRENT),
        "Arch": architecture,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": f"none (Python {platform.python_version()})",
        "KernelVersion": system.kernel,
        "MinAPIVersion": str(MINIMUM),
        "Os": "linux",
    }
    others = [{"Name": name, "Version": number, "Details": {}} for name, number in sorted(system.versions.items())]
    return {
        "Platform": {"Name": "linkspan"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}, *others],
        "Version": __version__,
        "ApiVersion": details["ApiVersion"],
        "MinAPIVersion": details["MinAPIVersion"],
        "GitCommit": "",
        "GoVersion": details["GoVersion"],
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": system.kernel,
        "BuildTime": "",
    }


def event(event: Event) -> Json:
    """Render an event, with the fields at the top that old clients read."""
    old: Json = {"status": event.action, "id": event.actor} if event.kind in ("container", "image") else {}
    if event.kind == "container" and "image" in event.attributes:
        old["from"] = event.attributes["image"]
    return {
        **old,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "scope": "local",
        "time": event.time // SECOND,
        "timeNano": event.time,
    }


def disk_usage(images: Sequence[Image], containers: Sequence[ContainerView], now: int) -> Json:
    """Render GET /system/df."""
    users = [view.container.spec.image for view in containers]
    return {
        "LayersSize": sum(image.size for image in images),
        "Images": [_used_image(image, users.count(image.id)) for image in images],
        "Containers": [container_line(view, now, size=True) for view in containers],
        "Volumes": [],
        "BuildCache": [],
        "BuilderSize": 0,
    }


def _used_image(image: Image, containers: int) -> Json:
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Created": image.created // SECOND,
        "Size": image.size,
        "VirtualSize": image.size,
        "SharedSize": 0,
        "Labels": image.config.labels or None,
        "Containers": containers,
    }
