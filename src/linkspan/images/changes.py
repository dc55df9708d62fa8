"""Dockerfile instructions of `docker import --change`, applied to an image's configuration."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from linkspan import strict_json
from linkspan.errors import InvalidInput
from linkspan.model.publish import Port
from linkspan.model.signals import signal_number

Config = Mapping[str, Any]

_LONGEST = 16 << 10
_SHELL = ["/bin/sh", "-c"]


def apply_changes(changes: Iterable[str]) -> Config:
    """Return the configuration (the `config` of an OCI image) that the instructions make; raises InvalidInput for a wrong one."""
    config: Config = {}
    for change in changes:
        if len(change) > _LONGEST:
            raise InvalidInput(f"a change command is longer than {_LONGEST} characters")
        keyword, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(keyword.upper())
        if instruction is None:
            raise InvalidInput(f"{keyword.upper()} is not a valid change command")
        if not rest.strip():
            raise InvalidInput(f"{keyword.upper()} requires at least one argument")
        config = {**config, **instruction(config, rest.strip())}
    return config


def _command(key: str) -> Callable[[Config, str], Config]:
    return lambda _, text: {key: _listed(text) or [*_SHELL, text]}


def _text(key: str) -> Callable[[Config, str], Config]:
    return lambda _, text: {key: text}


def _env(config: Config, text: str) -> Config:
    fresh = dict(_pairs("ENV", text))
    kept = [line for line in config.get("Env", []) if line.partition("=")[0] not in fresh]
    return {"Env": [*kept, *(f"{name}={value}" for name, value in fresh.items())]}


def _label(config: Config, text: str) -> Config:
    return {"Labels": {**config.get("Labels", {}), **dict(_pairs("LABEL", text))}}


def _expose(config: Config, text: str) -> Config:
    return {"ExposedPorts": {**config.get("ExposedPorts", {}), **{str(Port.parse(word)): {} for word in _words(text)}}}


def _volume(config: Config, text: str) -> Config:
    return {"Volumes": {**config.get("Volumes", {}), **{path: {} for path in _listed(text) or _words(text)}}}


def _stop_signal(_: Config, text: str) -> Config:
    signal_number(text)
    return {"StopSignal": text}


_INSTRUCTIONS: dict[str, Callable[[Config, str], Config]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _text("User"),
    "VOLUME": _volume,
    "WORKDIR": _text("WorkingDir"),
}


def _listed(text: str) -> list[str] | None:
    """The words of a JSON list, None if the text is none: then it is a line for the shell, as Docker reads it."""
    try:
        words = strict_json.parse(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _pairs(keyword: str, text: str) -> Iterator[tuple[str, str]]:
    """`A=1 B="2 3"`, or the old form `A everything else`."""
    if not re.match(r"\S+=", text):
        name, blank, value = text.partition(" ")
        if not blank:
            raise InvalidInput(f"{keyword} must have two arguments")
        yield name, value.strip()
        return
    for word in _words(text):
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InvalidInput(f"Syntax error - can't find = in {json.dumps(word)}. Must be of the form: name=value")
        yield name, value


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r}: {error}") from error
