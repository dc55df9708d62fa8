"""Shell completion: the scripts, and `linkspan __complete WORDS…`, which they ask."""

import contextlib
from collections.abc import Iterable, Sequence

from linkspan.cli import settings
from linkspan.cli.client import Client, encode_filters
from linkspan.cli.commands import GROUPS, TOP, Command, load
from linkspan.cli.failures import CommandError
from linkspan.cli.options import Flag, Given

_BASH = r"""# linkspan completion for bash: source it, or put it into /etc/bash_completion.d
_linkspan() {
    local IFS=$'\n' cur="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=( $(compgen -W "$(linkspan __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$cur") )
    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
}
complete -F _linkspan linkspan
"""
_ZSH = r"""#compdef linkspan
# linkspan completion for zsh: put it into a folder of $fpath as _linkspan, or source it
_linkspan() {
    local -a found
    found=("${(@f)$(linkspan __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -a found || _files
}
compdef _linkspan linkspan
"""
_FISH = r"""# linkspan completion for fish: put it into ~/.config/fish/completions/linkspan.fish
function __linkspan_complete
    set -l words (commandline -opc) (commandline -ct)
    linkspan __complete $words[2..-1] 2>/dev/null
end
complete -c linkspan -a '(__linkspan_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_STATES = {"running": ("running", "paused"), "stopped": ("created", "exited"), "containers": ()}


def _completion(_client: Client, given: Given) -> int:
    shell = given.arguments[0]
    if shell not in _SCRIPTS:
        raise CommandError(f"unknown shell {shell!r}: use bash, zsh or fish")
    print(_SCRIPTS[shell], end="")
    return 0


def complete(host_flag: str, words: Sequence[str]) -> int:
    """Print what the last of `words` may become, one a line; never starts an engine, never complains."""
    *before, current = words or [""]
    with contextlib.suppress(CommandError):
        for candidate in _candidates(host_flag, before, current):
            if candidate.startswith(current):
                print(candidate)
    return 0


def _candidates(host_flag: str, before: Sequence[str], current: str) -> Iterable[str]:
    words = [word for word in before if not word.startswith("-")]
    if not words:
        return ["--help", "--host", "--version"] if current.startswith("-") else list(TOP)
    path = words[0]
    if path in GROUPS:
        if len(words) == 1:
            return sorted(GROUPS[path])
        path = f"{path} {words[1]}"
    try:
        command = load(path)
    except KeyError:
        return ()
    if current.startswith("-"):
        return [f"--{flag.name}" for flag in command.flags if not flag.hidden] + ["--help"]
    if path == "completion":
        return _SCRIPTS
    return _values(Client(settings.host(host_flag)), _wanted(command, before))


def _wanted(command: Command, before: Sequence[str]) -> str:
    """Return what is being typed: the value of the flag before it, else an argument of the command; empty for files and free text."""
    last = before[-1]
    if last in ("--network", "--net"):
        return "networks"
    if last == "--from":
        return "running"
    flag = _flag(command, last)
    if flag is not None and not flag.kind.switch:
        return ""
    return command.completes


def _flag(command: Command, word: str) -> Flag | None:
    if not word.startswith("-") or "=" in word:
        return None
    return next((flag for flag in command.flags if word in (f"--{flag.name}", f"-{flag.short}")), None)


def _values(client: Client, kind: str) -> list[str]:
    if kind in _STATES:
        filters = encode_filters(("status", state) for state in _STATES[kind])
        return [name.removeprefix("/") for item in client.get("/containers/json", all=True, filters=filters) for name in item["Names"]]
    if kind == "images":
        return [tag for image in client.get("/images/json") for tag in image.get("RepoTags") or ()]
    if kind == "networks":
        return [network["Name"] for network in client.get("/networks")]
    return []


COMMANDS = {"completion": Command("completion", "bash|zsh|fish", _completion, (), 1, 1, offline=True)}
