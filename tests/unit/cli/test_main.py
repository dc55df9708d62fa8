"""The frame around all commands: help, unknown words, counts of arguments, exit statuses."""

import os
import subprocess
import sys

import pytest

from linkspan import __version__
from linkspan.cli.commands import ALIASES, GROUPS, TOP, load
from linkspan.cli.main import main
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine

PATHS = [*(path for path in TOP if path not in GROUPS), *(f"{group} {name}" for group, names in GROUPS.items() for name in names), *ALIASES]


def test_help_lists_every_command_by_group(call: Call) -> None:
    for words in ([], ["--help"], ["help"], ["-h"]):
        said = call(*words)
        assert (said.status, said.err) == (0, "")
        assert said.out.startswith("Usage:  linkspan [OPTIONS] COMMAND\n")
        for name, entry in TOP.items():
            assert f"  {name:<11} {entry.summary}\n" in said.out


@pytest.mark.parametrize("path", PATHS)
def test_every_command_can_be_loaded_and_has_a_help(call: Call, path: str) -> None:
    command = load(path)
    assert command.path == path
    said = call(*path.split(), "--help")
    assert said.status == 0
    assert said.out.startswith(f"Usage:  linkspan {path}")
    assert all(len(line) <= 130 for line in said.out.splitlines())
    for flag in command.flags:
        assert flag.hidden or f"--{flag.name}" in said.out


@pytest.mark.parametrize("group", [name for name in GROUPS if name in TOP])
def test_group_alone_is_its_help(call: Call, group: str) -> None:
    for words in ([group], [group, "--help"], ["help", group]):
        said = call(*words)
        assert (said.status, said.out.splitlines()[0]) == (0, f"Usage:  linkspan {group} COMMAND")


def test_help_of_run(call: Call) -> None:
    lines = call("run", "--help").out.splitlines()
    assert lines[:3] == ["Usage:  linkspan run [OPTIONS] IMAGE [COMMAND] [ARG...]", "", "Create and run a new container from an image"]
    assert "  linkspan container run, linkspan run" in lines
    assert "  -p, --publish list               Publish a container's port(s) to the host" in lines
    assert all(len(line) <= 80 for line in lines)


def test_version(call: Call) -> None:
    for flag in ("-v", "--version"):
        assert call(flag).out == f"linkspan version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("foo", 1, "linkspan: unknown command: linkspan foo\n\nRun 'linkspan --help' for more information\n"),
        (
            "network foo",
            1,
            "linkspan: unknown command: linkspan network foo\n\nUsage:  linkspan network\n\n"
            "Run 'linkspan network --help' for more information\n",
        ),
        ("--foo ps", 125, "unknown flag: --foo\n\nRun 'linkspan --help' for more information\n"),
        (
            "ps -x",
            125,
            "unknown shorthand flag: 'x' in -x\n\nUsage:  linkspan ps [OPTIONS]\n\nRun 'linkspan ps --help' for more information\n",
        ),
        (
            "stop",
            1,
            "linkspan: 'linkspan stop' requires at least 1 argument\n\nUsage:  linkspan stop [OPTIONS] CONTAINER [CONTAINER...]\n\n"
            "See 'linkspan stop --help' for more information\n",
        ),
        (
            "rename x",
            1,
            "linkspan: 'linkspan rename' requires 2 arguments\n\nUsage:  linkspan rename CONTAINER NEW_NAME\n\n"
            "Run 'linkspan rename --help' for more information\n",
        ),
        (
            "ps x",
            1,
            "linkspan: 'linkspan ps' accepts no arguments\n\nUsage:  linkspan ps [OPTIONS]\n\n"
            "Run 'linkspan ps --help' for more information\n",
        ),
        (
            "logs a b",
            1,
            "linkspan: 'linkspan logs' requires 1 argument\n\nUsage:  linkspan logs [OPTIONS] CONTAINER\n\n"
            "Run 'linkspan logs --help' for more information\n",
        ),
        (
            "port a 1 2",
            1,
            "linkspan: 'linkspan port' requires at most 2 arguments\n\nUsage:  linkspan port CONTAINER [PRIVATE_PORT[/PROTO]]\n\n"
            "Run 'linkspan port --help' for more information\n",
        ),
        (
            "container rm",
            1,
            "linkspan: 'linkspan container rm' requires at least 1 argument\n\n"
            "Usage:  linkspan container rm [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'linkspan container rm --help' for more information\n",
        ),
    ],
)
def test_wrong_command_lines(call: Call, engine: FakeEngine, words: str, status: int, message: str) -> None:
    said = call(*words.split())
    assert (said.status, said.out, said.err) == (status, "", message)
    assert engine.asked == []


def test_host_comes_from_flag_then_environment(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.on_json("GET /containers/json", [])
    monkeypatch.setenv("LINKSPAN_HOST", engine.host)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    assert main(["ps"]) == 0
    assert main(["-H", str(engine.path), "ps"]) == 0
    assert main([f"--host={engine.host}", "ps"]) == 0
    assert len(engine.asked) == 3


def test_nobody_answers(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-H", "unix:///nowhere", "ps"]) == 1
    assert main(["-H", "unix:///nowhere", "run", "busybox"]) == 125
    err = capfd.readouterr().err
    assert err.startswith("Cannot connect to the linkspan engine at unix:///nowhere. Is it running? Start it with: sudo linkspan up\n")
    assert "linkspan: Cannot connect to the linkspan engine at unix:///nowhere." in err


def test_reader_that_leaves_early(engine: FakeEngine) -> None:
    engine.on_json("GET /containers/json", [])
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from linkspan.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", program, "-H", engine.host, "ps"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ps_imports_little(engine: FakeEngine) -> None:
    """Each of these would cost what the whole command may take."""
    engine.on_json("GET /containers/json", [])
    program = (
        "import sys; from linkspan.cli.main import main; main(sys.argv[1:]); "
        "print([name for name in ('asyncio', 'http.client', 'email', 'ssl', 'datetime', 'threading', 'subprocess', 'linkspan.cli.run', "
        "'linkspan.cli.template', 'linkspan.cli.help', 'linkspan.engine') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, "-H", engine.host, "ps", "-q"], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"[]\n"


def test_names_of_images_cost_nothing_but_regular_expressions() -> None:
    program = (
        "import re, typing, os, sys; before = set(sys.modules); import linkspan.cli.reference; print(sorted(set(sys.modules) - before - "
        "{'linkspan', 'linkspan.cli', 'linkspan.cli.failures', 'linkspan.cli.reference', 'linkspan.errors', 'linkspan.model', "
        "'linkspan.model.reference'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"[]\n"
