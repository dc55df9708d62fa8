"""`linkspan doctor`: what is wrong with the engine's networks and with the host, and what mends it."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from linkspan.cli import settings
from linkspan.cli.client import Client, Json
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError, Unreachable
from linkspan.cli.options import STRING, Flag, Given
from linkspan.cli.output import complain, renderer

Report = Mapping[str, Any]


def _doctor(client: Client, given: Given) -> int:
    flags = given.arguments
    report = _ask(client, flags, repair=given.switch("repair"))
    if form := "json" if given.switch("json") else given.text("format"):
        print(renderer("{{json .}}" if form == "json" else form, "template parsing error", "failed to execute template", 64)(report))
    else:
        print(*_lines(report), sep="\n")
    return 0 if report["Healthy"] else 1


def _ask(client: Client, flags: Sequence[str], *, repair: bool) -> Json:
    """Let the engine examine, and repair; without one, a program of its own examines what it left."""
    try:
        return client.post("/linkspan/repair") if repair else client.get("/linkspan/doctor")
    except Unreachable as error:
        if os.geteuid() != 0:
            raise
        if repair:
            hint = "No engine runs that could repair something; its start does so as well: linkspan up"
            raise CommandError(f"{error}\n{hint}") from error
        complain(f"linkspan: no engine answers at {client.host}: what follows was found without it")
        return _without_engine(client.host, flags)


def _without_engine(host: str, flags: Sequence[str]) -> Json:
    own = [] if host == settings.DEFAULT_HOST or any(flag.startswith(("-H", "--host")) for flag in flags) else ["--host", host]
    program = [sys.executable, "-m", "linkspan", "daemon", *own, *flags, "--doctor"]
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        _become(program, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        said = output.read()
    if os.waitpid(pid, 0)[1]:
        raise CommandError("the host could not be examined")
    return json.loads(said)


def _become(program: list[str], output: int) -> NoReturn:
    try:
        os.dup2(output, 1)
        os.execv(program[0], program)  # noqa: S606 - no shell is what is wanted
    finally:
        os._exit(127)


def _lines(report: Report) -> Iterator[str]:
    yield from (f"mended: {sentence}" for sentence in report["Mended"])
    problems = [finding for finding in report["Findings"] if finding["Level"] == "problem"]
    notes = [finding for finding in report["Findings"] if finding["Level"] != "problem"]
    if not problems:
        yield "Nothing is wrong." if not report["Mended"] else "Nothing else is wrong."
    for finding in problems:
        yield from _finding(f"✗ {finding['What']}", finding)
    for finding in notes:
        yield from _finding(f"· {finding['What']}", finding)


def _finding(heading: str, finding: Mapping[str, str]) -> Iterator[str]:
    yield heading
    yield f"    why:  {finding['Why']}"
    yield f"    do:   {finding['Remedy']}"


COMMANDS = {
    "doctor": Command(
        "doctor",
        "[OPTIONS] [-- ENGINE FLAGS]",
        _doctor,
        (
            Flag("format", "Format output: 'json' or a Go template", STRING, "f"),
            Flag("json", "Same as --format=json"),
            Flag("repair", "Mend what can be mended, and say what was"),
        ),
        most=None,
        offline=True,
    ),
}
