"""What others break on the host is mended within a moment, the log says so, and `doctor` knows of what is not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host, until

pytestmark = pytest.mark.kernel


@dataclass
class Scene:
    """An engine with a web server in a container, published on port 8080 of its host, and the host's neighbour."""

    engine: Engine
    neighbour: Host

    @property
    def interface(self) -> str:
        """The host's end of the container's veth."""
        ports = self.engine.host.sh("ip", "-o", "link", "show", "master", "docker0").split()
        return next(word.partition("@")[0] for word in ports if word.startswith("veth"))

    def answers(self) -> bool:
        """Whether the container is reached from outside, from the host and from a neighbour container, and reaches the outside."""
        try:
            reached = b"web" in self.neighbour.ask_http(HOST_ADDRESS, 8080, timeout=0.5)
            return reached and b"web" in self.engine.host.ask_http("127.0.0.1", 8080, timeout=0.5) and self._gets_out()
        except OSError:
            return False

    def _gets_out(self) -> bool:
        return self.engine.inside("web").reaches("10.99.0.2", 90, timeout=0.5)


@pytest.fixture(scope="module")
def server(machine: tuple[Engine, Host]) -> Iterator[Scene]:
    engine, neighbour = machine
    with neighbour.answering("10.99.0.2", 90, b"outside"):
        engine.serve("web", "-p", "8080:80")
        yield Scene(engine, neighbour)
        engine.remove_containers()


def link_gone(scene: Scene) -> str:
    name = scene.interface
    scene.engine.host.sh("ip", "link", "del", name)
    return f"the interface {name} is gone"


def inside_gone(scene: Scene) -> str:
    name = scene.interface
    scene.engine.host.sh("nsenter", f"--net={scene.engine.inside('web').path}", "ip", "link", "del", "eth0")
    return f"the interface {name} is gone"


def off_the_bridge(scene: Scene) -> str:
    name = scene.interface
    scene.engine.host.sh("ip", "link", "set", name, "nomaster")
    return f"the interface {name} is not on its bridge docker0"


def port_down(scene: Scene) -> str:
    name = scene.interface
    scene.engine.host.sh("ip", "link", "set", name, "down")
    return f"the interface {name} is down"


def rules_flushed(scene: Scene) -> str:
    scene.engine.host.sh("nft", "flush", "ruleset")
    return "the whole table is gone"


def table_deleted(scene: Scene) -> str:
    scene.engine.host.sh("nft", "delete", "table", "inet", "linkspan")
    return "the whole table is gone"


def entry_deleted(scene: Scene) -> str:
    scene.engine.host.sh("nft", "delete", "element", "inet", "linkspan", "published-anywhere", "{ tcp . 8080 }")
    return "published-anywhere lacks tcp . 8080"


def bridge_down(scene: Scene) -> str:
    scene.engine.host.sh("ip", "link", "set", "docker0", "down")
    return "the bridge docker0 of network bridge is down"


def bridge_without_address(scene: Scene) -> str:
    scene.engine.host.sh("ip", "addr", "flush", "dev", "docker0")
    return "the bridge docker0 has lost its address 172.17.0.1/16"


def bridge_without_route(scene: Scene) -> str:
    scene.engine.host.sh("ip", "route", "del", "172.17.0.0/16")
    return "the host has lost its route to 172.17.0.0/16"


def bridge_gone(scene: Scene) -> str:
    scene.engine.host.sh("ip", "link", "del", "docker0")
    return "the bridge docker0 of network bridge is gone"


def forwarding_off(scene: Scene) -> str:
    scene.engine.host.sh("sysctl", "-qw", "net.ipv4.ip_forward=0")
    return "the setting net.ipv4.ip_forward is 0"


Accident = Callable[[Scene], str]
ACCIDENTS: tuple[Accident, ...] = (
    link_gone,
    inside_gone,
    off_the_bridge,
    port_down,
    rules_flushed,
    table_deleted,
    entry_deleted,
    bridge_down,
    bridge_without_address,
    bridge_without_route,
    bridge_gone,
    forwarding_off,
)


def examination(engine: Engine) -> dict[str, Any]:
    status, report = engine.api("GET", "/linkspan/doctor")
    assert status == 200, report
    found: dict[str, Any] = report
    return found


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_what_others_break_is_mended(server: Scene, accident: Accident) -> None:
    assert server.answers()
    known = len(server.engine.log)
    before = server.engine.inspect("web")
    what = accident(server)
    until(lambda: any(what in line for line in server.engine.log[known:].splitlines() if " mended: " in line), what="the log says so")
    until(server.answers, what="it is reached again")
    assert examination(server.engine)["Findings"] == []
    assert server.engine.inspect("web") == before
