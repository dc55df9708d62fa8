"""What an ended container leaves is cleared away after the answer; whoever needs the place earlier finds it free."""

from collections.abc import Callable

import pytest

from tests.engines import Engine
from tests.hosts import until

pytestmark = pytest.mark.kernel


def interfaces(engine: Engine) -> int:
    return engine.host.sh("ip", "-br", "link").count("veth")


def test_a_container_can_start_again_at_once(engine: Engine) -> None:
    engine.serve("web", "-p", "8080:80")
    address = engine.address("web")
    for _ in range(5):
        engine.docker("stop", "-t", "0", "web")
        engine.docker("start", "web")
    engine.wait_listening("web", 80)
    assert engine.address("web") == address
    assert "web" in engine.page("http://127.0.0.1:8080/")
    assert interfaces(engine) == 1


def test_a_name_and_a_port_are_free_when_the_answer_is_there(engine: Engine) -> None:
    for _ in range(5):
        engine.docker("run", "-d", "--name", "box", "-p", "8080:80", "busybox", "sleep", "100")
        engine.docker("rm", "-f", "box")
    until(engine.nothing_is_left)


def test_the_addresses_of_what_has_just_ended_are_free_when_none_else_is(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--fixed-cidr", "172.17.0.8/31")
    for _ in range(5):
        engine.docker("run", "--rm", "busybox", "true")
    for name in ("first", "second"):
        engine.docker("run", "-d", "--name", name, "busybox", "sleep", "100")
    assert "no available IPv4 addresses" in engine.refused("run", "--name", "third", "busybox", "true")
    assert interfaces(engine) == 2


def test_an_engine_that_stops_leaves_nothing_to_clear(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("run", "--rm", "busybox", "true")
    engine.stop()
    assert engine.nothing_is_left()
    engine.start()


def test_an_engine_that_is_killed_leaves_it_to_the_next(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("run", "-d", "--name", "kept", "busybox", "sleep", "100")
    engine.docker("run", "--rm", "busybox", "true")
    engine.kill()
    engine.start()
    engine.docker("rm", "-f", "kept")
    until(engine.nothing_is_left)
