"""What others break on the host is mended within a moment, the log says so, and `doctor` knows of what is not."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linkspan.plan.patience import FREE
from tests.engines import Engine, processes
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

    @property
    def namespace(self) -> Path:
        """The file that the container's namespace is bound to."""
        [path] = (self.engine.folder / "run" / "netns").iterdir()
        return path

    def answers(self) -> bool:
        """Whether the container is reached from outside, from the host and from a neighbour container, and reaches the outside."""
        try:
            return self.reached() and b"web" in self.engine.host.ask_http("127.0.0.1", 8080, timeout=0.5) and self._gets_out()
        except OSError:
            return False

    def reached(self, port: int = 8080) -> bool:
        """Whether a web server answers the neighbour at a port of the host."""
        try:
            return b"HTTP/1" in self.neighbour.ask_http(HOST_ADDRESS, port, timeout=0.5)
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


def guard_deleted(scene: Scene) -> str:
    scene.engine.host.sh("nft", "delete", "table", "bridge", "linkspan")
    return "the whole table is gone"


def owner_deleted(scene: Scene) -> str:
    scene.engine.host.sh("nft", "flush", "set", "bridge", "linkspan", "owners")
    return "owners lacks"


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


def namespace_unmounted(scene: Scene) -> str:
    scene.engine.host.sh("umount", "--lazy", scene.namespace)
    return "the namespace of container web is not bound to its file any more"


def namespace_file_removed(scene: Scene) -> str:
    scene.engine.host.sh("sh", "-c", f"umount --lazy {scene.namespace}; rm {scene.namespace}")
    return "the namespace of container web is not bound to its file any more"


def everything_at_once(scene: Scene) -> str:
    for accident in (rules_flushed, bridge_gone, namespace_unmounted, forwarding_off):
        accident(scene)
    return link_gone_by_name(scene)


def link_gone_by_name(scene: Scene) -> str:
    links = scene.engine.host.sh("ip", "-o", "link").split()
    name = next(word.partition("@")[0] for word in links if word.startswith("veth"))
    scene.engine.host.sh("ip", "link", "del", name)
    return f"the interface {name} is gone"


Accident = Callable[[Scene], str]
ACCIDENTS: tuple[Accident, ...] = (
    link_gone,
    inside_gone,
    off_the_bridge,
    port_down,
    rules_flushed,
    table_deleted,
    entry_deleted,
    guard_deleted,
    owner_deleted,
    bridge_down,
    bridge_without_address,
    bridge_without_route,
    bridge_gone,
    forwarding_off,
    namespace_unmounted,
    namespace_file_removed,
    everything_at_once,
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
    assert server.engine.docker("run", "--rm", "--net=container:web", "busybox", "wget", "-qO-", "127.0.0.1") == "web"


def test_what_is_mended_is_not_undone_by_starts_that_are_under_way(server: Scene) -> None:
    """A ruleset rendered anew has the ports of containers that no record tells of yet."""
    with ThreadPoolExecutor(4) as clients:
        runs = [
            clients.submit(server.engine.docker, "run", "-d", "-p", f"{9000 + number}:80", "busybox", "httpd", "-f") for number in range(8)
        ]
        for _ in range(2):
            server.engine.host.sh("nft", "flush", "ruleset")
            until(lambda: "inet linkspan" in server.engine.host.sh("nft", "list", "tables"), what="the table is back")
        made = [run.result() for run in runs]
    for number in range(8):
        until(partial(server.reached, 9000 + number), what=f"port {9000 + number} answers")
    server.engine.docker("rm", "-f", *made)
    assert examination(server.engine)["Findings"] == []


def test_a_container_without_its_monitor_ends_and_leaves_nothing(server: Scene) -> None:
    engine = server.engine
    for name, policy in (("once", "no"), ("again", "always")):
        engine.docker(
            "run", "-d", "--name", name, "--restart", policy, "-p", f"{'8081' if name == 'once' else '8082'}:80", "busybox", "httpd", "-f"
        )
    pids = {name: engine.inspect(name)["State"]["Pid"] for name in ("once", "again")}
    monitors = [pid for pid, command in processes(engine.folder).items() if " --name once " in command or " --name again " in command]
    assert len(monitors) == 2
    for pid in monitors:
        os.kill(pid, signal.SIGKILL)
    until(lambda: engine.inspect("once")["State"]["Status"] == "exited", what="it ends")
    assert engine.inspect("once")["State"]["ExitCode"] == 137
    until(lambda: engine.inspect("again")["State"]["Pid"] not in (0, pids["again"]), what="it is started again")
    until(partial(server.reached, 8082), what="its port answers")
    assert not server.reached(8081)
    until(lambda: not engine.host.sh("ps", "-o", "stat=", "-p", ",".join(map(str, pids.values())), check=False).strip(" Z\n"))
    assert examination(engine)["Findings"] == []
    engine.docker("rm", "-f", "once", "again")


def test_who_keeps_breaking_something_is_not_fought(server: Scene) -> None:
    known = len(server.engine.log)

    def mends() -> int:
        return server.engine.log[known:].count("mended: the host has lost its route to 172.17.0.0/16")

    for count in range(1, FREE + 1):
        bridge_without_route(server)
        until(lambda wanted=count: mends() == wanted, what=f"mend {count}")  # type: ignore[misc]
    assert "somebody undoes what is mended" in server.engine.log[known:]
    bridge_without_route(server)
    assert [finding["Kind"] for finding in examination(server.engine)["Findings"]] == ["bridge-route"]
    assert mends() == FREE
    assert server.engine.api("POST", "/linkspan/repair")[1]["Healthy"]
    until(server.answers)


def test_what_cannot_be_mended_is_marked_until_it_can(server: Scene) -> None:
    engine = server.engine
    engine.host.sh("ip", "link", "add", "theirs", "type", "bridge")
    exchange = ("link set docker0 down", "link set docker0 name ours", "link set theirs name docker0", "link del ours")
    engine.host.sh("ip", "-batch", "-", stdin="\n".join(exchange))
    until(lambda: "is not the bridge that network bridge had" in engine.inspect("web")["State"]["Error"], what="it is marked")
    assert "cannot be mended: the interface docker0 is not the bridge that network bridge had" in engine.log
    done = engine.try_linkspan("doctor")
    assert done.status == 1
    assert "✗ the interface docker0 is not the bridge that network bridge had" in done.out
    engine.host.sh("ip", "link", "del", "docker0")
    until(server.answers, what="it is reached again")
    until(lambda: not engine.inspect("web")["State"]["Error"], what="it is marked no more")


def test_what_was_broken_while_no_engine_ran_is_mended_by_the_next(new_engine: Callable[..., Engine], outside: Host) -> None:
    scene = alone(new_engine(), outside)
    scene.engine.stop()
    everything_at_once(scene)
    roots = ("--data-root", scene.engine.folder / "data", "--exec-root", scene.engine.folder / "run")
    done = scene.engine.try_linkspan("doctor", "--", *roots)
    assert done.status == 1
    assert "no engine answers" in done.err
    for what in ("no engine runs", "the bridge docker0 of network bridge is gone", "the whole table is gone", "(container web)"):
        assert what in done.out
    scene.engine.start()
    until(scene.reached, what="it is reached again")
    assert scene.engine.linkspan("doctor") == "Nothing is wrong."


@pytest.fixture
def unwatched(new_engine: Callable[..., Engine], outside: Host) -> Scene:
    """A scene whose engine mends nothing unasked."""
    return alone(new_engine("--repair=false"), outside)


def alone(engine: Engine, neighbour: Host) -> Scene:
    engine.serve("web", "-p", "8080:80")
    return Scene(engine, neighbour)


def inside_without_address(scene: Scene) -> str:
    scene.engine.host.sh("nsenter", f"--net={scene.engine.inside('web').path}", "ip", "addr", "flush", "dev", "eth0")
    return "the interface eth0 has lost its address 172.17.0.2/16"


def inside_without_route(scene: Scene) -> str:
    scene.engine.host.sh("nsenter", f"--net={scene.engine.inside('web').path}", "ip", "route", "del", "default")
    return "the default route by 172.17.0.1 is gone in the namespace"


def bridge_filter_switched(scene: Scene) -> str:
    key = "net.bridge.bridge-nf-call-iptables"
    scene.engine.host.sh("sysctl", "-qw", f"{key}={1 - int(scene.engine.host.sh('sysctl', '-n', key))}")
    return "is not set for how this host filters bridged packets now"


def test_the_doctor_names_what_is_wrong_and_repairs_it_on_demand(unwatched: Scene) -> None:
    engine = unwatched.engine
    assert engine.linkspan("doctor") == "Nothing is wrong."
    for accident in (
        link_gone,
        rules_flushed,
        bridge_gone,
        forwarding_off,
        namespace_unmounted,
        inside_without_address,
        inside_without_route,
    ):
        what = accident(unwatched)
        done = engine.try_linkspan("doctor")
        assert done.status == 1, what
        assert what in done.out
        assert "linkspan doctor --repair" in done.out
        mended = engine.linkspan("doctor", "--repair")
        assert mended.startswith("mended: ")
        assert what in mended
        assert engine.linkspan("doctor") == "Nothing is wrong."
        until(unwatched.reached, what=f"it is reached after {what}")


def test_the_doctor_looks_at_the_host(unwatched: Scene) -> None:
    host = unwatched.engine.host
    host.sh("nft", "table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; } ; }")
    host.sh("ip", "link", "set", "eth0", "mtu", "1400")
    host.sh("ip", "route", "add", "default", "via", "10.99.0.2")
    host.sh("ip", "route", "add", "172.17.8.0/24", "via", "10.99.0.2")
    done = unwatched.engine.try_linkspan("doctor")
    assert done.status == 1
    for what in (
        "the chain FORWARD of table ip filter drops what is forwarded",
        "network bridge has an MTU of 1500, and the smallest way out of the host one of 1400",
        "the route to 172.17.8.0/24 by eth0 overlaps the subnet 172.17.0.0/16 of docker0",
    ):
        assert f"✗ {what}" in done.out
    report = json.loads(unwatched.engine.try_linkspan("doctor", "--json").out)
    assert [finding["Kind"] for finding in report["Findings"]] == ["network-mtu", "forward-policy", "overlap"]
    # What it advises helps.
    assert not unwatched.reached()
    host.sh("sh", "-c", report["Findings"][1]["Remedy"])
    assert unwatched.reached()
    host.sh("ip", "route", "flush", "root", "172.17.8.0/24")
    host.sh("ip", "link", "set", "eth0", "mtu", "1500")
    assert unwatched.engine.linkspan("doctor") == "Nothing is wrong."


def test_a_link_leaves_the_ruleset_with_either_of_its_ends(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--icc=false")

    def linked() -> bool:
        return "elements" in engine.host.sh("nft", "list", "set", "inet", "linkspan", "linked")

    for first, second in (("target", "source"), ("source", "target")):
        engine.docker("run", "-d", "--name", "target", "--expose", "80", "busybox", "sleep", "100")
        engine.docker("run", "-d", "--name", "source", "--link", "target", "busybox", "sleep", "100")
        assert linked()
        engine.docker("rm", "-f", first)
        assert examination(engine)["Findings"] == []
        engine.docker("rm", "-f", second)
        assert not linked()
        assert examination(engine)["Findings"] == []
