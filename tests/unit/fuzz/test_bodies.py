"""Bodies of requests: a right one with any part of it replaced by something wrong, all the way from the socket to the runtime's files."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkspan.api.answers import encode
from linkspan.api.fields import parse_object
from linkspan.api.versions import CURRENT, MINIMUM, Version
from linkspan.api.wire_containers import container_line
from linkspan.api.wire_create import parse_create, parse_restart
from linkspan.api.wire_execs import parse_exec
from linkspan.api.wire_inspect import container_details
from linkspan.engine.merge import merged_spec
from linkspan.runtime.spec import Launch, render, validate
from linkspan.runtime.users import User
from linkspan.store import codec
from tests.unit.api.examples import CONTAINER, IMAGE, VIEW
from tests.unit.fuzz.hostile import survives
from tests.unit.runtime.test_spec import HOST

MILLION = 10**6
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
EXEC = {
    "Cmd": ["sh"],
    "Env": ["A=b"],
    "WorkingDir": "/",
    "User": "0",
    "Tty": True,
    "Privileged": True,
    "AttachStdin": True,
    "DetachKeys": "ctrl-p",
}
VERSIONS = (MINIMUM, Version(1, 40), Version(1, 43), Version(1, 44), CURRENT)


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


def created(data: bytes, name: str = "", version: Version = CURRENT) -> None:
    """Everything that a create and a start do with what a client wrote, but for the host."""
    request = parse_create(parse_object(data), name=name, version=version, cpus=2)
    spec = merged_spec(request, IMAGE)
    validate(spec, HOST)
    container = replace(CONTAINER, spec=spec)
    text = codec.encode(container)
    text.encode()
    assert codec.decode(type(container), text) == container
    view = replace(VIEW, container=container)
    for shown in (container_line(view, 0, size=False), container_details(view, runtime="runc", size=True)):
        assert json.loads(encode(shown))
    launch = Launch(container=container, rootfs=Path("/rootfs"), hostname="box", user=User(), namespace=Path("/ns"))
    json.dumps(render(launch, HOST, ())).encode()


def sent(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_the_right_body_is_right() -> None:
    created(sent(BODY))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_body_with_something_wrong_at_one_place(place: tuple[Any, ...]) -> None:
    for wrong in WRONG:
        survives(lambda wrong=wrong: created(sent(replaced(BODY, place, wrong))))  # type: ignore[misc]  # mypy infers no defaults
        if isinstance(wrong, str) and isinstance(place[-1], str):
            survives(lambda wrong=wrong: created(sent(renamed(BODY, place, wrong))))  # type: ignore[misc]


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(WRONG)), min_size=2, max_size=6), version=st.sampled_from(VERSIONS)
)
def test_a_body_with_something_wrong_at_many_places(changes: list[tuple[tuple[Any, ...], Any]], version: Version) -> None:
    body: Any = BODY
    for place, wrong in changes:
        try:
            body = replaced(body, place, wrong)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # the place went with an earlier change
    survives(lambda: created(sent(body), version=version))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_million_of_something_at_one_place(place: tuple[Any, ...]) -> None:
    for text in ("a" * MILLION, "9" * MILLION, "/" * MILLION, "a." * (MILLION // 2), "0," * (MILLION // 2), "a:" * (MILLION // 2)):
        survives(lambda text=text: created(sent(replaced(BODY, place, text))))  # type: ignore[misc]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 8))
def test_a_body_with_broken_bytes(seed: int, changes: int) -> None:
    chance, data = random.Random(seed), bytearray(sent(BODY))
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    survives(lambda: created(bytes(data)))


DEEP: list[Callable[[int], bytes]] = [
    lambda depth: b'{"Image":' * depth,
    lambda depth: b'{"Image": "x", "Labels": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
    lambda depth: b'{"Image": "x", "Cmd": ' + b"[" * depth + b"]" * depth + b"}",
]


@pytest.mark.parametrize("depth", [10, 500, 990, 1000, 5000, 100_000])
@pytest.mark.parametrize("made", DEEP, ids=range(len(DEEP)))
def test_deep_bodies(made: Callable[[int], bytes], depth: int) -> None:
    survives(lambda: created(made(depth)))


@pytest.mark.parametrize("place", list(EXEC))
def test_execs(place: str) -> None:
    for wrong in WRONG:
        survives(lambda wrong=wrong: parse_exec(parse_object(sent(EXEC | {place: wrong}))))  # type: ignore[misc]


@pytest.mark.parametrize("place", ["Name", "MaximumRetryCount"])
def test_restart_policies(place: str) -> None:
    for wrong in WRONG:
        policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1} | {place: wrong}}
        survives(lambda policy=policy: parse_restart(parse_object(sent(policy)).child("RestartPolicy")))  # type: ignore[misc]
