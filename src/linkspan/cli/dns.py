"""`linkspan dns`: what names mean to containers, and why."""

from collections.abc import Iterator, Mapping
from typing import Any

from linkspan.cli.client import Client
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import STRING, Flag, Given
from linkspan.cli.output import renderer

Json = Mapping[str, Any]
_FAILED = 1


def _trace(client: Client, given: Given) -> int:
    container = given.text("from")
    if not container:
        raise CommandError("linkspan: say whose question it is: linkspan dns trace NAME --from CONTAINER")
    found = client.get("/linkspan/dns/trace", container=container, name=given.arguments[0], type=given.text("type"))
    if form := "json" if given.switch("json") else given.text("format"):
        print(renderer("{{json .}}" if form == "json" else form, "template parsing error", "failed to execute template", 64)(found))
    else:
        print(*_trace_lines(found), sep="\n")
    return 0 if found["Questions"][-1]["Answer"]["Records"] else _FAILED


def _trace_lines(found: Json) -> Iterator[str]:
    words = [f"name server {', '.join(found['NameServers'])}"]
    words += [f"search {' '.join(found['Search'])}"] if found["Search"] else []
    words += [f"options {' '.join(found['Options'])}"] if found["Options"] else []
    yield f"{found['Container']} has in its /etc/resolv.conf: {'; '.join(words)}"
    for question in found["Questions"]:
        yield f"{found['Container']} asks for {question['Name']} {found['Type']}"
        for step in question["Steps"]:
            yield f"  {step['Milliseconds']:8.2f} ms  {step['What']}"
            yield from _answer_lines(step.get("Answer"))
        yield f"  {'':8}     → {_said(question['Answer'])}"


def _answer_lines(answer: Json | None) -> Iterator[str]:
    if answer is not None:
        if answer["Code"] != "NOERROR" or answer["Truncated"] or not answer["Records"]:
            yield f"{'':15}{_said(answer)}"
        yield from (f"{'':15}{record}" for record in (*answer["Records"], *answer["Authority"]))


def _said(answer: Json) -> str:
    count = len(answer["Records"])
    records = f", {count} record{'s' * (count != 1)}" if count else ", no records" if answer["Code"] == "NOERROR" else ""
    return f"{answer['Code']}{records}{', cut off' * answer['Truncated']}"


def _status(client: Client, given: Given) -> int:
    found = client.get("/linkspan/dns/status")
    if form := given.text("format"):
        print(renderer("{{json .}}" if form == "json" else form, "template parsing error", "failed to execute template", 64)(found))
    elif not found["Running"]:
        print("No container needs names: no resolver runs.")
    else:
        print(f"Resolver: process {found['Pid']}, {found['Sandboxes']} containers")
        print(f"Answered: {found['Answered']} ({found['Forwarded']} by asking others, {found['Cached']} answers kept)")
    return 0


COMMANDS = {
    "dns trace": Command(
        "dns trace",
        "[OPTIONS] NAME",
        _trace,
        (
            Flag("from", "The container whose question it is", STRING),
            Flag("type", "Type of the records, such as AAAA or PTR", STRING, "t", "A"),
            Flag("format", "Format output: 'json' or a Go template", STRING, "f"),
            Flag("json", "Same as --format=json"),
        ),
        1,
        1,
    ),
    "dns status": Command("dns status", "[OPTIONS]", _status, (Flag("format", "Format output: 'json' or a Go template", STRING, "f"),)),
}
