"""A right body of a create with every field in it, and what to put in the place of any part of it."""

from collections.abc import Iterator
from typing import Any

BODY: dict[str, Any] = {
    "Image": "busybox", "Cmd": ["sh", "-c", "true"], "Entrypoint": ["sh"], "Env": ["A=b"], "WorkingDir": "/", "User": "0:0",
    "Hostname": "box",
    "Domainname": "example", "Tty": False, "OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True,
    "AttachStderr": True, "Labels": {"a": "b"}, "StopSignal": "SIGRTMIN+3", "StopTimeout": 10, "ExposedPorts": {"80/tcp": {}},
    "MacAddress": "02:42:ac:11:00:02", "Volumes": None, "Healthcheck": {"Test": ["NONE"]}, "NetworkDisabled": False,
    "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:ac:11:00:02", "Aliases": None,
    "IPAMConfig": {"IPv4Address": ""}}}},
    "HostConfig": {
        "NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000-8010"}]}, "PublishAllPorts": True,
        "Binds": ["/a:/b:ro,rslave"], "Tmpfs": {"/run": "size=64m"}, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "Mounts": [{"Type": "bind", "Source": "/c", "Target": "/d", "ReadOnly": True, "BindOptions": {"Propagation": "rprivate"}},
                   {"Type": "tmpfs", "Target": "/e", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}}],
        "AutoRemove": False, "Dns": ["1.1.1.1"], "DnsSearch": ["example"], "DnsOptions": ["ndots:1"], "ExtraHosts": ["a:1.2.3.4"],
        "Links": None,
        "Sysctls": {"net.ipv4.ip_forward": "0"}, "Memory": 64 << 20, "MemorySwap": -1, "MemoryReservation": 32 << 20, "NanoCpus": 10**9,
        "CpuShares": 2, "CpuQuota": 0, "CpuPeriod": 0, "CpusetCpus": "0-1,3", "CpusetMems": "0", "PidsLimit": 10, "OomKillDisable": False,
        "OomScoreAdj": 0, "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}], "DeviceRequests": None, "DeviceCgroupRules": None,
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}], "Privileged": False,
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'],
        "GroupAdd": ["0"], "ReadonlyRootfs": True, "ShmSize": 1 << 20, "Init": True, "IpcMode": "private", "PidMode": "", "UTSMode": "",
        "UsernsMode": "", "CgroupnsMode": "private", "Runtime": "runc", "Isolation": "", "LogConfig": {"Type": "json-file", "Config": {}},
        "MemorySwappiness": -1, "StorageOpt": None,
    },
}  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**400, 1.5, -0.0, 1e308, "", "x", "/", "..", "\0", "a\0b", "\n",
    "\x1b[2J", "a\nb",
    "\ud800", "\udcff", "٣", "😀", "9" * 5000, "-9" * 100, "a=b", "a:b", ":", "0", "65536", "container:", "container:\n", "seccomp={",
    "seccomp=[]",
    'seccomp={"defaultAction":1,"syscalls":[{"names":5,"action":[]}]}',
    'seccomp={"defaultAction":"x","syscalls":[{"includes":{"minKernel":5}}]}',
    [], [[]], [None], [""], ["\0"], ["x"] * 1000, [{}], [1.5], {}, {"": ""}, {"\0": 1}, {"x": None}, {"x": {}}, {"x": [{}]},
    {"a" * 1000: {}},
    {str(number): {} for number in range(1000)},
)  # fmt: skip


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    if before:
        yield before
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*before, key))


def replaced(value: Any, place: tuple[Any, ...], part: Any) -> Any:
    """The value with another part at one place."""
    if not place:
        return part
    copied = value.copy()
    copied[place[0]] = replaced(value[place[0]], place[1:], part)
    return copied


def renamed(value: Any, place: tuple[Any, ...], name: str) -> Any:
    """The value with the last key on a way renamed, e.g. that of a port or of a label."""
    if len(place) == 1:
        return {name if key == place[0] else key: part for key, part in value.items()}
    return replaced(value, place[:1], renamed(value[place[0]], place[1:], name))


PLACES = list(places(BODY))
