"""The built-in `busybox:latest`, made from the host's static busybox so that the first run needs no network.

The same package gives the same image id everywhere: names are sorted, times and owners in the layer are zero.
"""

import io
import struct
import tarfile
from collections.abc import Iterable
from pathlib import Path

from linkspan.errors import InvalidInput
from linkspan.images.configuration import timestamp

NAME = "busybox:latest"
CONFIG = {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
CREATED_BY = "busybox-static of this host"

_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/spool": 0o755,
    "var/spool/mail": 0o755,
    "var/www": 0o755,
}
_FILES = {
    "etc/group": (
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nwww-data:x:33:\nusers:x:100:\nnobody:x:65534:\n"
    ),
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "bin:x:2:2:bin:/bin:/bin/false\n"
        "mail:x:8:8:mail:/var/spool/mail:/bin/false\n"
        "www-data:x:33:33:www-data:/var/www:/bin/false\n"
        "nobody:x:65534:65534:nobody:/home:/bin/false\n"
    ),
}
_LINKS = {"usr/bin/env": "../../bin/env"}
"""Where scripts look for env; each applet is a link in /bin."""

_PROGRAM_HEADERS = {1: struct.Struct("<28xI10xHH"), 2: struct.Struct("<32xQ14xHH")}
"""By ELF class: the file offset, entry size and number of the program headers, see elf(5)."""
_INTERPRETER = 3


def write_layer(busybox: Path, applets: Iterable[str], target: Path) -> None:
    """Write the image's only layer; raises InvalidInput if the program needs libraries, which a container would not have."""
    program = busybox.read_bytes()
    if not is_static(program):
        raise InvalidInput(f"{busybox} is not a static program: apt-get install busybox-static")
    links = {**{f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}, **_LINKS}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode in _DIRECTORIES.items():
            archive.addfile(_member(name, tarfile.DIRTYPE, mode))
        _add_file(archive, "bin/busybox", program, 0o755)
        for name, text in _FILES.items():
            _add_file(archive, name, text.encode(), 0o644)
        for name, destination in sorted(links.items()):
            link = _member(name, tarfile.SYMTYPE, 0o777)
            link.linkname = destination
            archive.addfile(link)


def is_static(program: bytes) -> bool:
    """Whether this is a little-endian ELF program that asks for no dynamic loader."""
    if program[:4] != b"\x7fELF" or program[5:6] != b"\1":
        return False
    try:
        offset, size, count = _PROGRAM_HEADERS[program[4]].unpack_from(program)
        kinds = [struct.unpack_from("<I", program, offset + index * size)[0] for index in range(count)]
    except (KeyError, struct.error):
        return False
    return _INTERPRETER not in kinds


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = mode
    return member


def _add_file(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = _member(name, tarfile.REGTYPE, mode)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def created(busybox: Path) -> str:
    """The date of the image: of the program's file, which the package brings, so that the same package gives the same image."""
    return timestamp(int(busybox.stat().st_mtime) * 10**9)
