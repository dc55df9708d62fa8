"""info, version, events, context, completion."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linkspan import __version__
from linkspan.cli.main import main
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine, Reply

EVENT: dict[str, Any] = {
    "Type": "container",
    "Action": "start",
    "Actor": {"ID": "a" * 64, "Attributes": {"name": "web", "image": "busybox"}},
    "time": 1790000000,
    "timeNano": 1790000000123456789,
}
INFO: dict[str, Any] = {
    "Containers": 3,
    "ContainersRunning": 1,
    "ContainersPaused": 0,
    "ContainersStopped": 2,
    "Images": 1,
    "ServerVersion": "0.1.0",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "NCPU": 2,
    "Plugins": {"Volume": None, "Network": ["bridge", "host"]},
    "Runtimes": {"runc": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "MemTotal": 8123456789,
    "Name": "box",
    "Labels": ["a=b"],
    "LiveRestoreEnabled": True,
    "Warnings": ["WARNING: no swap limit support"],
}


def test_info(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /info", INFO)
    said = call("info")
    assert said.err == "WARNING: no swap limit support\n"
    server = said.out[said.out.index("Server:") :].splitlines()
    assert server == [
        *("Server:", " Containers: 3", "  Running: 1", "  Paused: 0", "  Stopped: 2", " Images: 1", " Server Version: 0.1.0"),
        *(" Storage Driver: overlay2", "  Backing Filesystem: extfs", " Plugins:", "  Network: bridge host", " Runtimes: runc"),
        *(" Default Runtime: runc", " Security Options:", "  seccomp", "   Profile: builtin", " CPUs: 2", " Total Memory: 7.566GiB"),
        *(" Name: box", " Labels:", "  a=b", " Live Restore Enabled: true"),
    ]
    assert call("info", "-f", "{{.Name}} {{.ClientInfo.Version}}").out == f"box {__version__}\n"
    assert call("system", "info", "-f", "{{.Name").status == 64


def test_version(call: Call, engine: FakeEngine) -> None:
    components = [{"Name": "Engine", "Version": "0.1.0"}, {"Name": "runc", "Version": "1.1", "Details": {"GitCommit": "x"}}]
    platform = {"Platform": {"Name": "linkspan"}, "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
    engine.on_json("GET /version", {**platform, "Components": components, "KernelVersion": "6.1"})
    said = call("version")
    assert f" Version:           {__version__}\n" in said.out
    assert said.out[said.out.index("Server:") :].splitlines() == [
        "Server: linkspan",
        " Engine:",
        "  Version:          0.1.0",
        "  API version:      1.51 (minimum version 1.24)",
        "  OS/Arch:          linux/amd64",
        "  Kernel version:   6.1",
        " runc:",
        "  Version:          1.1",
        "  GitCommit:        x",
    ]


def test_version_without_an_engine_shows_the_commands_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-H", "unix:///nowhere", "version"]) == 1
    out, err = capfd.readouterr()
    assert out.startswith("Client:\n")
    assert "Server" not in out
    assert err.startswith("Cannot connect to the linkspan engine")


def test_events(call: Call, engine: FakeEngine) -> None:
    line = json.dumps(EVENT).encode() + b"\n"
    engine.on("GET /events", Reply(pieces=[line[:50], line[50:] + line]))
    said = call("events", "--since", "1", "--until", "2", "-f", "type=container", "-f", "event=start")
    assert said.out == f"2026-09-21T14:13:20.123456789Z container start {'a' * 64} (image=busybox, name=web)\n" * 2
    assert engine.asked[0].query == {
        "since": "1",
        "until": "2",
        "filters": '{"type": {"container": true}, "event": {"start": true}}',
    }
    assert call("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}").out == "start web\n" * 2
    assert json.loads(call("events", "--format", "json").out.splitlines()[0]) == EVENT
    assert call("events", "--since", "x").err == 'failed to parse value as time or duration: "x"\n'


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return folder


def meta_files(folder: Path) -> list[Path]:
    return list(folder.glob("contexts/meta/*/meta.json"))


def test_context_is_made_and_taken_back(call: Call, engine: FakeEngine, docker_config: Path) -> None:
    docker_config.mkdir()
    config = docker_config / "config.json"
    config.write_text('{"auths": {"x": {"auth": "secret"}}}')
    config.chmod(0o600)
    assert call("context").out.startswith("docker's current context is now 'linkspan' (unix://")
    assert json.loads(config.read_text()) == {"auths": {"x": {"auth": "secret"}}, "currentContext": "linkspan"}
    assert config.stat().st_mode & 0o777 == 0o600
    (meta,) = meta_files(docker_config)
    assert json.loads(meta.read_text())["Endpoints"] == {"docker": {"Host": engine.host, "SkipTLSVerify": False}}
    assert call("context", "rm").out == "docker's context 'linkspan' is removed; the current one is the default again.\n"
    assert json.loads(config.read_text()) == {"auths": {"x": {"auth": "secret"}}}
    assert meta_files(docker_config) == []
    assert call("context", "--reset").out == "docker has no context 'linkspan': nothing to do.\n"


def test_context_of_somebody_else_stays_current(call: Call, docker_config: Path) -> None:
    call("context", "use")
    (docker_config / "config.json").write_text('{"currentContext": "other"}')
    assert call("context", "rm").out == "docker's context 'linkspan' is removed.\n"
    assert json.loads((docker_config / "config.json").read_text()) == {"currentContext": "other"}


def test_context_leaves_broken_files_alone(call: Call, docker_config: Path) -> None:
    docker_config.mkdir()
    config = docker_config / "config.json"
    for content in ("{oops", "[]"):
        config.write_text(content)
        said = call("context")
        assert said.status == 1
        assert "so it is left alone" in said.err
        assert config.read_text() == content


def test_context_warns_of_what_goes_before_it(call: Call, docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert call("context").err == "Warning: DOCKER_HOST is set, and goes before the context: unset it\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sto"], ["stop"]),
        (["network", "c"], ["connect", "create"]),
        (["container", "pr"], ["prune"]),
        (["stop", ""], ["web"]),
        (["stop", "x"], []),
        (["run", "--na"], ["--name"]),
        (["run", "--net", ""], ["bridge"]),
        (["run", "--name", ""], []),
        (["run", "-it", ""], ["busybox:latest"]),
        (["images", "b"], ["busybox:latest"]),
        (["network", "rm", ""], ["bridge"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["nosuch", ""], []),
        (["--h"], ["--help", "--host"]),
    ],
)
def test_completion(call: Call, engine: FakeEngine, words: list[str], found: list[str]) -> None:
    engine.on_json("GET /containers/json", [{"Names": ["/web"]}])
    engine.on_json("GET /images/json", [{"RepoTags": ["busybox:latest"]}, {"RepoTags": None}])
    engine.on_json("GET /networks", [{"Name": "bridge"}])
    said = call("__complete", *words)
    assert (said.status, said.out.split(), said.err) == (0, found, "")


def test_completion_without_an_engine_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-H", "unix:///nowhere", "__complete", "stop", ""]) == 0
    assert capfd.readouterr() == ("", "")


def test_completion_scripts(call: Call) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "linkspan __complete" in call("completion", shell).out
    assert call("completion", "tcsh").err == "unknown shell 'tcsh': use bash, zsh or fish\n"


def test_demo_that_cannot_begin_cleans_up(engine: FakeEngine) -> None:
    """In a process of its own: it turns its descriptors 1 and 2 away from the terminal."""
    engine.refuse("POST /containers/create", 500, "no runtime")
    program = "import sys; from linkspan.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", program, "-H", engine.host, "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "$ linkspan run -d --name linkspan-demo-web" in done.stdout
    assert "    linkspan: Error response from daemon: no runtime\n" in done.stdout
    assert done.stderr == "linkspan demo: that should have worked (exit status 125)\n"
    removals = engine.requests("DELETE ")
    assert removals[-1] == "DELETE /containers/linkspan-demo-web"
    assert removals == removals[: len(removals) // 2] * 2
