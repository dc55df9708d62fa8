"""Every command: where it is written, and what the help lists. Importing this must stay cheap."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from linkspan.cli.client import Client
from linkspan.cli.options import Flag, Given


class Command(NamedTuple):
    """How to call one command. `path` is its name as typed: `network create`."""

    path: str
    usage: str
    """What follows the name: `[OPTIONS] CONTAINER [CONTAINER...]`."""
    run: Callable[[Client, Given], int]
    flags: Sequence[Flag] = ()
    least: int = 0
    most: int | None = 0
    """None: any number of arguments."""
    interspersed: bool = True
    """False: flags after the first argument belong to the container."""
    completes: str = ""
    """What its arguments are: containers, running, stopped, images, networks."""
    raw: bool = False
    """The words are handed over as they are: they are flags of the engine."""
    offline: bool = False
    """Never starts the engine."""


class Entry(NamedTuple):
    """A line of the help, and the module that is imported when the command is called."""

    module: str
    summary: str
    group: str = "Commands"


COMMON, NETWORK, ENGINE, OTHER = "Common Commands", "Network and Image Commands", "Engine Commands", "Container Commands"

TOP: dict[str, Entry] = {
    "run": Entry("run", "Create and run a new container from an image", COMMON),
    "exec": Entry("execute", "Execute a command in a running container", COMMON),
    "ps": Entry("listing", "List containers", COMMON),
    "logs": Entry("logs", "Fetch the logs of a container", COMMON),
    "inspect": Entry("inspection", "Return low-level information on containers, images and networks", COMMON),
    "pull": Entry("transfer", "Download an image from a registry", COMMON),
    "images": Entry("images", "List images", COMMON),
    "demo": Entry("demo", "Show the four network modes with what each container sees", COMMON),
    "up": Entry("engine", "Start the engine in the background", ENGINE),
    "down": Entry("engine", "Stop the engine; containers go on running", ENGINE),
    "daemon": Entry("engine", "Run the engine in the foreground, with dockerd's flags", ENGINE),
    "info": Entry("system", "Display system-wide information", ENGINE),
    "version": Entry("system", "Show the version of command and engine", ENGINE),
    "events": Entry("system", "Get real time events from the engine", ENGINE),
    "doctor": Entry("doctor", "Say what is wrong with the networks and the host, and what mends it", ENGINE),
    "context": Entry("context", "Make the engine docker's current context, so that plain `docker` uses it", ENGINE),
    "completion": Entry("completion", "Print a completion script for bash, zsh or fish", ENGINE),
    "network": Entry("networks", "Manage networks", NETWORK),
    "dns": Entry("dns", "Say what names mean to containers, and why", NETWORK),
    "image": Entry("images", "Manage images", NETWORK),
    "container": Entry("containers", "Manage containers", NETWORK),
    "history": Entry("images", "Show the history of an image", NETWORK),
    "import": Entry("transfer", "Import the contents from a tarball to create a filesystem image", NETWORK),
    "load": Entry("transfer", "Load an image from a tar archive or STDIN", NETWORK),
    "rmi": Entry("images", "Remove one or more images", NETWORK),
    "save": Entry("transfer", "Save one or more images to a tar archive (streamed to STDOUT by default)", NETWORK),
    "tag": Entry("images", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", NETWORK),
    "attach": Entry("start", "Attach local standard input, output, and error streams to a running container", OTHER),
    "create": Entry("run", "Create a new container", OTHER),
    "kill": Entry("containers", "Kill one or more running containers", OTHER),
    "pause": Entry("containers", "Pause all processes within one or more containers", OTHER),
    "port": Entry("inspection", "List port mappings or a specific mapping for the container", OTHER),
    "rename": Entry("containers", "Rename a container", OTHER),
    "restart": Entry("containers", "Restart one or more containers", OTHER),
    "rm": Entry("containers", "Remove one or more containers", OTHER),
    "start": Entry("start", "Start one or more stopped containers", OTHER),
    "stop": Entry("containers", "Stop one or more running containers", OTHER),
    "top": Entry("containers", "Display the running processes of a container", OTHER),
    "unpause": Entry("containers", "Unpause all processes within one or more containers", OTHER),
    "update": Entry("containers", "Change the restart policy of one or more containers", OTHER),
    "wait": Entry("containers", "Block until one or more containers stop, then print their exit codes", OTHER),
}

_SAME = ("attach", "create", "exec", "inspect", "kill", "logs", "pause", "port")
_SAME_TOO = ("rename", "restart", "rm", "run", "start", "stop", "top", "unpause", "update", "wait")

GROUPS: dict[str, dict[str, Entry]] = {
    "container": {
        **{name: TOP[name] for name in _SAME},
        "inspect": Entry("inspection", "Display detailed information on one or more containers"),
        "ls": TOP["ps"],
        "prune": Entry("containers", "Remove all stopped containers"),
        **{name: TOP[name] for name in _SAME_TOO},
    },
    "image": {
        "history": TOP["history"],
        "import": TOP["import"],
        "inspect": Entry("inspection", "Display detailed information on one or more images"),
        "load": TOP["load"],
        "ls": TOP["images"],
        "prune": Entry("images", "Remove unused images"),
        "pull": TOP["pull"],
        "rm": TOP["rmi"],
        "save": TOP["save"],
        "tag": TOP["tag"],
    },
    "dns": {
        "status": Entry("dns", "Show what the name server of the containers does"),
        "trace": Entry("dns", "Ask for a name as a container would, and tell each step"),
    },
    "network": {
        "connect": Entry("networks", "Connect a container to a network"),
        "create": Entry("network_create", "Create a network"),
        "disconnect": Entry("networks", "Disconnect a container from a network"),
        "inspect": Entry("inspection", "Display detailed information on one or more networks"),
        "ls": Entry("networks", "List networks"),
        "prune": Entry("networks", "Remove all unused networks"),
        "rm": Entry("networks", "Remove one or more networks"),
        "update": Entry("network_create", "Change networks, whoever is on them (not docker's)"),
    },
    "system": {"events": TOP["events"], "info": TOP["info"]},
}
"""`system` is not listed in the help; it is there because docker has it."""

ALIASES: dict[str, str] = {
    "container ls": "ps",
    "container list": "ps",
    "container ps": "ps",
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "network list": "network ls",
    "network remove": "network rm",
    "container remove": "rm",
    "system info": "info",
    "system events": "events",
    **{f"container {name}": name for name in (*_SAME, *_SAME_TOO) if name != "inspect"},
    **{f"image {name}": name for name in ("history", "import", "load", "pull", "save", "tag")},
}
"""Names that mean another command, which is then looked up by its own."""


def load(path: str) -> Command:
    """Import the module of a command and return it, under the name it was called by; KeyError if there is no such command."""
    own = ALIASES.get(path, path)
    group, _, name = own.partition(" ")
    entry = GROUPS[group][name] if name else TOP[group]
    commands: Mapping[str, Command] = importlib.import_module(f"linkspan.cli.{entry.module}").COMMANDS
    return commands[own]._replace(path=path)
