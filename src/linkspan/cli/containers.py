"""Commands that change containers which exist: stop, restart, kill, rm, rename, pause, unpause, update, wait, top, prune."""

import sys
from collections.abc import Callable
from typing import Any

from linkspan.cli.client import Client, Value, container_path, encode_filters
from linkspan.cli.commands import Command
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.options import FILTER, INT, STRING, Flag, Given
from linkspan.cli.output import complain, confirm, for_each, table
from linkspan.cli.parallel import at_once
from linkspan.cli.units import decimal_size

_TIMEOUT = Flag("timeout", "Seconds to wait before killing the container", INT, "t", also=("time",))
_SIGNAL = Flag("signal", "Signal to send to the container", STRING, "s")


def _posting(action: str, *, at_the_same_time: bool = True) -> Callable[[Client, Given], int]:
    """Return a command that posts `action` to each container, with the flags that were given as the query."""

    def run(client: Client, given: Given) -> int:
        query: dict[str, Value] = {}
        for flag, name in (("timeout", "t"), ("signal", "signal")):
            if given.has(flag):
                query[name] = given.text(flag) if flag == "signal" else str(given.number(flag))

        def post(name: str) -> str:
            client.post(container_path(name, action), **query)
            return name

        return at_once(given.arguments, post) if at_the_same_time else for_each(given.arguments, post)

    return run


def _remove(client: Client, given: Given) -> int:
    force = given.switch("force")

    def remove(name: str) -> str | None:
        try:
            client.delete(container_path(name), force=force, v=given.switch("volumes"), link=given.switch("link"))
        except ApiError as error:
            if force and error.code == 404:
                complain(str(error))
                return None
            raise
        return name

    return at_once(given.arguments, remove)


def _rename(client: Client, given: Given) -> int:
    old, new = given.arguments
    if not new.strip():
        raise CommandError("Error: Neither old nor new names may be empty")
    client.post(container_path(old, "rename"), name=new)
    return 0


def _update(client: Client, given: Given) -> int:
    if not given.has("restart"):
        raise CommandError("you must provide one or more flags when using this command")
    policy = restart_policy(given.text("restart"))

    def update(name: str) -> str:
        answer = client.post(container_path(name, "update"), {"RestartPolicy": policy})
        for warning in (answer or {}).get("Warnings") or ():
            complain(warning)
        return name

    return for_each(given.arguments, update)


def restart_policy(text: str) -> dict[str, Any]:
    """Return HostConfig.RestartPolicy of `on-failure:3`.

    Raises CommandError in Docker's words.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise CommandError("invalid restart policy format: no policy provided before colon")
    try:
        retries = int(count) if count else 0
    except ValueError as error:
        raise CommandError("invalid restart policy format: maximum retry count must be an integer") from error
    return {"Name": name, "MaximumRetryCount": retries}


def _wait(client: Client, given: Given) -> int:
    return for_each(given.arguments, lambda name: str(client.post(container_path(name, "wait"))["StatusCode"]))


def _top(client: Client, given: Given) -> int:
    name, *options = given.arguments
    processes = client.get(container_path(name, "top"), ps_args=" ".join(options))
    sys.stdout.write(table([processes["Titles"], *processes["Processes"]], narrowest=20))
    return 0


def _prune(client: Client, given: Given) -> int:
    if not given.switch("force"):
        confirm("WARNING! This will remove all stopped containers.")
    answer = client.post("/containers/prune", filters=encode_filters(given.many("filter")))
    if removed := answer.get("ContainersDeleted"):
        print("Deleted Containers:", *removed, "", sep="\n")
    print(f"Total reclaimed space: {decimal_size(answer.get('SpaceReclaimed', 0))}")
    return 0


PRUNE_FLAGS = (
    Flag("filter", 'Provide filter values (e.g. "until=<timestamp>")', FILTER),
    Flag("force", "Do not prompt for confirmation", short="f"),
)
_SOME = "CONTAINER [CONTAINER...]"
_RESTART = Flag("restart", "Restart policy to apply when a container exits", STRING)
_REMOVE_FLAGS = (
    Flag("force", "Force the removal of a running container (uses SIGKILL)", short="f"),
    Flag("link", "Remove the specified link", short="l"),
    Flag("volumes", "Remove anonymous volumes associated with the container", short="v"),
)

COMMANDS = {
    command.path: command
    for command in (
        Command("stop", f"[OPTIONS] {_SOME}", _posting("stop"), (_TIMEOUT, _SIGNAL), 1, None, completes="running"),
        Command("restart", f"[OPTIONS] {_SOME}", _posting("restart"), (_TIMEOUT, _SIGNAL), 1, None, completes="containers"),
        Command("kill", f"[OPTIONS] {_SOME}", _posting("kill"), (_SIGNAL,), 1, None, completes="running"),
        Command("rm", f"[OPTIONS] {_SOME}", _remove, _REMOVE_FLAGS, 1, None, completes="containers"),
        Command("rename", "CONTAINER NEW_NAME", _rename, (), 2, 2, completes="containers"),
        Command("pause", _SOME, _posting("pause", at_the_same_time=False), (), 1, None, completes="running"),
        Command("unpause", _SOME, _posting("unpause", at_the_same_time=False), (), 1, None, completes="running"),
        Command("update", f"[OPTIONS] {_SOME}", _update, (_RESTART,), 1, None, completes="containers"),
        Command("wait", _SOME, _wait, (), 1, None, completes="running"),
        Command("top", "CONTAINER [ps OPTIONS]", _top, (), 1, None, interspersed=False, completes="running"),
        Command("container prune", "[OPTIONS]", _prune, PRUNE_FLAGS),
    )
}
