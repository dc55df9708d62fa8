"""`linkspan doctor`: what it prints, and its exit status."""

import json
import os
from typing import Any

import pytest

from linkspan.cli.main import main
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine

FINDING = {
    "Level": "problem",
    "Kind": "mtu",
    "What": "docker0 has an MTU of 1500, and the way out by wg0 one of 1420",
    "Why": "large packets get lost",
    "Remedy": "start the engine with --mtu=1420",
    "Repairable": False,
}
NOTE = {**FINDING, "Level": "note", "Kind": "runtime", "What": "runc runs the containers"}


def report(*findings: dict[str, Any], mended: tuple[str, ...] = ()) -> dict[str, Any]:
    healthy = all(finding["Level"] == "note" for finding in findings)
    return {"Healthy": healthy, "Engine": True, "Mended": list(mended), "Findings": list(findings)}


def test_nothing_wrong_is_one_line(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/doctor", report())
    said = call("doctor")
    assert (said.status, said.out, said.err) == (0, "Nothing is wrong.\n", "")


def test_a_problem_is_told_with_its_remedy_and_status_1(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/doctor", report(FINDING))
    said = call("doctor")
    assert said.status == 1
    assert said.out.splitlines() == [
        "✗ docker0 has an MTU of 1500, and the way out by wg0 one of 1420",
        "    why:  large packets get lost",
        "    do:   start the engine with --mtu=1420",
    ]


def test_a_note_is_no_problem(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/doctor", report(NOTE))
    said = call("doctor")
    assert said.status == 0
    assert said.out.splitlines()[:2] == ["Nothing is wrong.", "· runc runs the containers"]


def test_repair_says_what_was_mended_and_what_is_left(engine: FakeEngine, call: Call) -> None:
    engine.on_json("POST /linkspan/repair", report(mended=("the interface veth1 is gone: make the interface anew",)))
    said = call("doctor", "--repair")
    assert said.status == 0
    assert said.out.splitlines() == ["mended: the interface veth1 is gone: make the interface anew", "Nothing else is wrong."]
    engine.on_json("POST /linkspan/repair", report(FINDING))
    assert call("doctor", "--repair").status == 1
    assert engine.requests("GET /linkspan") == []


@pytest.mark.parametrize("flags", [("--json",), ("--format", "json"), ("--format", "{{json .}}")])
def test_programs_get_json(engine: FakeEngine, call: Call, flags: tuple[str, ...]) -> None:
    engine.on_json("GET /linkspan/doctor", report(FINDING))
    said = call("doctor", *flags)
    assert said.status == 1
    assert json.loads(said.out) == report(FINDING)


def test_a_template_is_rendered(engine: FakeEngine, call: Call) -> None:
    engine.on_json("GET /linkspan/doctor", report(FINDING, NOTE))
    assert call("doctor", "--format", "{{range .Findings}}{{.Kind}} {{end}}").out == "mtu runtime \n"


def test_without_an_engine_a_user_who_is_not_root_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["-H", f"unix://{tmp_path}/none.sock", "doctor"]) == 1
    assert "Cannot connect to the linkspan engine" in capfd.readouterr().err


def test_nothing_is_repaired_without_an_engine(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert main(["-H", f"unix://{tmp_path}/none.sock", "doctor", "--repair"]) == 1
    assert "linkspan up" in capfd.readouterr().err
