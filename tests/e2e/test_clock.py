"""A clock that jumps, by a year forwards and backwards, while the engine runs: nothing hangs, spins or gets lost.

libfaketime moves the clock of the engine and of its helpers, and not of the machine; their monotonic clocks go on as they are.
"""

import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.engines import Engine
from tests.hosts import until

pytestmark = pytest.mark.kernel

YEAR = 365 * 24 * 3600
FORWARDS, BACKWARDS = f"+{YEAR}", f"-{YEAR}"


class Clock:
    """The wall clock of an engine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        path.write_text("+0\n")

    def jump(self, offset: str, engine: Engine) -> None:
        """Set it apart from the machine's by so many seconds; the engine sees it at the latest a second later."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(self._path)
        self._offset = int(offset)
        until(lambda: abs(self._shown_by(engine) - self.now()) < 3600, what="the engine sees the clock jump")

    @staticmethod
    def _shown_by(engine: Engine) -> float:
        return datetime.fromisoformat(engine.docker("info", "--format", "{{.SystemTime}}")[:19] + "+00:00").timestamp()

    def now(self) -> float:
        return time.time() + self._offset


@pytest.fixture
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    """That of every engine that is started from now on. Its monitors have a clean environment, and so the machine's clock."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        lacking(request.config, "needs libfaketime")
    made = Clock(tmp_path / "clock")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "clock"))
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
    monkeypatch.setenv("NO_FAKE_STAT", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return made


@pytest.fixture(params=[FORWARDS, BACKWARDS], ids=["forwards", "backwards"])
def offset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_containers_go_on(clock: Clock, new_engine: Callable[..., Engine], offset: str) -> None:
    engine = new_engine()
    engine.serve("web", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "stubborn", "busybox", "sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    engine.docker("run", "-d", "--name", "loops", "--restart", "always", "busybox", "sh", "-c", "sleep 0.2; exit 3")
    clock.jump(offset, engine)

    restarts = engine.inspect("loops")["RestartCount"]
    until(lambda: engine.inspect("loops")["RestartCount"] >= restarts + 2, within=30, what="the restarts go on")
    assert engine.inspect("loops")["RestartCount"] < restarts + 20, "nor do they run wild"
    assert engine.docker("run", "--rm", "busybox", "echo", "new") == "new"
    assert engine.docker("exec", "web", "echo", "in it") == "in it"
    begun = time.monotonic()
    engine.docker("stop", "-t", "1", "stubborn")
    assert 0.9 < time.monotonic() - begun < 20
    assert engine.page("http://127.0.0.1:8080/") == "web"
    engine.restart()
    assert engine.page("http://127.0.0.1:8080/") == "web"
    assert engine.docker("ps", "--filter", "name=web", "--format", "{{.Status}}").startswith("Up ")
    clock.jump("+0", engine)
    engine.docker("rm", "-f", "web", "loops")


def test_how_long_something_ran_is_not_taken_from_the_clock(clock: Clock, new_engine: Callable[..., Engine], offset: str) -> None:
    engine = new_engine()
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "300")
    clock.jump(offset, engine)
    engine.docker("kill", "box")
    until(lambda: not engine.inspect("box")["State"]["Running"])
    times = ("--since", "1", "--until", str(int(clock.now()) + YEAR * 2), "--filter", "event=die")
    duration = '{{index .Actor.Attributes "execDuration"}}'
    listening = listen(engine, *times, "--format", duration)
    try:
        line = listening.stdout.readline()  # type: ignore[union-attr]
        assert 0 <= int(line) < 60
    finally:
        listening.kill()
        listening.communicate()


def listen(engine: Engine, *flags: str) -> "subprocess.Popen[str]":
    return engine.host.spawn(*engine.client, "-H", f"unix://{engine.socket}", "events", *flags, stdout=subprocess.PIPE, text=True)


def test_listening_until_a_time_ends(clock: Clock, new_engine: Callable[..., Engine], offset: str) -> None:
    engine = new_engine()
    listening = listen(engine, "--since", str(int(clock.now()) - 1), "--until", str(int(clock.now()) + 3))
    engine.docker("create", "--name", "before", "busybox", "true")
    assert "before" in listening.stdout.readline()  # type: ignore[union-attr]
    clock.jump(offset, engine)
    engine.docker("create", "--name", "after", "busybox", "true")  # every event makes it look at the time again
    listening.communicate(timeout=30)
    assert listening.returncode == 0
