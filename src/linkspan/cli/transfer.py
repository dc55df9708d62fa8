"""Commands that move images: pull, load, save, import."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from linkspan.cli import progress, reference, terminal
from linkspan.cli.client import Client
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import BOOL, LIST, STRING, Flag, Given
from linkspan.cli.output import complain
from linkspan.cli.terminal import write_all

_PIECE = 1 << 20


def pull_image(client: Client, image: str, platform: str, out: TextIO | None) -> None:
    """Pull `image` and draw the progress on `out`.

    Raises CommandError.
    """
    parsed = reference.parse(image)
    query = {
        "fromImage": parsed.name,
        "tag": parsed.digest or parsed.tag or "latest",
        "platform": platform,
    }
    with client.stream("POST", "/images/create", query) as answer:
        progress.show(answer.messages(), out)


def _pull(client: Client, given: Given) -> int:
    parsed = reference.parse(given.arguments[0])
    quiet = given.switch("quiet")
    if not parsed.tag and not parsed.digest and not quiet:
        print("Using default tag: latest", flush=True)
    pull_image(client, given.arguments[0], given.text("platform"), None if quiet else sys.stdout)
    print(parsed.or_latest().full)
    return 0


def _load(client: Client, given: Given) -> int:
    name = given.text("input")
    if not name and terminal.is_terminal(0):
        raise CommandError("requested load from stdin, but stdin is empty")
    quiet = given.switch("quiet") or not sys.stdout.isatty()
    with (
        _opened(name) as source,
        client.stream("POST", "/images/load", {"quiet": quiet, "platform": given.text("platform")}, _pieces(source)) as answer,
    ):
        progress.show(answer.messages(), sys.stdout)
    return 0


def _save(client: Client, given: Given) -> int:
    target = given.text("output")
    if not target and terminal.is_terminal(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    with client.stream("GET", "/images/get", {"names": given.arguments, "platform": given.text("platform")}) as answer:
        if target:
            _write_file(Path(target), answer.pieces())
            return 0
        for piece in answer.pieces():
            write_all(1, piece)
    return 0


def _write_file(path: Path, pieces: Iterator[bytes]) -> None:
    """Write under another name first, so that a save that breaks off leaves no half archive."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        try:
            with unfinished.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"failed to save image: {error.strerror}: {path}") from error


def _import(client: Client, given: Given) -> int:
    source, *name = given.arguments
    if name:
        reference.parse(name[0])
    remote = "://" in source
    query = {
        "fromSrc": source if remote else "-",
        "repo": name[0] if name else "",
        "message": given.text("message"),
        "changes": given.many("change"),
        "platform": given.text("platform"),
    }
    if remote:
        with client.stream("POST", "/images/create", query) as answer:
            progress.show(answer.messages(), sys.stdout)
        return 0
    with _opened("" if source == "-" else source) as file, client.stream("POST", "/images/create", query, _pieces(file)) as answer:
        progress.show(answer.messages(), sys.stdout)
    return 0


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if not name:
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise CommandError(f"open {name}: {(error.strerror or str(error)).lower()}") from error
        yield file


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    try:
        while piece := source.read(_PIECE):
            yield piece
    except OSError as error:
        complain(f"read: {error.strerror}")
        raise CommandError("the archive could not be read to its end") from error


_PLATFORM = Flag("platform", "Set platform if server is multi-platform capable", STRING)

COMMANDS = {
    command.path: command
    for command in (
        Command(
            "pull",
            "[OPTIONS] NAME[:TAG|@DIGEST]",
            _pull,
            (_PLATFORM, Flag("quiet", "Suppress verbose output", BOOL, "q")),
            1,
            1,
            completes="images",
        ),
        Command(
            "load",
            "[OPTIONS]",
            _load,
            (
                Flag("input", "Read from tar archive file, instead of STDIN", STRING, "i"),
                _PLATFORM,
                Flag("quiet", "Suppress the load output", BOOL, "q"),
            ),
        ),
        Command(
            "save",
            "[OPTIONS] IMAGE [IMAGE...]",
            _save,
            (Flag("output", "Write to a file, instead of STDOUT", STRING, "o"), _PLATFORM),
            1,
            None,
            completes="images",
        ),
        Command(
            "import",
            "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
            _import,
            (
                Flag("change", "Apply Dockerfile instruction to the created image", LIST, "c"),
                Flag("message", "Set commit message for imported image", STRING, "m"),
                _PLATFORM,
            ),
            1,
            2,
        ),
    )
}
