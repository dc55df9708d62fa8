"""`linkspan run` and `linkspan create`."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from linkspan.cli import reference, terminal
from linkspan.cli.client import Answer, Client, Connection, JsonObject
from linkspan.cli.commands import Command
from linkspan.cli.create_body import create_body
from linkspan.cli.create_flags import CREATE_FLAGS, RUN_FLAGS
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.options import Given
from linkspan.cli.output import complain
from linkspan.cli.session import Session, Target, exit_code
from linkspan.cli.terminal import FORWARDED, RawMode, Signals
from linkspan.cli.transfer import pull_image

_REFUSED = 125
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127


def _create(client: Client, given: Given) -> int:
    image, *arguments = given.arguments
    with _hinted("create"):
        body = _body(given, image, arguments)
    print(_create_container(client, given, body))
    return 0


def _run(client: Client, given: Given) -> int:
    image, *arguments = given.arguments
    with _hinted("run"):
        body = _body(given, image, arguments)
    detach = given.switch("detach")
    if detach and given.many("attach"):
        raise CommandError("conflicting options: cannot specify both --attach and --detach")
    if detach:
        body = {name: value for name, value in body.items() if name not in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce")}
    else:
        check_terminal(stdin=body.get("AttachStdin", False), tty=body.get("Tty", False))
    keys = terminal.parse_keys("" if detach else given.text("detach-keys"))
    with _hinted("run"):
        identity = _create_container(client, given, body)
        if not detach:
            return _run_attached(client, given, identity, body, keys)
        client.post(f"/containers/{identity}/start")
    print(identity)
    return 0


def check_terminal(*, stdin: bool, tty: bool) -> None:
    """Raise CommandError if a terminal was asked for and stdin, which is attached, is none."""
    if stdin and tty and not terminal.is_terminal(0):
        raise CommandError("the input device is not a TTY")


def start_failure(message: str) -> int:
    """Return docker's exit status for a process that could not be started: 127 not found, 126 not executable, else 125."""
    text = message.lower()
    if any(words in text for words in ("executable file not found", "no such file or directory", "system cannot find the file specified")):
        return _NOT_FOUND
    if "permission denied" in text or "is a directory" in text:
        return _NOT_EXECUTABLE
    return _REFUSED


@contextlib.contextmanager
def _hinted(command: str) -> Iterator[None]:
    """Word errors as docker does around `run` and `create`: its name before, a hint after, and a status of their own."""
    try:
        yield
    except CommandError as error:
        status = start_failure(error.message) if isinstance(error, ApiError) else _REFUSED
        raise CommandError(f"linkspan: {error}\n\nRun 'linkspan {command} --help' for more information", status) from error


def _body(given: Given, image: str, arguments: list[str]) -> JsonObject:
    reference.check(image)
    if given.text("pull") not in ("always", "missing", "never"):
        raise CommandError(f'invalid pull option: \'{given.text("pull")}\': must be one of "always", "missing" or "never"')
    body = create_body(given, image, arguments)
    if body.get("Tty") and (size := terminal.size()) is not None:
        body["HostConfig"]["ConsoleSize"] = list(size)
    return body


def _create_container(client: Client, given: Given, body: JsonObject) -> str:
    """Create the container, with a pull if its image is missing; return its id."""
    with _cidfile(given.text("cidfile")) as note:
        answer = _create_with_image(client, given, body)
        note(str(answer["Id"]))
    for warning in answer.get("Warnings") or ():
        complain(f"WARNING: {warning}")
    return str(answer["Id"])


@contextlib.contextmanager
def _cidfile(name: str) -> Iterator[Callable[[str], object]]:
    """Make the file before the container, so that no container is made whose id cannot be noted; without an id it goes again."""
    if not name:
        yield str
        return
    path = Path(name)
    if path.exists():
        raise CommandError(f"container ID file found, make sure the other container isn't running or delete {path}")
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise CommandError(f"failed to create the container ID file: open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        yield path.write_text
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _create_with_image(client: Client, given: Given, body: JsonObject) -> JsonObject:
    pull, image = given.text("pull"), body["Image"]
    if pull == "always":
        _pull(client, given, image)
    try:
        return _post(client, given, body)
    except ApiError as error:
        if error.code != 404 or pull != "missing" or "no such image" not in error.message.lower():
            raise
    if not given.switch("quiet"):
        complain(f"Unable to find image '{reference.parse(image).or_latest()}' locally")
    _pull(client, given, image)
    return _post(client, given, body)


def _post(client: Client, given: Given, body: JsonObject) -> JsonObject:
    answer: JsonObject = client.post("/containers/create", body, name=given.text("name"), platform=given.text("platform"))
    return answer


def _pull(client: Client, given: Given, image: str) -> None:
    pull_image(client, image, given.text("platform"), None if given.switch("quiet") else sys.stderr)


def _run_attached(client: Client, given: Given, identity: str, body: JsonObject, keys: bytes) -> int:
    """Attach, start, and stay until the container ends or the user detaches."""
    path = f"/containers/{identity}"
    tty = bool(body.get("Tty"))
    stdin = bool(body.get("AttachStdin"))
    connection = attach(client, path, body, given.text("detach-keys"))
    numbers = [] if tty or not given.switch("sig-proxy") else FORWARDED
    with contextlib.closing(connection.sock), Signals([*numbers, *terminal.RESIZED]) as signals:
        target = Target(client, path, tty=tty)
        session = Session(target, connection, signals, stdin=stdin, detach_keys=keys)
        with wait(client, path, removed=given.switch("rm")) as waiting:
            with RawMode(wanted=tty and stdin):  # before it can print a prompt that somebody answers
                client.post(f"{path}/start")
                target.resize()
                ended = session.run()
            return exit_code(target, signals, waiting) if ended else 0


def attach(client: Client, path: str, streams: JsonObject, detach_keys: str) -> Connection:
    """Attach to those of stdin, stdout and stderr that `streams` (AttachStdin, …) names."""
    wanted = {name: bool(streams.get(f"Attach{name.capitalize()}")) for name in ("stdin", "stdout", "stderr")}
    return client.hijack(f"{path}/attach", {"stream": True, **wanted, "detachKeys": detach_keys})


def wait(client: Client, path: str, *, removed: bool) -> Answer:
    """Ask for the exit code before the container is started, so that it cannot be missed."""
    return client.stream("POST", f"{path}/wait", {"condition": "removed" if removed else "next-exit"})


_USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
COMMANDS = {
    "run": Command("run", _USAGE, _run, RUN_FLAGS, 1, None, interspersed=False, completes="images"),
    "create": Command("create", _USAGE, _create, CREATE_FLAGS, 1, None, interspersed=False, completes="images"),
}
