"""Folders full of what strangers made: containers and images nest folders deeper than a path, or Python's stack, can be long."""

import itertools
import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Remove a folder with all that is in it; equivalent to `rm -r PATH`. Idempotent.

    Raises the first OSError when all that can be removed is removed.
    """
    try:
        top = os.open(path, _FOLDER)
    except FileNotFoundError:
        return
    try:
        failures = _emptied(top)
    finally:
        os.close(top)
    if failures:
        raise failures[0]
    path.rmdir()


def size(path: Path) -> int:
    """Return the bytes of all files below a folder, which may change meanwhile; equivalent to `du -bs PATH`, folders not counted."""
    folder = os.open(path, _FOLDER)
    above: list[tuple[list[str], tuple[int, int]]] = []
    try:
        total, inner = _measured(folder)
        while inner or above:
            if inner:
                name = inner.pop()
                try:
                    deeper = os.open(name, _FOLDER, dir_fd=folder)
                except OSError:
                    continue  # gone, or no longer a folder
                above.append((inner, _identity(folder)))
                folder = _instead(folder, deeper)
                more, inner = _measured(folder)
                total += more
            else:
                inner, known = above.pop()
                folder = _instead(folder, os.open("..", _FOLDER, dir_fd=folder))
                if _identity(folder) != known:
                    break  # somebody has moved it: this is not where we came from
        return total
    finally:
        os.close(folder)


def _emptied(top: int) -> list[OSError]:
    """Empty a folder. Each folder found is first moved up into the top one, so nothing is ever deep; returns what failed."""
    failures: list[OSError] = []
    names = (f"{os.urandom(8).hex()}-{number}" for number in itertools.count())
    left = _without_files(top, failures)
    while left:
        name = left.pop()
        try:
            folder = os.open(name, _FOLDER, dir_fd=top)
            try:
                for old, new in zip(_without_files(folder, failures), names, strict=False):
                    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=top)
                    left.append(new)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
        except OSError as error:
            failures.append(error)
    return failures


def _without_files(folder: int, failures: list[OSError]) -> list[str]:
    """Remove from a folder all but its folders, whose names are returned."""
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        if not is_folder:
            try:
                os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                pass
            except OSError as error:
                failures.append(error)
    return [name for name, is_folder in entries if is_folder]


def _measured(folder: int) -> tuple[int, list[str]]:
    total, inner = 0, []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                total += _bytes(entry)
    return total, inner


def _bytes(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _instead(folder: int, other: int) -> int:
    os.close(folder)
    return other


def _identity(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino
