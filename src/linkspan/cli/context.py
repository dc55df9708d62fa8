"""`linkspan context`: makes the engine docker's current context, by writing docker's own files.

They are `contexts/meta/<sha256 of the name>/meta.json` and the key `currentContext` of config.json in ~/.docker or DOCKER_CONFIG
(docker/cli: cli/context/store).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from linkspan.cli.client import Client
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import Flag, Given
from linkspan.cli.output import complain
from linkspan.environment import environment

_NAME = "linkspan"


def _context(client: Client, given: Given) -> int:
    word = given.arguments[0] if given.arguments else "rm" if given.switch("reset") else "use"
    if word not in ("use", "rm"):
        raise CommandError(f"linkspan: unknown command: linkspan context {word}")
    folder = Path(environment("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        if word == "use":
            _use(folder, client.host)
        else:
            _reset(folder)
    except OSError as error:
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from error
    return 0


def _use(folder: Path, host: str) -> None:
    meta = _meta(folder)
    meta.parent.mkdir(parents=True, exist_ok=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    content = {"Name": _NAME, "Metadata": {"Description": "linkspan engine"}, "Endpoints": {"docker": endpoint}}
    meta.write_text(json.dumps(content))
    config = _read(folder)
    _write(folder, {**config, "currentContext": _NAME})
    print(f"docker's current context is now {_NAME!r} ({host}), in {folder}. `linkspan context rm` takes it back.")
    if environment("DOCKER_HOST"):
        complain("Warning: DOCKER_HOST is set, and goes before the context: unset it")


def _reset(folder: Path) -> None:
    config = _read(folder)
    was_current = config.get("currentContext") == _NAME
    if was_current:
        _write(folder, {key: value for key, value in config.items() if key != "currentContext"})
    meta = _meta(folder)
    existed = meta.exists()
    meta.unlink(missing_ok=True)
    if meta.parent.is_dir():
        meta.parent.rmdir()
    if existed or was_current:
        print(f"docker's context {_NAME!r} is removed{'; the current one is the default again' if was_current else ''}.")
    else:
        print(f"docker has no context {_NAME!r}: nothing to do.")


def _meta(folder: Path) -> Path:
    return folder / "contexts" / "meta" / hashlib.sha256(_NAME.encode()).hexdigest() / "meta.json"


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CommandError(f"{path} is not JSON, so it is left alone: {error}") from error
    if not isinstance(content, dict):
        raise CommandError(f"{path} does not hold a JSON object, so it is left alone")
    return content


def _write(folder: Path, content: dict[str, Any]) -> None:
    """Replace config.json at once: it may hold the user's passwords, so it keeps its mode and is never half written."""
    path = (folder / "config.json").resolve()  # it may be a link into somebody's dotfiles
    unfinished = path.with_name("config.json.linkspan")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:  # noqa: PTH123 - the mode
        json.dump(content, file, indent="\t")
    unfinished.replace(path)


COMMANDS = {
    "context": Command(
        "context",
        "[use|rm] [OPTIONS]",
        _context,
        (Flag("reset", "Take docker back to its default context, as `context rm`"),),
        most=1,
        offline=True,
    )
}
