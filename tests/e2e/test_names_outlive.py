"""Names are answered whatever becomes of engine and resolver."""

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engines import Engine, processes
from tests.hosts import until
from tests.named import asking, box, resolver_pid
from tests.nameservers import ask

pytestmark = pytest.mark.kernel


@pytest.fixture
def engine(named: Engine) -> Engine:
    return named


def test_many_that_come_and_go_at_once_while_the_resolver_is_killed(engine: Engine) -> None:
    names = [f"box{number}" for number in range(10)]
    box(engine, "client")
    with ThreadPoolExecutor(5) as pool:
        starting = [pool.submit(box, engine, name) for name in names]
        for _ in range(3):
            os.kill(resolver_pid(engine), signal.SIGKILL)
            until(lambda: engine.api("GET", "/linkspan/dns/status")[1].get("Pid"), within=30, what="there is another one")
        addresses = [each.result() for each in starting]
        list(pool.map(lambda name: engine.docker("rm", "-f", name), names[:5]))
    inside = engine.inside("client")
    for number, name in enumerate(names):
        assert ask(inside, name).addresses == ([addresses[number]] if number >= 5 else []), name
    assert ask(engine.inside("box9"), "box8").addresses == [addresses[8]]


def test_a_resolver_that_hangs_is_replaced(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    former = resolver_pid(engine)
    os.kill(former, signal.SIGSTOP)
    late = box(engine, "late")  # what is told to it is not answered
    until(lambda: not Path(f"/proc/{former}").exists(), within=30, what="it is ended")
    inside = engine.inside("client")
    assert ask(inside, "late").addresses == [late]
    assert ask(inside, "web").addresses == [web]


def test_names_while_the_engine_restarts(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside, former = engine.inside("client"), resolver_pid(engine)
    with asking(lambda: ask(inside, "web", timeout=5).addresses == [web]) as answers:
        engine.restart()
        engine.kill()
        engine.start()
        until(lambda: answers["good"] > 200, what="many questions are answered")
    assert answers["bad"] == 0
    assert resolver_pid(engine) == former, "it is the same resolver"
    late = box(engine, "late")
    assert ask(inside, "late").addresses == [late]
    assert ask(engine.inside("late"), "web").addresses == [web]


def test_names_that_change_while_no_engine_runs(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    box(engine, "brief")
    inside, pid = engine.inside("client"), engine.inspect("brief")["State"]["Pid"]
    engine.kill()
    os.kill(pid, signal.SIGKILL)
    assert ask(inside, "web").addresses == [web]
    engine.start()
    assert ask(inside, "web").addresses == [web]
    assert ask(inside, "brief").code != "NOERROR"


def test_a_resolver_that_is_killed_is_replaced_and_no_question_is_lost(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside = engine.inside("client")
    with asking(lambda: ask(inside, "web", timeout=10).addresses == [web]) as answers:
        for _ in range(3):
            kill_resolver(engine, answers)
    assert answers["bad"] == 0
    late = box(engine, "late")
    assert ask(inside, "late").addresses == [late]
    assert "starting another one" in engine.log


def kill_resolver(engine: Engine, answers: dict[str, int]) -> None:
    """Kill it, and wait until another one has answered questions."""
    former, count = resolver_pid(engine), answers["good"]
    os.kill(former, signal.SIGKILL)
    until(lambda: answers["good"] > count + 50, within=30, what="questions are answered again")
    until(lambda: engine.api("GET", "/linkspan/dns/status")[1].get("Pid") not in (None, former), within=30)


def test_engine_and_resolver_killed_together(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside, former = engine.inside("client"), resolver_pid(engine)
    engine.kill()
    os.kill(former, signal.SIGKILL)
    engine.start()
    assert ask(inside, "web").addresses == [web]
    assert ask(inside, "web", tcp=True).addresses == [web]


NEWER = "import sys, linkspan.resolver.messages as m; m.PROTOCOL = 99; from linkspan.__main__ import main; sys.exit(main())"
"""An engine that does not speak with today's resolver but to take over from it."""


def test_a_resolver_of_another_version_is_replaced_and_no_question_is_lost(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside, former, program = engine.inside("client"), resolver_pid(engine), engine.program
    with asking(lambda: ask(inside, "web", timeout=10).addresses == [web]) as answers:
        engine.stop()
        engine.program = (sys.executable, "-c", NEWER)
        try:
            engine.start()
            count = answers["good"]
            until(lambda: answers["good"] > count + 50, within=30, what="questions are answered")
            assert resolver_pid(engine) != former
        finally:
            engine.program = program
            engine.restart()
    assert answers["bad"] == 0
    assert engine.docker("exec", "client", "ping", "-c", "1", "-W", "5", "web")


def test_a_purge_ends_the_resolver(new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    engine = new_engine(f"--hosts-file={hosts}")
    engine.docker("network", "create", "front")
    box(engine, "web")
    resolver, pid = resolver_pid(engine), engine.inspect("web")["State"]["Pid"]
    engine.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: list(processes(engine.folder)) == [resolver], what="the container's monitor has ended")
    assert "web.front" in hosts.read_text()
    roots = ("--data-root", engine.folder / "data", "--exec-root", engine.folder / "run", "--config-file", engine.folder / "daemon.json")
    engine.linkspan("daemon", *roots, *engine.flags, "--purge")
    until(lambda: not processes(engine.folder), what="the resolver has ended")
    assert not hosts.read_text()
    engine.start()


def test_no_container_no_resolver(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("network", "create", "front")
    assert engine.api("GET", "/linkspan/dns/status")[1] == {"Running": False}
    box(engine, "web")
    pid = resolver_pid(engine)
    engine.docker("rm", "-f", "web")
    until(engine.nothing_is_left, what="all is cleared away")
    engine.stop()
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the resolver has nothing to do and ends with the engine")
    engine.start()
