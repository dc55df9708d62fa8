"""Random layers, with every kind of way out: whatever is in them, nothing outside of the image's root changes."""

import contextlib
import tarfile
from pathlib import Path
from random import Random

from linkspan.errors import EngineError
from tests.campaigns.campaign import Result, Scale
from tests.kernel.imagestores import Store, docker_archive, member, tar_of

UP = "../" * 20
PARTS = ("..", ".", "a", "b", "c", "OUT", "secret", "folder", ".wh.a", ".wh.b", ".wh.secret", ".wh.folder", ".wh..wh..opq", "..a", "")
STARTS = ("", "", "/", "../", UP)
KINDS = (
    *(tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE),
    *(tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE),
)


def run(scale: Scale) -> Result:
    """Load images of one or two layers of up to eight entries, and look at what is beside the store after each."""
    random, found, refused = scale.random(), [], 0
    outside = scale.folder / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "secret").write_text("secret")
    store = Store(scale.folder / "store" / "images")
    store.remove("busybox")
    before = facts(scale.folder, store.root)
    count = scale.times(500)
    for number in range(count):
        layers = [_layer(random, str(outside)) for _ in range(random.choice((1, 2)))]
        try:
            store.load(docker_archive(["crafted:1"], *(tar_of(layer) for layer in layers)))
            store.remove("crafted:1")
        except EngineError:
            refused += 1
        names = "; ".join(f"{info.name!r} {info.type!r} {info.linkname!r}" for layer in layers for info, _ in layer)
        if facts(scale.folder, store.root) != before:
            found.append(f"image {number} changed what is outside: {names}")
            break
        if store.state() != ([], set()):
            found.append(f"image {number} left something in the store: {names}")
            break
    return Result(tried=f"{count} images, of which {refused} were refused", found=found)


def facts(folder: Path, store: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, owner, number of links and content of all that is in a folder but not in the store; and the names in the root folder."""
    found = {str(path): (0, 0, 0, b"") for path in Path("/").iterdir()}
    for path in (folder, *folder.rglob("*")):
        if not path.is_relative_to(store):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                found[str(path)] = (status.st_mode, status.st_uid, status.st_nlink, content)
    return found


def _layer(random: Random, outside: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(_entry(random, outside), b"") for _ in range(random.randint(1, 8))]


def _entry(random: Random, outside: str) -> tarfile.TarInfo:
    entry = member(_path(random, outside), random.choice(KINDS), _path(random, outside))
    entry.mode = random.choice((0o755, 0o4777, 0o644, 0))
    entry.uid = random.choice((0, 1000))
    return entry


def _path(random: Random, outside: str) -> str:
    parts = "/".join(random.choice(PARTS) for _ in range(random.randint(1, 4)))
    return (random.choice(STARTS) + parts).replace("OUT", outside)
