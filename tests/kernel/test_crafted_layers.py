"""Layers made to write where they must not, or to fill what they can: tamed or refused, and nothing outside of the image changes."""

import gzip
import hashlib
import io
import os
import stat
import subprocess
import tarfile
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from linkspan.errors import EngineError, InvalidInput
from linkspan.images import layers
from tests.kernel.imagestores import Store, collected, docker_archive, member, tar_of, tar_of_files

pytestmark = pytest.mark.kernel

LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
CHARACTERS, BLOCKS, PIPE = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
UP = "../" * 20
Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"", **facts: Any) -> Entry:
    info = member(name, kind, link)
    info.mode = 0o755 if kind == FOLDER else 0o644
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, data


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("crafted") / "images")
    store.remove("busybox")
    return store


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that no image may change: with a secret, and a folder in it."""
    folder = tmp_path / "outside"
    (folder / "folder").mkdir(parents=True)
    (folder / "secret").write_text("secret")
    before = facts(folder)
    yield folder
    assert facts(folder) == before


@pytest.fixture(autouse=True)
def nothing_else_changes(store: Store) -> Iterator[None]:
    """No file appears beside the store or in the root folder; no refusal leaves anything in the store."""
    places = (Path("/"), store.root.parent, store.root)
    before = [sorted(place.iterdir()) for place in places]
    yield
    for tag in store.tags():
        store.remove(tag)
    assert store.state() == ([], set())
    assert [sorted(place.iterdir()) for place in places] == before


def facts(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, owner, number of links and content of all that is in a folder, and of itself."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_nlink, content)
    return found


def unpacked(store: Store, *entries: Entry) -> Path:
    """The root of an image made of one layer."""
    store.load(docker_archive(["crafted:1"], tar_of(entries)))
    return store.rootfs("crafted:1")


def content(root: Path) -> dict[str, str]:
    """What is in a root: link targets and the content of files by path."""
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


# Ways out

WAYS_OUT: Mapping[str, Callable[[str], Iterable[Entry]]] = {
    "dots": lambda _: [entry("../new", data=b"x")],
    "many dots": lambda out: [entry(f"{UP}{out}/new", data=b"x")],
    "absolute": lambda out: [entry(f"{out}/new", data=b"x")],
    "absolute link": lambda out: [entry("l", LINK, out), entry("l/new", data=b"x")],
    "link to a file": lambda out: [entry("l", LINK, f"{out}/secret"), entry("l", data=b"x")],
    "relative link": lambda out: [entry("l", LINK, UP + out), entry("l/new", data=b"x")],
    "link by a link": lambda out: [entry("a", LINK, "/"), entry("b", LINK, "a/../.."), entry(f"b/{out}/new", data=b"x")],
    "dots in a link": lambda out: [entry("d", FOLDER), entry("d/l", LINK, ".."), entry(f"d/l/{UP}{out}/new", data=b"x")],
    "link swapped in": lambda out: [entry("d", FOLDER), entry("d/a", data=b"x"), entry("d", LINK, out), entry("d/secret", data=b"x")],
    "folder on a link": lambda out: [entry("l", LINK, out), entry("l", FOLDER, mode=0o777)],
    "hard link by a link": lambda out: [entry("l", LINK, f"{out}/secret"), entry("h", HARD, "l"), entry("h", data=b"x")],
    "whiteout by dots": lambda _: [entry("../.wh.outside"), entry(f"{UP}/.wh.tmp")],
    "whiteout by a link": lambda out: [entry("l", LINK, out), entry("l/.wh.secret")],
    "opaque by a link": lambda out: [entry("l", LINK, out), entry("l/.wh..wh..opq")],
    "absolute whiteout": lambda out: [entry(f"{out}/.wh.secret")],
    "opaque root": lambda _: [entry(".wh..wh..opq"), entry("x", data=b"x")],
    "device by a link": lambda out: [entry("l", LINK, out), entry("l/zero", CHARACTERS, devmajor=1, devminor=5)],
    "folder by a link": lambda out: [entry("l", LINK, out), entry("l/folder", FOLDER, mode=0o777), entry("l/more", FOLDER)],
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_way_out_ends_inside(store: Store, outside: Path, way: str) -> None:
    assert unpacked(store, *WAYS_OUT[way](str(outside))).is_dir()


REFUSED: Mapping[str, Callable[[str], Iterable[Entry]]] = {
    "hard link out": lambda out: [entry("h", HARD, f"{out}/secret"), entry("h", data=b"x")],
    "hard link out by dots": lambda out: [entry("h", HARD, f"{UP}{out}/secret")],
    "hard link out by a folder": lambda out: [entry("l", LINK, out), entry("h", HARD, "l/secret"), entry("h", data=b"x")],
    "hard link to nothing": lambda _: [entry("h", HARD, "nothing")],
    "whiteout of the folder above": lambda _: [entry(".wh...")],
    "whiteout of the folder itself": lambda _: [entry("d", FOLDER), entry("d/.wh..")],
    "whiteout of nothing": lambda _: [entry(".wh.")],
    "root is a file": lambda _: [entry(".", data=b"x")],
    "root is a link": lambda out: [entry(".", LINK, out), entry("new", data=b"x")],
    "root is a link with a slash": lambda out: [entry("./", LINK, out), entry("./new", data=b"x")],
    "no name": lambda _: [entry("", data=b"x")],
    "a loop of links": lambda _: [entry("a", LINK, "b"), entry("b", LINK, "a"), entry("a/x", data=b"x")],
    "a kind that nobody knows": lambda _: [entry("u", b"Z")],
    "a name too long": lambda _: [entry("x" * 300, data=b"x")],
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_is_refused(store: Store, outside: Path, way: str) -> None:
    with pytest.raises(EngineError) as refused:
        unpacked(store, *REFUSED[way](str(outside)))
    assert str(store.root) not in str(refused.value), "where the store works is not the user's business"


def test_it_is_the_same_for_an_import(store: Store, outside: Path) -> None:
    with pytest.raises(InvalidInput, match="the layer is malicious"):
        store.import_root(tar_of(REFUSED["whiteout of the folder above"](str(outside))), "crafted:1")
    store.import_root(tar_of(WAYS_OUT["absolute link"](str(outside))), "crafted:1")
    assert store.rootfs("crafted:1").is_dir()


# What Docker keeps


def test_rights_devices_and_attributes_are_kept_as_docker_keeps_them(store: Store) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
    able, loud = entry("able", data=b"x"), entry("loud", FOLDER)
    able[0].pax_headers = {
        "SCHILY.xattr.security.capability": capability.decode("latin-1"),
        "SCHILY.xattr.user.note": "kept",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
    }
    loud[0].pax_headers = {"SCHILY.xattr.trusted.overlay.opaque": "y"}
    root = unpacked(
        store,
        entry("su", data=b"x", mode=0o4755),
        entry("sg", data=b"x", mode=0o2755, gid=42),
        entry("sticky", FOLDER, mode=0o1777, uid=7),
        entry("null", CHARACTERS, devmajor=1, devminor=3, mode=0o666),
        entry("sda", BLOCKS, devmajor=8, mode=0o660),
        entry("pipe", PIPE),
        able,
        loud,
    )
    modes = {path.name: stat.filemode(path.lstat().st_mode) for path in root.iterdir()}
    assert modes == {
        "su": "-rwsr-xr-x",
        "sg": "-rwxr-sr-x",
        "sticky": "drwxrwxrwt",
        "null": "crw-rw-rw-",
        "sda": "brw-rw----",
        "pipe": "prw-r--r--",
        "able": "-rw-r--r--",
        "loud": "drwxr-xr-x",
    }
    assert ((root / "sg").stat().st_gid, (root / "sticky").stat().st_uid) == (42, 7)
    assert os.getxattr(root / "able", "security.capability") == capability
    assert "trusted.overlay" not in str([os.listxattr(root / name) for name in ("able", "loud")]), "they steer the overlay"


def test_the_last_of_several_entries_counts(store: Store) -> None:
    root = unpacked(
        store,
        *(entry("f", data=b"1"), entry("f", data=b"2")),
        *(entry("grows", data=b"1"), entry("grows", FOLDER), entry("grows/x", data=b"3")),
        *(entry("falls", FOLDER), entry("falls/x", data=b"1"), entry("falls", data=b"4")),
        *(entry("l", LINK, "f"), entry("l", data=b"5")),
    )
    assert content(root) == {"f": "2", "grows/x": "3", "falls": "4", "l": "5"}


def test_names_may_hold_anything(store: Store) -> None:
    names = ["a\nb", "c\x1b[31m", "d\r\t", "spaces and \"quotes'", "$(id)", "%s%n", "ü\u202e", "-rf"]
    assert content(unpacked(store, *(entry(name, data=b"x") for name in names))) == dict.fromkeys(names, "x")


def test_a_tree_deeper_than_a_path(store: Store) -> None:
    unpacked(store, entry("/".join("d" * 1500) + "/f", data=b"x"))


# Bombs


def test_many_small_files(store: Store) -> None:
    root = unpacked(store, *(entry(f"{number % 100}/{number}") for number in range(10_000)))
    assert len(list(root.glob("*/*"))) == 10_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Store]:
    """A store on a disk of 40 MiB and 2,000 files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,nr_inodes=2000", "tmpfs", disk], check=True)
    try:
        made = Store(disk / "images")
        made.remove("busybox")
        yield made
        assert made.state() == ([], set())
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("times", [60, 10_000], ids=["60 MB", "10 GB"])
def test_a_bomb_is_refused_before_it_goes_off(small: Store, times: int) -> None:
    """What it announces is enough: most of it is never read."""
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as packed:
        packed.write(entry("big", size=times * 1_000_000)[0].tobuf())
        packed.writelines(bytes(1_000_000) for _ in range(60))
    with pytest.raises(EngineError, match=r"(?i)no space left on device"):
        small.import_root(bomb.getvalue(), "bomb")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_archive_that_is_larger_than_the_disk(small: Store, packed: bool) -> None:
    """It is given up when the reserve is reached, and not when the disk is full."""
    lowest = [1 << 30]

    async def endless() -> AsyncIterator[bytes]:
        packer = zlib.compressobj(1, wbits=31) if packed else None
        while True:
            piece = os.urandom(1 << 10) + bytes(1 << 20)
            yield packer.compress(piece) if packer else piece
            lowest.append(os.statvfs(small.root).f_bavail * os.statvfs(small.root).f_frsize)

    with pytest.raises(EngineError, match=r"(?i)no space left on device"):
        small.do(lambda store: collected(store.load(endless() if not packed else first(endless(), 60))))
    assert min(lowest) >= (40 << 20) // 50 - (8 << 10)


async def first(pieces: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield await anext(pieces)


def test_files_that_need_more_room_than_there_is(small: Store) -> None:
    with pytest.raises(EngineError, match=r"(?i)no space left on device"):
        small.import_root(tar_of(entry(str(number)) for number in range(3000)), "bomb")
    with pytest.raises(EngineError, match=r"(?i)no space left on device"):
        small.load(docker_archive(["bomb:1"], tar_of_files({"big": bytes(25_000_000)})))


def test_a_sparse_file_counts_with_its_holes(small: Store) -> None:
    sparse = member("sparse")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": str(1 << 50)}
    with pytest.raises(EngineError, match=r"(?i)no space left on device"):
        small.import_root(tar_of([(sparse, b"1\n0\n1\n".ljust(512, b"\0") + b"x")]), "bomb")


def headers(path: Path, kind: bytes, size: int, count: int) -> None:
    """A compressed layer of `count` headers that say `size` bytes of zeros follow each."""
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for _ in range(count):
            packed.write(entry("x", kind, size=size)[0].tobuf(tarfile.GNU_FORMAT))
            for start in range(0, size, 1 << 20):
                packed.write(bytes(min(1 << 20, size - start)))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_long_name_does_not_fill_the_memory(tmp_path: Path, kind: bytes) -> None:
    headers(tmp_path / "layer", kind, 100 << 20, 1)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="an extended header of 104857600 bytes"):
            layers.examine(tmp_path / "layer")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_many_files_do_not_fill_the_memory(tmp_path: Path) -> None:
    headers(tmp_path / "layer", tarfile.REGTYPE, 0, 5_000)
    tracemalloc.start()
    try:
        layers.examine(tmp_path / "layer")
        assert tracemalloc.get_traced_memory()[1] < 2 << 20, "5,000 headers that are kept take more"
    finally:
        tracemalloc.stop()


# Lies


@pytest.mark.parametrize("what", ["layer", "another"])
def test_a_file_that_is_not_what_its_name_says(store: Store, what: str) -> None:
    layer = tar_of_files({"x": b"1"})
    archive = docker_archive(["crafted:1"], layer)
    lies = {
        "layer": archive.replace(hashlib.sha256(layer).hexdigest().encode(), b"0" * 64),
        "another": archive.replace(b"0/layer.tar", b"1/layer.tar", 1),
    }
    with pytest.raises(InvalidInput):
        store.load(lies[what])
