"""Beside a real firewalld: what it forbids is named, what is advised helps, and its reload does no harm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.engines import Engine
from tests.firewalld import Firewalld, installed
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel


@pytest.fixture
def engine(new_engine: Callable[..., Engine], outside: Host, request: pytest.FixtureRequest) -> Engine:
    if not installed():
        lacking(request.config, "firewalld is not installed")
    made = new_engine()
    made.serve("web", "-p", "8080:80")
    return made


def test_firewalld_in_the_way_is_named_and_its_reload_does_no_harm(engine: Engine, host: Host, outside: Host, tmp_path: Path) -> None:
    def works() -> bool:
        reached = engine.inside("web").reaches(OUTSIDE_ADDRESS, 90)
        return reached and b"web" in outside.ask_http(HOST_ADDRESS, 8080)

    with outside.answering(OUTSIDE_ADDRESS, 90, b"outside"), Firewalld(host, tmp_path / "firewalld") as firewalld:
        assert not engine.inside("web").reaches(OUTSIDE_ADDRESS, 90)
        report = json.loads(engine.try_linkspan("doctor", "--json").out)
        [finding] = report["Findings"]
        assert (report["Healthy"], finding["Kind"]) == (False, "forward-policy")
        assert "table inet firewalld" in finding["What"]
        firewalld.advice(finding["Remedy"])
        until(works, what="what is advised helps")
        assert engine.linkspan("doctor") == "Nothing is wrong."
        firewalld.command("--reload")
        until(works, what="it works after a reload")
        assert engine.linkspan("doctor") == "Nothing is wrong."
