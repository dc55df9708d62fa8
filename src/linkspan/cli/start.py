"""`linkspan start` and `linkspan attach`."""

import contextlib

from linkspan.cli import terminal
from linkspan.cli.client import Answer, Client, JsonObject, container_path
from linkspan.cli.commands import Command
from linkspan.cli.create_flags import DETACH_KEYS, SIG_PROXY
from linkspan.cli.failures import CommandError
from linkspan.cli.options import BOOL, Flag, Given
from linkspan.cli.output import for_each
from linkspan.cli.run import attach, check_terminal, wait
from linkspan.cli.session import Session, Target, exit_code
from linkspan.cli.terminal import FORWARDED, RawMode, Signals

_STATES = (
    ("Paused", "You cannot attach to a paused container, unpause it first"),
    ("Restarting", "You cannot attach to a restarting container, wait until it is running"),
)


def _start(client: Client, given: Given) -> int:
    if given.switch("attach") or given.switch("interactive"):
        return _start_attached(client, given)

    started: list[str] = []

    def start(name: str) -> str:
        client.post(container_path(name, "start"))
        started.append(name)
        return name

    if for_each(given.arguments, start):
        failed = [name for name in given.arguments if name not in started]
        raise CommandError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_attached(client: Client, given: Given) -> int:
    if len(given.arguments) > 1:
        raise CommandError("you cannot start and attach multiple containers at once")
    found = client.get(container_path(given.arguments[0], "json"))
    config = found["Config"]
    stdin = given.switch("interactive") and bool(config.get("OpenStdin"))
    check_terminal(stdin=stdin, tty=bool(config.get("Tty")))
    removed = bool((found.get("HostConfig") or {}).get("AutoRemove"))
    path = f"/containers/{found['Id']}"
    with wait(client, path, removed=removed) as waiting:
        return _converse(client, found, given, waiting, stdin=stdin, start=True)


def _attach(client: Client, given: Given) -> int:
    found = client.get(container_path(given.arguments[0], "json"))
    state, config = found["State"], found["Config"]
    if not state.get("Running"):
        raise CommandError("You cannot attach to a stopped container, start it first")
    for field, sentence in _STATES:
        if state.get(field):
            raise CommandError(sentence)
    stdin = bool(config.get("OpenStdin")) and not given.switch("no-stdin")
    check_terminal(stdin=stdin, tty=bool(config.get("Tty")))
    with client.stream("POST", f"/containers/{found['Id']}/wait", {}) as waiting:
        return _converse(client, found, given, waiting, stdin=stdin, start=False)


def _converse(client: Client, found: JsonObject, given: Given, waiting: Answer, *, stdin: bool, start: bool) -> int:
    """Attach to a container, start it if that is asked for, and stay until it ends or the user detaches."""
    path, tty = f"/containers/{found['Id']}", bool(found["Config"].get("Tty"))
    keys = terminal.parse_keys(given.text("detach-keys"))
    streams = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True}
    numbers = [] if tty or not given.switch("sig-proxy") else FORWARDED
    connection = attach(client, path, streams, given.text("detach-keys"))
    with contextlib.closing(connection.sock), Signals([*numbers, *terminal.RESIZED]) as signals:
        target = Target(client, path, tty=tty)
        session = Session(target, connection, signals, stdin=stdin, detach_keys=keys)
        with RawMode(wanted=tty and stdin):
            if start:
                client.post(f"{path}/start")
            else:
                target.resize(1)  # a change of size makes what runs there draw its screen again, for the newcomer
            target.resize()
            ended = session.run()
        return exit_code(target, signals, waiting) if ended else 0


COMMANDS = {
    "start": Command(
        "start",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        _start,
        (
            Flag("attach", "Attach STDOUT/STDERR and forward signals", BOOL, "a"),
            DETACH_KEYS,
            Flag("interactive", "Attach container's STDIN", BOOL, "i"),
            SIG_PROXY,
        ),
        1,
        None,
        completes="stopped",
    ),
    "attach": Command(
        "attach",
        "[OPTIONS] CONTAINER",
        _attach,
        (DETACH_KEYS, Flag("no-stdin", "Do not attach STDIN"), SIG_PROXY),
        1,
        1,
        completes="running",
    ),
}
