"""`linkspan info`, `version` and `events`."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from linkspan import __version__
from linkspan.cli.client import API_VERSION, Client, encode_filters
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError, Unreachable
from linkspan.cli.options import FILTER, STRING, Flag, Given
from linkspan.cli.output import complain, renderer
from linkspan.cli.units import binary_size, nanosecond_text, read_moment

Lines = Iterator[str]


def _info(client: Client, given: Given) -> int:
    info = client.get("/info")
    if form := given.text("format"):
        print(_render(form, {**info, "ClientInfo": _client_version()}))
        return 0
    for line in _info_lines(info):
        print(line)
    for warning in info.get("Warnings") or ():
        complain(warning)
    return 0


def _render(form: str, value: object) -> str:
    return renderer("{{json .}}" if form == "json" else form, "template parsing error", "failed to execute template", 64)(value)


def _info_lines(info: Mapping[str, Any]) -> Lines:
    yield from ("Client:", f" Version:    {__version__}", " Debug Mode: false", "", "Server:")
    yield f" Containers: {info['Containers']}"
    for name in ("Running", "Paused", "Stopped"):
        yield f"  {name}: {info[f'Containers{name}']}"
    yield f" Images: {info['Images']}"
    yield f" Server Version: {info['ServerVersion']}"
    yield f" Storage Driver: {info['Driver']}"
    yield from (f"  {name}: {value}" for name, value in info.get("DriverStatus") or ())
    yield from _named(info, (("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver"), ("Cgroup Version", "CgroupVersion")))
    yield " Plugins:"
    for name, values in (info.get("Plugins") or {}).items():
        if values:
            yield f"  {name}: {' '.join(values)}"
    yield f" Runtimes: {' '.join(sorted(info.get('Runtimes') or ()))}"
    ours = info.get("Linkspan") or {}
    reason = str(ours.get("RuntimeReason") or "").removeprefix(f"{info.get('DefaultRuntime')}: ")
    yield f" Default Runtime: {info.get('DefaultRuntime')}" + (f" ({reason})" if reason else "")
    yield from _named(ours, (("Bridge", "Bridge"), ("Exec Root", "ExecRoot")))
    if security := info.get("SecurityOptions"):
        yield " Security Options:"
        yield from _security(security)
    yield from _host_lines(info)


def _host_lines(info: Mapping[str, Any]) -> Lines:
    yield from _named(info, (("Kernel Version", "KernelVersion"), ("Operating System", "OperatingSystem"), ("OSType", "OSType")))
    yield from _named(info, (("Architecture", "Architecture"), ("CPUs", "NCPU")))
    yield f" Total Memory: {binary_size(info.get('MemTotal', 0))}"
    yield from _named(info, (("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir")))
    if labels := info.get("Labels"):
        yield " Labels:"
        yield from (f"  {label}" for label in labels)
    if registries := (info.get("RegistryConfig") or {}).get("InsecureRegistryCIDRs"):
        yield " Insecure Registries:"
        yield from (f"  {registry}" for registry in registries)
    yield f" Live Restore Enabled: {str(bool(info.get('LiveRestoreEnabled'))).lower()}"


def _named(info: Mapping[str, Any], names: tuple[tuple[str, str], ...]) -> Lines:
    return (f" {title}: {info[key]}" for title, key in names if info.get(key) not in (None, ""))


def _security(options: list[str]) -> Lines:
    """Print `name=seccomp,profile=builtin` as two lines."""
    for option in options:
        pairs = [pair.partition("=")[::2] for pair in option.split(",")]
        for key, value in pairs:
            yield f"  {value}" if key == "name" else f"   {key.capitalize()}: {value}"


def _client_version() -> dict[str, str]:
    return {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "PythonVersion": ".".join(map(str, sys.version_info[:3])),
        "Os": "linux",
        "Arch": _architecture(os.uname().machine),
    }


def _architecture(machine: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _version(client: Client, given: Given) -> int:
    mine = _client_version()
    try:
        server = client.get("/version")
    except Unreachable:
        _print_version(given, mine, None)
        raise
    _print_version(given, mine, server)
    return 0


def _print_version(given: Given, mine: Mapping[str, str], server: Mapping[str, Any] | None) -> None:
    if form := given.text("format"):
        print(_render(form, {"Client": mine, "Server": server}))
    else:
        print(*_version_lines(mine, server), sep="\n")


def _version_lines(mine: Mapping[str, str], server: Mapping[str, Any] | None) -> Lines:
    yield from ("Client:", f" Version:           {mine['Version']}", f" API version:       {mine['ApiVersion']}")
    yield f" Python version:    {mine['PythonVersion']}"
    yield f" OS/Arch:           {mine['Os']}/{mine['Arch']}"
    if server is None:
        return
    yield from ("", f"Server: {(server.get('Platform') or {}).get('Name', '')}".rstrip())
    for component in server.get("Components") or ():
        details = component.get("Details") or {}
        yield f" {component['Name']}:"
        yield f"  {'Version:':<17} {component['Version']}"
        if component["Name"] == "Engine":
            yield f"  {'API version:':<17} {server.get('ApiVersion')} (minimum version {server.get('MinAPIVersion')})"
            yield f"  {'OS/Arch:':<17} {server.get('Os')}/{server.get('Arch')}"
            yield f"  {'Kernel version:':<17} {server.get('KernelVersion')}"
        else:
            yield from (f"  {f'{name}:':<17} {value}" for name, value in sorted(details.items()))


def _events(client: Client, given: Given) -> int:
    now = time.time()
    query: dict[str, Any] = {"filters": encode_filters(given.many("filter"))}
    for bound in ("since", "until"):
        try:
            query[bound] = read_moment(given.text(bound), now)
        except ValueError as error:
            raise CommandError(str(error)) from error
    form = given.text("format")
    render = renderer(form, "Error parsing format", "failed to execute template", 64) if form not in ("", "json") else None
    with client.stream("GET", "/events", query) as answer:
        for event in answer.messages():
            if form == "json":
                print(json.dumps(event, ensure_ascii=False, separators=(",", ":")), flush=True)
            else:
                print(render(event) if render else _event_line(event), flush=True)
    return 0


def _event_line(event: Mapping[str, Any]) -> str:
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{name}={value}" for name, value in sorted((actor.get("Attributes") or {}).items()))
    moment = nanosecond_text(event.get("timeNano") or event.get("time", 0) * 1_000_000_000)
    words = (moment, event.get("Type"), event.get("Action"), actor.get("ID"))
    return " ".join(map(str, words)) + (f" ({attributes})" if attributes else "")


_FORMAT = Flag("format", "Format output: 'json' or a Go template", STRING, "f")

COMMANDS = {
    "info": Command("info", "[OPTIONS]", _info, (_FORMAT,)),
    "version": Command("version", "[OPTIONS]", _version, (_FORMAT,)),
    "events": Command(
        "events",
        "[OPTIONS]",
        _events,
        (
            Flag("filter", "Filter output based on conditions provided", FILTER, "f"),
            Flag("format", "Format output: 'json' or a Go template", STRING),
            Flag("since", "Show all events created since timestamp", STRING),
            Flag("until", "Stream events until this timestamp", STRING),
        ),
    ),
}
