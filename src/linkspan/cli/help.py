"""The help texts, laid out as docker's."""

import textwrap
from collections.abc import Mapping, Sequence

from linkspan.cli.commands import ALIASES, GROUPS, TOP, Command, Entry
from linkspan.cli.options import STRING, Flag

_WIDTH = 80

GLOBAL_NOTE = """
Global Options:
  -H, --host string   Socket of the engine (default
                      "unix:///run/linkspan/linkspan.sock"; env LINKSPAN_HOST)
  -v, --version       Print version information and quit

Run 'linkspan COMMAND --help' for more information on a command."""


def top_help() -> str:
    """The text of `linkspan --help`: every command with one line, by group."""
    lines = ["Usage:  linkspan [OPTIONS] COMMAND", "", "Real containers on the network you can see: Docker's API, flags and output"]
    for group in dict.fromkeys(entry.group for entry in TOP.values()):
        lines += ["", f"{group}:", *_summaries({name: entry for name, entry in TOP.items() if entry.group == group})]
    return "\n".join(lines) + "\n" + GLOBAL_NOTE


def group_help(group: str) -> str:
    """The text of `linkspan network --help`."""
    summary = TOP[group].summary if group in TOP else "Manage the engine"
    lines = [f"Usage:  linkspan {group} COMMAND", "", summary, "", "Commands:", *_summaries(GROUPS[group])]
    return "\n".join([*lines, "", f"Run 'linkspan {group} COMMAND --help' for more information on a command."])


def command_help(command: Command) -> str:
    """The text of `linkspan run --help`."""
    own = ALIASES.get(command.path, command.path)
    names = [own, *(alias for alias, path in ALIASES.items() if path == own)]
    lines = [usage_line(command), "", summary_of(own)]
    if len(names) > 1:
        lines += ["", "Aliases:", "  " + ", ".join(f"linkspan {name}" for name in sorted(names, key=len, reverse=True))]
    if shown := [flag for flag in command.flags if not flag.hidden]:
        lines += ["", "Options:", *_options(sorted(shown, key=lambda flag: flag.name))]
    if "ENGINE FLAGS" in command.usage:
        lines += ["", "ENGINE FLAGS are those of `linkspan daemon`; see `linkspan daemon --help`."]
    return "\n".join(lines)


def usage_line(command: Command) -> str:
    """The line that errors and help texts show: `Usage:  linkspan stop [OPTIONS] CONTAINER…`."""
    return f"Usage:  linkspan {command.path} {command.usage}".rstrip()


def summary_of(path: str) -> str:
    """What the help says of a command in one line."""
    group, _, name = path.partition(" ")
    return GROUPS[group][name].summary if name else TOP[group].summary


def _summaries(entries: Mapping[str, Entry]) -> list[str]:
    return [f"  {name:<11} {entry.summary}" for name, entry in entries.items()]


def _options(flags: Sequence[Flag]) -> list[str]:
    heads = [f"  {f'-{flag.short},' if flag.short else '   '} --{flag.name} {flag.kind.label}".rstrip() for flag in flags]
    width = max(map(len, heads)) + 3
    lines: list[str] = []
    for head, flag in zip(heads, flags, strict=True):
        shown = f'"{flag.default}"' if flag.kind is STRING else flag.default
        default = f" (default {shown})" if flag.default and flag.default != "-1" else ""
        first, *rest = textwrap.wrap(flag.help + default, max(_WIDTH - width, 30))
        lines += [head.ljust(width) + first, *(" " * width + line for line in rest)]
    return lines
