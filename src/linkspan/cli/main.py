"""The command `linkspan`: finds the command that was called, runs it, and turns what goes wrong into words and an exit status."""
# ruff: noqa: PLC0415 - a call imports what it needs and no more: `linkspan ps` is to take less than a tenth of a second

import io
import os
import sys
from collections.abc import Sequence

from linkspan import __version__
from linkspan.cli import settings
from linkspan.cli.client import Client
from linkspan.cli.commands import ALIASES, GROUPS, TOP, Command, load
from linkspan.cli.failures import CommandError, Exit, UsageError
from linkspan.cli.options import STRING, Flag, Given, Parser

_GLOBAL = (
    Flag("host", "Socket of the engine", STRING, "H"),
    Flag("version", "Print version information and quit", short="v"),
)
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(argv: Sequence[str]) -> int:
    """Run `linkspan ARGV…` and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and containers need not fit the locale
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        status = _main(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it flushes at exit
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _main(argv: Sequence[str]) -> int:
    try:
        given = Parser(_GLOBAL, interspersed=False).parse(argv)
        return _dispatch(given)
    except Exit as end:
        return end.status
    except CommandError as error:
        sys.stdout.flush()
        hint = "\n\nRun 'linkspan --help' for more information" if isinstance(error, UsageError) else ""
        print(f"{error}{hint}", file=sys.stderr)
        return error.status


def _dispatch(given: Given) -> int:
    words = given.arguments
    if given.switch("version"):
        print(f"linkspan version {__version__}")
        return 0
    if not words or words[0] == "help" or given.switch("help"):
        return _help(words[1:] if words and words[0] == "help" else words)
    if words[0] == "__complete":
        from linkspan.cli.completion import complete

        return complete(given.text("host"), words[1:])
    path, rest = _find(words)
    if path in GROUPS:
        return _help([path])
    return _call(load(path), rest, given.text("host"))


def _find(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the path of the command that `words` begin with, and the rest.

    Raises CommandError if there is none.
    """
    first, *rest = words
    if first not in TOP and first not in GROUPS:
        raise UsageError(f"linkspan: unknown command: linkspan {first}")
    if first not in GROUPS or not rest or rest[0] in ("--help", "-h", "help"):
        return first, rest
    path = f"{first} {rest[0]}"
    if path not in ALIASES and rest[0] not in GROUPS[first]:
        hint = f"Usage:  linkspan {first}\n\nRun 'linkspan {first} --help' for more information"
        raise CommandError(f"linkspan: unknown command: linkspan {path}\n\n{hint}")
    return path, rest[1:]


def _help(words: Sequence[str]) -> int:
    from linkspan.cli import help as texts

    if not words:
        print(texts.top_help())
        return 0
    path, _ = _find(words)
    print(texts.group_help(path) if path in GROUPS else texts.command_help(load(path)))
    return 0


def _call(command: Command, words: Sequence[str], host_flag: str) -> int:
    given = Given(())
    if command.raw:
        given.arguments = list(words)
    else:
        try:
            given = Parser(command.flags, interspersed=command.interspersed).parse(words)
        except UsageError as error:
            raise CommandError(_usage(command, str(error)), error.status) from error
    if given.switch("help") if not command.raw else "--help" in words:
        return _help(command.path.split(" "))
    _check_count(command, len(given.arguments))
    return command.run(_client(command, host_flag), given)


def _client(command: Command, host_flag: str) -> Client:
    host = settings.host(host_flag)

    def wake() -> bool:
        from linkspan.cli.engine import autostart

        return autostart(host)

    return Client(host, None if command.offline else wake)


def _check_count(command: Command, count: int) -> None:
    if count >= command.least and (command.most is None or count <= command.most):
        return
    if command.most == 0:
        wanted = "accepts no arguments"
    elif command.most == command.least:
        wanted = f"requires {command.least} argument{'s' * (command.least != 1)}"
    elif count < command.least:
        wanted = f"requires at least {command.least} argument{'s' * (command.least != 1)}"
    else:
        wanted = f"requires at most {command.most} argument{'s' * (command.most != 1)}"
    message = f"linkspan: 'linkspan {command.path}' {wanted}"
    raise CommandError(_usage(command, message, "See" if "at least" in wanted else "Run"))


def _usage(command: Command, message: str, verb: str = "Run") -> str:
    from linkspan.cli.help import usage_line

    return f"{message}\n\n{usage_line(command)}\n\n{verb} 'linkspan {command.path} --help' for more information"
