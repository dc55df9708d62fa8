"""`run -d` and `create` against what docker 28.2.2 asks of its engine, or says instead (docker_create.json, recorded from it)."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "docker_create.json").read_text())
NAMED_BY_USERS = ("EndpointsConfig", "ExposedPorts", "Volumes", "Sysctls", "Tmpfs", "Labels")
CREATE = "POST /containers/create"


@pytest.fixture(autouse=True)
def accepting(engine: FakeEngine) -> None:
    engine.on_json(CREATE, {"Id": "c" * 64, "Warnings": []}, 201)
    engine.on_json(f"POST /containers/{'c' * 64}/start", None, 204)


def without_zeros(value: Any, parent: str = "") -> Any:
    """Leave out what means nothing: docker sends every field, linkspan those that were asked for."""
    if isinstance(value, list):
        return [without_zeros(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        bare = without_zeros(item, key)
        meant = key in ("Init", "StopTimeout") and bare is not None
        if (bare or meant or parent in NAMED_BY_USERS) and not (key == "default" and not bare):
            kept[key] = sorted(bare, key=json.dumps) if key in ("Binds", "Ulimits") else bare
    return kept


@pytest.mark.parametrize("case", [case for case in RECORDED if "body" in case], ids=lambda case: case["line"])
def test_request_is_dockers(case: dict[str, Any], call: Call, engine: FakeEngine) -> None:
    said = call(*shlex.split(case["line"]))
    assert (said.status, said.out, said.err) == (0, "c" * 64 + "\n", "")
    asked = engine.last(CREATE)
    assert without_zeros(asked.json) == case["body"]
    assert asked.query == case.get("query", {})
    assert bool(engine.requests(f"POST /containers/{'c' * 64}/start")) == case["line"].startswith("run")


@pytest.mark.parametrize("case", [case for case in RECORDED if "error" in case], ids=lambda case: case["line"])
def test_refusal_is_dockers(case: dict[str, Any], call: Call, engine: FakeEngine) -> None:
    said = call(*shlex.split(case["line"]))
    assert said.err.split("\n\n")[0].rstrip("\n") == case["error"].rstrip("\n")
    assert (said.status, said.out) == (case["status"], "")
    assert engine.asked == []


def test_environment(call: Call, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\n# a comment\n\nUNSET\n  SET\nC=x y\n")
    monkeypatch.setenv("SET", "from the shell")
    monkeypatch.delenv("UNSET", raising=False)
    call("run", "-d", "-e", "SET", "-e", "D=", "--env-file", str(file), "busybox")
    assert engine.last(CREATE).json["Env"] == ["A=1", "UNSET", "SET=from the shell", "C=x y", "SET=from the shell", "D="]


@pytest.mark.parametrize(
    ("content", "message"),
    [("A B=1\n", "variable 'A B' contains whitespaces"), ("=1\n", "no variable name on line '=1'"), (b"A=\xff\n", "invalid utf8 bytes")],
)
def test_bad_environment_file(call: Call, tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = call("run", "-d", "--env-file", str(file), "busybox")
    assert said.err.startswith(f"linkspan: invalid env file ({file}): {message}\n")
    assert said.status == 125


def test_missing_files(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "none"
    for flag, start in (("--env-file", "open"), ("--label-file", "open")):
        assert call("run", flag, str(path), "busybox").err.startswith(f"linkspan: {start} {path}: no such file or directory\n")
    said = call("run", "--security-opt", f"seccomp={path}", "busybox")
    assert said.err.startswith(f"linkspan: opening seccomp profile ({path}) failed: open {path}: no such file or directory\n")


def test_labels_of_a_file_come_first(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=file\nb=file\nc\n")
    call("create", "-l", "a=flag", "--label-file", str(file), "busybox")
    assert engine.last(CREATE).json["Labels"] == {"a": "flag", "b": "file", "c": ""}


def test_seccomp_profile_is_sent(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    call("create", "--security-opt", f"seccomp={profile}", "busybox")
    assert engine.last(CREATE).json["HostConfig"]["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']
    profile.write_text("{")
    assert "compacting json for seccomp profile" in call("create", "--security-opt", f"seccomp={profile}", "busybox").err


def test_relative_bind_source_is_made_absolute(call: Call, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call("create", "-v", "./www:/www:ro", "busybox")
    assert engine.last(CREATE).json["HostConfig"]["Binds"] == [f"{tmp_path}/www:/www:ro"]


def test_id_is_written_to_the_cidfile_once(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "id"
    assert call("run", "-d", "--cidfile", str(path), "busybox").status == 0
    assert path.read_text() == "c" * 64
    said = call("run", "-d", "--cidfile", str(path), "busybox")
    assert said.err.startswith(f"linkspan: container ID file found, make sure the other container isn't running or delete {path}\n")
    assert said.status == 125
    assert len(engine.requests(CREATE)) == 1


def test_no_container_without_its_cidfile_and_no_cidfile_without_its_container(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    said = call("create", "--cidfile", f"{tmp_path}/none/id", "busybox")
    assert said.err == f"failed to create the container ID file: open {tmp_path}/none/id: no such file or directory\n"
    assert engine.requests(CREATE) == []
    engine.refuse(CREATE, 409, "no")
    assert call("create", "--cidfile", f"{tmp_path}/id", "busybox").status == 1
    assert not (tmp_path / "id").exists()


def test_warnings_go_to_stderr(call: Call, engine: FakeEngine) -> None:
    engine.on_json(CREATE, {"Id": "c" * 64, "Warnings": ["Published ports are discarded when using host network mode"]}, 201)
    said = call("run", "-d", "--net", "host", "-p", "80:80", "busybox")
    assert said.out == "c" * 64 + "\n"
    assert said.err == "WARNING: Published ports are discarded when using host network mode\n"


def test_missing_image_is_not_pulled_against_the_users_will(call: Call, engine: FakeEngine) -> None:
    engine.refuse(CREATE, 404, "No such image: nosuch:latest")
    said = call("run", "--pull", "never", "nosuch")
    assert said.status == 125
    assert (
        said.err == "linkspan: Error response from daemon: No such image: nosuch:latest\n\nRun 'linkspan run --help' for more information\n"
    )


def test_create_says_less_about_the_engines_refusal(call: Call, engine: FakeEngine) -> None:
    engine.refuse(CREATE, 409, 'Conflict. The container name "/x" is already in use')
    said = call("create", "--name", "x", "busybox")
    assert (said.status, said.err) == (1, 'Error response from daemon: Conflict. The container name "/x" is already in use\n')
