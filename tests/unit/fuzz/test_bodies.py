"""Bodies of requests: a right one with any part of it replaced by something wrong, all the way from the socket to the runtime's files."""

import json
import random
from collections.abc import Callable
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
from tests.bodies import BODY, PLACES, WRONG, renamed, replaced
from tests.unit.api.examples import CONTAINER, IMAGE, VIEW
from tests.unit.fuzz.hostile import survives
from tests.unit.runtime.test_spec import HOST

MILLION = 10**6
MILLIONS = ["a" * MILLION, "9" * MILLION, "/" * MILLION, *(part * (MILLION // 2) for part in ("a.", "0,", "a:"))]
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
    chance = random.Random(str(place))
    for text in chance.sample(MILLIONS, 2):
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
