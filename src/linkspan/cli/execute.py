"""`linkspan exec`."""

import contextlib

from linkspan.cli import terminal
from linkspan.cli.client import Client, JsonObject, container_path
from linkspan.cli.commands import Command
from linkspan.cli.create_body import environment_entries
from linkspan.cli.create_flags import DETACH_KEYS
from linkspan.cli.create_values import ENVIRONMENT
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.options import BOOL, LIST, STRING, Flag, Given
from linkspan.cli.run import check_terminal, start_failure
from linkspan.cli.session import Session, Target
from linkspan.cli.terminal import RawMode, Signals


def _exec(client: Client, given: Given) -> int:
    name, *arguments = given.arguments
    detach, tty = given.switch("detach"), given.switch("tty")
    stdin = given.switch("interactive") and not detach
    check_terminal(stdin=stdin, tty=tty)
    keys = terminal.parse_keys(given.text("detach-keys"))
    size = terminal.size() if tty else None
    console = {"ConsoleSize": list(size)} if size else {}
    body = {**_body(given, arguments, stdin=stdin, attached=not detach), **console}
    identity = client.post(container_path(name, "exec"), body)["Id"]
    start = {"Detach": detach, "Tty": tty, **console}
    try:
        if detach:
            client.post(f"/exec/{identity}/start", start)
            return 0
        ended = _converse(client, identity, start, keys, stdin=stdin)
    except ApiError as error:
        status = start_failure(error.message)
        raise CommandError(str(error), 1 if status == 125 else status) from error
    if not ended:
        return 0
    return int(client.get(f"/exec/{identity}/json").get("ExitCode") or 0)


def _body(given: Given, arguments: list[str], *, stdin: bool, attached: bool) -> JsonObject:
    return {
        "AttachStderr": attached,
        "AttachStdin": stdin,
        "AttachStdout": attached,
        "Cmd": arguments,
        "DetachKeys": given.text("detach-keys"),
        "Env": environment_entries(given),
        "Privileged": given.switch("privileged"),
        "Tty": given.switch("tty"),
        "User": given.text("user"),
        "WorkingDir": given.text("workdir"),
    }


def _converse(client: Client, identity: str, start: JsonObject, keys: bytes, *, stdin: bool) -> bool:
    """Start the process and talk with it until it ends (True) or the user detaches (False)."""
    path, tty = f"/exec/{identity}", bool(start["Tty"])
    with RawMode(wanted=tty and stdin):
        connection = client.hijack(f"{path}/start", body=start)
        with contextlib.closing(connection.sock), Signals(terminal.RESIZED) as signals:
            target = Target(client, path, tty=tty)
            target.resize()
            return Session(target, connection, signals, stdin=stdin, detach_keys=keys).run()


COMMANDS = {
    "exec": Command(
        "exec",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        _exec,
        (
            Flag("detach", "Detached mode: run command in the background", BOOL, "d"),
            DETACH_KEYS,
            Flag("env", "Set environment variables", ENVIRONMENT, "e"),
            Flag("env-file", "Read in a file of environment variables", LIST),
            Flag("interactive", "Keep STDIN open even if not attached", BOOL, "i"),
            Flag("privileged", "Give extended privileges to the command"),
            Flag("tty", "Allocate a pseudo-TTY", BOOL, "t"),
            Flag("user", "Username or UID (format: <name|uid>[:<group|gid>])", STRING, "u"),
            Flag("workdir", "Working directory inside the container", STRING, "w"),
        ),
        2,
        None,
        interspersed=False,
        completes="running",
    )
}
