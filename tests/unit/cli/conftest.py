"""The command is called in this process, against a small engine on a real socket."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from linkspan.cli.main import main
from tests.unit.cli.fake_engine import CONTAINER, ID, FakeEngine, Reply, frame, says


@dataclass(frozen=True, slots=True)
class Said:
    """What a call of the command left behind."""

    status: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may reach, or start, a real engine; and the time zone is known."""
    with monkeypatch.context() as patch:
        patch.setenv("LINKSPAN_NO_AUTOSTART", "1")
        patch.delenv("LINKSPAN_HOST", raising=False)
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="session")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path_factory.mktemp("engine") / "s") as fake:
        yield fake


@pytest.fixture
def engine(listening: FakeEngine) -> FakeEngine:
    """An engine that has been asked nothing and knows no answer; starting one for each test would take most of the time."""
    listening.reset()
    return listening


@pytest.fixture
def call(engine: FakeEngine, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call `linkspan -H SOCKET WORDS…`."""

    def run(*words: str) -> Said:
        status = main(["-H", engine.host, *words])
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return run


@pytest.fixture
def container(engine: FakeEngine) -> FakeEngine:
    """An engine with one container that says `hello`, complains, and exits with 3."""
    engine.on_json("POST /containers/create", {"Id": ID, "Warnings": []}, 201)
    engine.on(f"POST {CONTAINER}/attach", Reply(talk=says(frame(1, b"hello\n"), frame(2, b"oh\n"))))
    engine.on(f"POST {CONTAINER}/wait", Reply(pieces=[b'{"StatusCode":3}']))
    engine.on_json(f"POST {CONTAINER}/start", None, 204)
    engine.on_json(f"POST {CONTAINER}/kill", None, 204)
    engine.on_json(f"POST {CONTAINER}/resize", None, 200)
    return engine
