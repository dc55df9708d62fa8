"""Every reader of bytes: files that a container or an image brings, what the kernel and programs say. Damaged, lying, cut short."""

import asyncio
import contextlib
import gzip
import io
import json
import socket
import struct
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from linkspan.errors import InvalidInput, KernelError
from linkspan.images import archive, layers
from linkspan.images.configuration import image_of
from linkspan.images.manifest import Platform, instance_digest, parse_manifest
from linkspan.kernel.changes import route_changes
from linkspan.kernel.netlink import RouteSocket, translated
from linkspan.runtime import logs
from linkspan.runtime.conmon import last_error, reported_pid
from linkspan.runtime.users import resolve_user
from tests.unit.fuzz.hostile import TEXTS, ends, stays_small, survives
from tests.unit.images.samples import tar_of

LINE = b"2026-11-24T02:03:55.581111997+00:00 stdout F hello\n"
EVERYTHING = st.binary(max_size=300)
ACCOUNTS = st.lists(
    st.lists(st.one_of(TEXTS, st.sampled_from(["root", "x", "0", "5", "99999999999", "-1"])), max_size=8).map(":".join), max_size=6
).map("\n".join)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes, with some of them changed, cut off or doubled."""
    place = st.integers(0, len(whole) - 1)
    change = st.tuples(place, st.binary(min_size=1, max_size=12))
    return st.tuples(st.lists(change, max_size=6), place, st.booleans()).map(lambda how: _damaged(whole, *how))


def _damaged(whole: bytes, changes: list[tuple[int, bytes]], end: int, cut: bool) -> bytes:
    made = bytearray(whole)
    for place, data in changes:
        made[place : place + len(data)] = data
    return bytes(made[:end] if cut else made)


@contextlib.contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        yield path


# The users of an image.


@settings(max_examples=80, deadline=None)
@given(passwd=ACCOUNTS, group=ACCOUNTS, user=TEXTS, extra=TEXTS)
@example(passwd=f"web:x:{'9' * 5000}:0:", group="", user="web", extra="0")
@example(passwd="", group="", user="9" * 5000, extra="0")
@example(passwd="web:x:٣:٣:", group="web:x:²:", user="web", extra="web")
def test_accounts(passwd: str, group: str, user: str, extra: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "etc").mkdir()
        for name, text in (("passwd", passwd), ("group", group)):
            (Path(folder) / "etc" / name).write_bytes(text.encode(errors="surrogatepass"))
        if "\0" not in user:
            survives(lambda: resolve_user(Path(folder), user, (extra,)))


# Logs.


async def _read(path: Path, tail: int | None) -> list[logs.LogRecord]:
    return [record async for record in logs.read(path, follow=None, tail=tail, since=0, until=0)]


@settings(max_examples=60, deadline=None)
@given(data=st.one_of(EVERYTHING, damaged(LINE * 8)), tail=st.integers(0, 10))
def test_a_damaged_log_is_read_as_far_as_it_goes(data: bytes, tail: int) -> None:
    with file_of(data) as path:
        whole = asyncio.run(_read(path, None))
        assert all(record.stream in (1, 2) for record in whole)
        assert len(asyncio.run(_read(path, tail))) <= len(whole)


@settings(max_examples=60, deadline=None)
@given(data=st.one_of(EVERYTHING, damaged(LINE * 8)), tail=st.integers(0, 10), chunk=st.integers(1, 200))
def test_the_size_of_a_piece_does_not_matter_to_a_tail(data: bytes, tail: int, chunk: int) -> None:
    places = []
    for size in (chunk, 1 << 20):
        file = io.BytesIO(data)
        logs.seek_to_tail(file, tail, chunk=size)
        places.append(file.tell())
    assert places[0] == places[1]


@pytest.mark.parametrize("start", [b"", LINE, LINE * 1000])
def test_a_log_without_line_breaks_does_not_fill_the_memory(start: bytes, tmp_path: Path) -> None:
    """As a crash of the host leaves it: the file has its length, and nothing but zeros in it."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(64 << 20)
        file.seek(0, 2)
        file.write(b"\n" + LINE)
    for tail in (None, 2):
        records: list[logs.LogRecord] = []
        stays_small(lambda tail=tail, records=records: records.extend(asyncio.run(_read(path, tail))), most=32)  # type: ignore[misc]
        assert records[-1].data == b"hello\n"


# What programs say.


@given(data=st.one_of(EVERYTHING, damaged(b'{"data": 12345, "message": "x"}\n')))
def test_the_monitors_report(data: bytes) -> None:
    pid, said = reported_pid(data)
    assert isinstance(pid, int)
    assert isinstance(said, str)


@given(data=damaged(b'{"level":"error","msg":"no"}\n{"level":"warning","msg":"x"}\n'))
def test_the_runtimes_log(data: bytes) -> None:
    assert isinstance(last_error(data.decode(errors="replace")), str)


# Images.

CONFIGURATION = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-24T02:03:04.5Z",
        "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Env": ["A=b"], "Cmd": ["sh"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "User": "0"},
        "history": [{"created": "2026-11-24T02:03:04Z", "created_by": "x", "empty_layer": True}],
    }
).encode()
DIGEST = "sha256:" + "a" * 64
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": DIGEST, "size": 1},
        "layers": [{"digest": DIGEST, "size": 1, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}],
        "manifests": [{"digest": DIGEST, "platform": {"os": "linux", "architecture": "amd64", "variant": "v8"}}],
    }
).encode()


def _mutated(value: Any) -> st.SearchStrategy[Any]:
    """A JSON value with one part of it replaced by another."""
    other: st.SearchStrategy[Any] = st.sampled_from(
        [None, 0, -1, 2**70, 1.5, True, "", "x", "\ud800", "\0", "a" * 10_000, [], [[]], {}, {"a": None}, [None]]
    )
    options = [other]
    if isinstance(value, dict):
        options += [_mutated(part).map(lambda part, key=key: value | {key: part}) for key, part in value.items()]  # type: ignore[misc]
    if isinstance(value, list):
        options += [_mutated(part).map(lambda part: [part]) for part in value]
    return st.one_of(options)


@settings(max_examples=100, deadline=None)
@given(value=_mutated(json.loads(CONFIGURATION)))
def test_the_configuration_of_an_image(value: Any) -> None:
    survives(lambda: image_of(json.dumps(value).encode(), []))


@settings(max_examples=100, deadline=None)
@given(value=_mutated(json.loads(MANIFEST)))
def test_a_manifest(value: Any) -> None:
    data = json.dumps(value).encode()
    survives(lambda: parse_manifest(data))
    survives(lambda: instance_digest(data, Platform(os="linux", architecture="amd64")))


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(EVERYTHING, damaged(CONFIGURATION)))
def test_what_is_hardly_json(data: bytes) -> None:
    for read in (partial(image_of, layers=[]), parse_manifest, partial(instance_digest, platform=Platform.here())):
        survives(partial(cast(Any, read), data))


def _tar(**fields: Any) -> bytes:
    """A tar archive with one member whose header lies."""
    member = tarfile.TarInfo(fields.pop("name", "file"))
    data: bytes = fields.pop("data", b"")
    member.pax_headers = fields.pop("pax", {})
    for name, value in fields.items():
        setattr(member, name, value)
    return bytes(member.tobuf(tarfile.PAX_FORMAT)) + data


LYING = [
    _tar(pax={"size": "-1"}) + tar_of({"a": b"x"}),
    _tar(pax={"size": "-1024"}) + tar_of({"a": b"x"}),
    _tar(pax={"size": "9" * 30}) + tar_of({"a": b"x"}),
    _tar(pax={"size": "9" * 5000}),
    _tar(pax={"size": "x"}),
    _tar(pax={"mtime": "nan"}),
    _tar(pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, data=b"9" * 512),
    _tar(pax={"GNU.sparse.map": "x,y"}),
    _tar(pax={"GNU.sparse.size": "-5", "GNU.sparse.map": "0,1"}),
    _tar(type=tarfile.XHDTYPE, size=1 << 40),
    _tar(type=tarfile.GNUTYPE_LONGNAME, size=1 << 40),
    _tar(type=tarfile.GNUTYPE_SPARSE, size=512, data=b"\xff" * 1024),
    _tar(type=tarfile.XHDTYPE, size=20, data=b"0 a=b\n".ljust(512, b"\0")),
    _tar(type=tarfile.XHDTYPE, size=20, data=(b"9" * 500).ljust(512, b"\0")),
    _tar(type=tarfile.XGLTYPE, size=20, data=b"18 size=-999999999\n".ljust(512, b"\0")) + tar_of({"a": b"x"}),
    tar_of({"manifest.json": b'[{"RepoTags": ["\\ud800:x"]}]'}),
    tar_of({"manifest.json": b"[" * 100_000}),
    tar_of({"index.json": b'{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": 5}}]}'}),
]


def _examined(path: Path) -> object:
    """What a layer says of itself may be larger than the disk: the caller tells of that as of everything that the disk refuses."""
    try:
        return layers.examine(path)
    except OSError as error:
        raise KernelError("examine", error.errno or 0) from error


@pytest.mark.parametrize("data", LYING, ids=range(len(LYING)))
@pytest.mark.parametrize("packed", [False, True])
def test_archives_that_lie(data: bytes, packed: bool) -> None:
    with file_of(gzip.compress(data) if packed else data) as path:
        stays_small(lambda: _examined(path))
        stays_small(lambda: archive.images_in(path))


PACKED = gzip.compress(tar_of({"a": b"x"}), mtime=0)


@settings(max_examples=150, deadline=None)
@given(data=st.one_of(EVERYTHING, damaged(tar_of({"manifest.json": b"[]", "a/b": b"x" * 600})), damaged(PACKED)))
def test_damaged_archives(data: bytes) -> None:
    with file_of(data) as path:
        survives(lambda: _examined(path))
        survives(lambda: archive.images_in(path))
        survives(lambda: list(layers.chunks(path)))


# The kernel.


class Answers:
    """A socket that says what it was told to, and then nothing more."""

    def __init__(self, *datagrams: bytes) -> None:
        self._datagrams = list(datagrams)

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self._datagrams or flags & socket.MSG_DONTWAIT:
            raise BlockingIOError
        return self._datagrams.pop(0)[:size]


def message(kind: int, sequence: int = 1, flags: int = 0, body: bytes = b"", length: int | None = None) -> bytes:
    """A netlink message, whose header may lie about its length."""
    return struct.pack("=IHHII", 16 + len(body) if length is None else length, kind, flags, sequence, 0) + body


LINK = struct.pack("=BxHiII", 0, 1, 5, 0, 0) + struct.pack("=HH", 9, 3) + b"eth0\0".ljust(8, b"\0")
NEW_LINK, ERROR, DONE, MULTI = 16, 2, 3, 2
MESSAGES = [
    message(NEW_LINK, body=LINK),
    message(NEW_LINK, body=LINK, flags=MULTI) + message(DONE, flags=MULTI, body=bytes(4)),
    message(ERROR, body=struct.pack("=i", -17) + bytes(20)),
    message(ERROR, body=bytes(24)),
]
LIES = [
    b"",
    b"\0" * 16,
    message(NEW_LINK, length=0),
    message(NEW_LINK, length=15),
    message(NEW_LINK, length=1 << 31, body=LINK),
    message(NEW_LINK, sequence=77, body=LINK),
    message(NEW_LINK, body=LINK[:10]),
    message(NEW_LINK, body=LINK[:16] + struct.pack("=HH", 0, 3)),
    message(NEW_LINK, body=LINK[:16] + struct.pack("=HH", 3, 3)),
    message(NEW_LINK, body=LINK[:16] + struct.pack("=HH", 60000, 3) + b"x"),
    message(NEW_LINK, body=LINK[:16] + struct.pack("=HH", 8, 3) + b"\xff\xfe\xff\xfe"),
    message(ERROR, body=b""),
    message(ERROR, body=b"\xff"),
    message(DONE),
    message(65535, body=b"x" * 100),
]


def _asked(datagrams: list[bytes], ask: str) -> None:
    with RouteSocket() as route:
        route._socket = cast(Any, Answers(*datagrams))
        with translated("ask"):
            getattr(route, ask)(18 if ask == "get" else 16, ifinfmsg())


@pytest.mark.parametrize("ask", ["get", "dump", "change"])
@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_a_kernel_that_lies(ask: str, lie: bytes) -> None:
    survives(lambda: _asked([lie, *MESSAGES], ask))
    survives(lambda: _asked([lie], ask))


@pytest.mark.parametrize("ask", ["get", "dump", "change"])
@settings(max_examples=80, deadline=None)
@given(datagrams=st.lists(st.one_of(EVERYTHING, *(damaged(known) for known in MESSAGES)), max_size=3))
def test_a_kernel_that_is_damaged(ask: str, datagrams: list[bytes]) -> None:
    survives(lambda: _asked(datagrams, ask))


@settings(max_examples=150, deadline=None)
@given(datagram=st.one_of(EVERYTHING, *(damaged(known) for known in MESSAGES)))
def test_notifications(datagram: bytes) -> None:
    with ends():
        list(route_changes(datagram))


def test_lying_archives_are_refused_and_not_only_survived() -> None:
    with file_of(LYING[0]) as path, pytest.raises(InvalidInput):
        archive.images_in(path)
