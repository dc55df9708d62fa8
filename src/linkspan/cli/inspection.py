"""Commands that show one thing in full: inspect of containers, images and networks, and port."""

import json
from collections.abc import Callable, Iterable

from linkspan.cli.client import Client, Json, container_path, quote
from linkspan.cli.commands import Command
from linkspan.cli.failures import ApiError, CommandError, Exit
from linkspan.cli.options import BOOL, STRING, Flag, Given
from linkspan.cli.output import complain, renderer


def _get_container(client: Client, name: str, given: Given) -> Json:
    return client.get(container_path(name, "json"), size=given.switch("size"))


def _get_image(client: Client, name: str, _given: Given) -> Json:
    return client.get(f"/images/{quote(name)}/json")


def _get_network(client: Client, name: str, given: Given) -> Json:
    return client.get(f"/networks/{quote(name)}", verbose=given.switch("verbose"))


_GETTERS = {"container": _get_container, "image": _get_image, "network": _get_network}


def _inspecting(*kinds: str) -> Callable[[Client, Given], int]:
    """Return the command that looks a name up among `kinds`, first hit wins."""

    def run(client: Client, given: Given) -> int:
        wanted = kinds
        if len(kinds) > 1 and (kind := given.text("type")):
            if kind not in _GETTERS:
                raise CommandError(f'unknown type: "{kind}": must be one of "container", "image", "network"')
            wanted = (kind,)
        return _show(given.arguments, given.text("format"), lambda name: _find(client, name, given, wanted))

    return run


def _find(client: Client, name: str, given: Given, kinds: Iterable[str]) -> Json:
    """Return what the engine knows of `name`.

    Raises CommandError as docker words it: its own sentence where several kinds were tried, the engine's where it was one.
    """
    tried = tuple(kinds)
    for kind in tried:
        try:
            return _GETTERS[kind](client, name, given)
        except ApiError as error:
            if error.code != 404 or len(tried) == 1:
                raise
    raise CommandError(f"Error: No such object: {name}")


def _show(names: Iterable[str], form: str, find: Callable[[str], Json]) -> int:
    """Print what `find` returns for each name: as one JSON list, or each by a template; then the errors."""
    render = _renderer(form) if form else None
    found: list[Json] = []
    errors: list[str] = []
    for name in names:
        try:
            value = find(name)
            text = render(value) if render else ""
        except CommandError as error:
            errors.append(str(error))
            continue
        found.append(value)
        if render:
            print(text)
    if render is None:
        print(json.dumps(found, indent=4, ensure_ascii=False))
    if errors:
        complain("\n".join(errors))
        raise Exit(1)
    return 0


def _renderer(form: str) -> Callable[[Json], str]:
    return renderer("{{json .}}" if form == "json" else form, "template parsing error", "template parsing error", 64)


def _port(client: Client, given: Given) -> int:
    name, *wanted = given.arguments
    ports = (client.get(container_path(name, "json")).get("NetworkSettings") or {}).get("Ports") or {}
    if wanted:
        key = wanted[0] if "/" in wanted[0] else f"{wanted[0]}/tcp"
        lines = [_address(binding) for binding in ports.get(key) or ()]
        if not lines:
            raise CommandError(f"Error: No public port '{wanted[0]}' published for {name}")
    else:
        lines = [f"{port} -> {_address(binding)}" for port, bindings in sorted(ports.items()) for binding in bindings or ()]
    for line in sorted(lines, key=_natural):
        print(line)
    return 0


def _address(binding: dict[str, str]) -> str:
    address = binding.get("HostIp", "")
    return f"{f'[{address}]' if ':' in address else address}:{binding.get('HostPort', '')}"


def _natural(line: str) -> tuple[int, str]:
    number = line.partition("/")[0]
    return (int(number) if number.isdecimal() else 0), line


_FORMAT = Flag("format", "Format output using a custom template: 'json' or a Go template", STRING, "f")
_SIZE = Flag("size", "Display total file sizes if the type is container", BOOL, "s")
_TYPE = Flag("type", "Only inspect objects of the given type: container, image or network", STRING)
_VERBOSE = Flag("verbose", "Verbose output for diagnostics", BOOL, "v")

COMMANDS = {
    command.path: command
    for command in (
        Command(
            "inspect",
            "[OPTIONS] NAME|ID [NAME|ID...]",
            _inspecting("container", "image", "network"),
            (_FORMAT, _SIZE, _TYPE, Flag("verbose", "", hidden=True)),
            1,
            None,
            completes="containers",
        ),
        Command(
            "container inspect",
            "[OPTIONS] CONTAINER [CONTAINER...]",
            _inspecting("container"),
            (_FORMAT, _SIZE),
            1,
            None,
            completes="containers",
        ),
        Command("image inspect", "[OPTIONS] IMAGE [IMAGE...]", _inspecting("image"), (_FORMAT,), 1, None, completes="images"),
        Command(
            "network inspect",
            "[OPTIONS] NETWORK [NETWORK...]",
            _inspecting("network"),
            (_FORMAT, _VERBOSE),
            1,
            None,
            completes="networks",
        ),
        Command("port", "CONTAINER [PRIVATE_PORT[/PROTO]]", _port, (), 1, 2, completes="containers"),
    )
}
