"""Who a container's process runs as: names looked up in the container's own passwd and group files (semantics: moby's user package)."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from linkspan.errors import InvalidInput

_HIGHEST_ID = (1 << 31) - 1
_MOST_DIGITS = 20
"""So many leading zeros are still a number; Python refuses to read thousands."""
_NUMBER = re.compile(r"-?[0-9]+")
_MOST_LINKS = 40
"""As many symbolic links as the kernel follows in one path (path_resolution(7))."""
_LARGEST_FILE = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Numeric ids of a process."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(rootfs: Path, user: str, group_add: Sequence[str] = ()) -> User:
    """Turn Docker's `[USER|UID][:GROUP|GID]` into numbers; a number is always an id, even if a user has that name.

    The files are read inside `rootfs`: no link in it leads out. Raises InvalidInput in Docker's words.
    """
    name, _, group = user.partition(":")
    groups = tuple(_groups(rootfs))
    account = _account(rootfs, name)
    gid = _group_id(groups, group) if group else account.gid
    member_of = () if group or not account.name else (entry.gid for entry in groups if account.name in entry.members)
    added = (_group_id(groups, extra) for extra in group_add)
    return User(uid=account.uid, gid=gid, groups=tuple(dict.fromkeys((gid, *member_of, *added))))


def _account(rootfs: Path, name: str) -> _Account:
    number = _number(name or "0")
    for account in _accounts(rootfs):
        if account.name == name if number is None else account.uid == number:
            return account
    if number is None:
        raise InvalidInput(f"unable to find user {name}: no matching entries in passwd file")
    return _Account("", number, 0)


def _group_id(groups: Sequence[_Group], name: str) -> int:
    number = _number(name)
    if number is not None:
        return number
    for group in groups:
        if group.name == name:
            return group.gid
    raise InvalidInput(f"unable to find group {name}: no matching entries in group file")


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    if len(text) > _MOST_DIGITS or not 0 <= int(text) <= _HIGHEST_ID:
        raise InvalidInput(f"uids and gids must be in range 0-{_HIGHEST_ID}")
    return int(text)


def _is_id(text: str) -> bool:
    """Whether a field of a file is an id; a line with something else in it is as none."""
    return len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal() and int(text) <= _HIGHEST_ID


def _accounts(rootfs: Path) -> Iterator[_Account]:
    for line in _lines(rootfs, "etc/passwd"):
        name, _, uid, gid, *_ = [*line.split(":"), "", "", ""]
        if _is_id(uid) and _is_id(gid):
            yield _Account(name, int(uid), int(gid))


def _groups(rootfs: Path) -> Iterator[_Group]:
    for line in _lines(rootfs, "etc/group"):
        name, _, gid, members, *_ = [*line.split(":"), "", "", ""]
        if _is_id(gid):
            yield _Group(name, int(gid), tuple(members.split(",")))


def _lines(rootfs: Path, path: str) -> list[str]:
    """The lines of a regular file inside `rootfs`; none if it is missing or something else."""
    try:
        with _opened_inside(rootfs, path) as file:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return []
            with open(f"/proc/self/fd/{file}", "rb") as readable:  # noqa: PTH123  O_PATH descriptors cannot be read themselves
                return readable.read(_LARGEST_FILE).decode(errors="replace").splitlines()
    except OSError:
        return []


@contextlib.contextmanager
def _opened_inside(rootfs: Path, path: str) -> Iterator[int]:
    """Give an O_PATH descriptor of `path`, each link resolved as if `rootfs` were `/`.

    It walks by descriptors: a process of the container that swaps a folder for a link meanwhile changes nothing.
    """
    with contextlib.ExitStack() as opened:
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY)
        opened.callback(os.close, root)
        folders, parts, links = [root], list(PurePosixPath(path).parts), 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                folders = folders[:-1] or [root]
                continue
            entry = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=folders[-1])
            opened.callback(os.close, entry)
            if not stat.S_ISLNK(os.fstat(entry).st_mode):
                folders.append(entry)
                continue
            links += 1
            target = PurePosixPath(os.readlink("", dir_fd=entry))
            if links > _MOST_LINKS:
                raise OSError(f"too many links in {path}")
            if target.is_absolute():
                folders, target = [root], target.relative_to("/")
            parts = [*target.parts, *parts]
        yield folders[-1]
