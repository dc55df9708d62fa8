"""The engine may go at any time: containers and their traffic go on, and the next engine takes them over."""

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.engines import Engine, processes
from tests.hosts import HOST_ADDRESS, Host, until

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("end", [Engine.stop, Engine.kill])
def test_containers_outlive_the_engine(new_engine: Callable[..., Engine], outside: Host, end: Callable[[Engine], object]) -> None:
    engine = new_engine()
    engine.serve("web", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "talker", "busybox", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done")
    before = engine.inspect("web")
    end(engine)
    assert b"web" in outside.ask_http(HOST_ADDRESS, 8080)
    engine.start()
    after = engine.inspect("web")
    assert after["State"] == before["State"]
    assert after["NetworkSettings"]["Networks"] == before["NetworkSettings"]["Networks"]
    assert b"web" in outside.ask_http(HOST_ADDRESS, 8080)
    assert engine.docker("port", "web") == "80/tcp -> 0.0.0.0:8080"
    assert engine.docker("exec", "web", "echo", "still here") == "still here"
    lines = engine.docker("logs", "talker").splitlines()
    assert lines == [str(number) for number in range(len(lines))]
    until(lambda: len(engine.docker("logs", "talker").splitlines()) > len(lines))
    engine.docker("stop", "-t", "0", "web")
    assert engine.inspect("web")["State"]["ExitCode"] == 137
    assert not outside.reaches(HOST_ADDRESS, 8080)


def test_what_ended_meanwhile_has_its_exit_code_and_its_log(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo started; read line; echo got $line; exit 42")
    engine.docker("run", "-d", "--name", "ww", "-p", "8080:80", "-i", "busybox", "sh", "-c", "read line; exit 7")
    engine.docker("rm", "-f", "box")
    engine.docker(
        "run", "-d", "--name", "box", "busybox", "sh", "-c", "echo started; while [ ! -e /go ]; do sleep 0.02; done; echo done; exit 42"
    )
    pid = engine.inspect("box")["State"]["Pid"]
    engine.kill()
    engine.host.sh("touch", f"/proc/{pid}/root/go")
    until(lambda: not engine.host.sh("ps", "-o", "pid=", "-p", str(pid), check=False).strip(), what="the container ends")
    engine.start()
    state = engine.inspect("box")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 42)
    assert engine.docker("logs", "box") == "started\ndone"
    assert engine.inspect("ww")["State"]["Running"]


def test_restart_policies_hold_over_the_engines_end(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    for policy in ("always", "unless-stopped", "no"):
        engine.docker("run", "-d", "--name", policy, "--restart", policy, "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "100")
    engine.docker("stop", "-t", "0", "stopped")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("always", "unless-stopped", "no")]
    engine.kill()
    engine.host.sh("kill", "-9", *map(str, pids))
    engine.start()
    until(lambda: set(engine.docker("ps", "--format", "{{.Names}}").split()) == {"always", "unless-stopped"})


def test_what_cannot_start_yet_is_started_when_it_can(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("run", "-d", "--name", "target", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "member", "--restart", "always", "--net=container:target", "busybox", "sleep", "100")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("target", "member")]
    engine.kill()
    engine.host.sh("kill", "-9", *map(str, pids))
    engine.start()
    assert engine.inspect("member")["State"]["Status"] == "restarting"
    engine.docker("start", "target")
    until(lambda: engine.inspect("member")["State"]["Running"], what="the member runs again")


def test_an_ended_container_of_rm_is_removed_by_the_next_engine(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.docker("run", "-d", "--rm", "--name", "once", "busybox", "sleep", "100")
    pid = engine.inspect("once")["State"]["Pid"]
    engine.kill()
    engine.host.sh("kill", "-9", str(pid))
    engine.start()
    assert engine.docker("ps", "-aq") == ""


def test_live_restore_off_stops_containers_with_the_engine(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--live-restore=false", "--shutdown-timeout", "0")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "again", "--restart", "always", "busybox", "sleep", "100")
    pid = engine.inspect("box")["State"]["Pid"]
    engine.restart()
    engine.restart()
    assert not engine.host.sh("ps", "-o", "pid=", "-p", str(pid), check=False).strip()
    assert engine.docker("ps", "--format", "{{.Names}}") == "again"


def remove_cgroups(container_id: str) -> bool:
    """Remove what a reboot empties too; False as long as a dying process is in one."""
    hierarchies = Path("/sys/fs/cgroup")
    try:
        for folder in (*hierarchies.glob(f"linkspan/{container_id}"), *hierarchies.glob(f"*/linkspan/{container_id}")):
            folder.rmdir()
    except OSError:
        return False
    return True


def test_a_reboot_loses_what_ran_and_nothing_else(new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    engine = new_engine()
    engine.serve("web", "-p", "8080:80", "--restart", "always")
    engine.docker("run", "-d", "--name", "once", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "side", "--restart", "always", "--net=container:web", "busybox", "sleep", "100")
    address, listed = engine.address("web"), engine.docker("network", "ls", "--no-trunc")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("web", "once", "side")]
    former = engine.host
    engine.kill()
    for pid in (*processes(engine.folder), *pids):
        os.kill(pid, signal.SIGKILL)
    for container in (engine.folder / "data" / "containers").iterdir():
        until(partial(remove_cgroups, container.name), what="its cgroups are gone")
    engine.unmount()
    shutil.rmtree(engine.folder / "run")
    with Host(tmp_path / "rebooted.net") as engine.host:
        engine.start()
        until(
            lambda: sorted(engine.docker("ps", "-f", "status=running", "--format", "{{.Names}}").split()) == ["side", "web"],
            what="they run again",
        )
        engine.wait_listening("web", 80)
        assert engine.page("http://127.0.0.1:8080/") == "web"
        assert engine.address("web") == address
        assert address in engine.docker("exec", "side", "ip", "addr")
        assert engine.inspect("once")["State"]["Status"] == "exited"
        assert engine.docker("network", "ls", "--no-trunc") == listed
        engine.close()
    engine.host = former


def test_the_settings_of_the_default_network_may_change(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.serve("web")
    address = engine.address("web")
    assert engine.docker("run", "--rm", "busybox", "wget", "-qO-", f"http://{address}/") == "web"
    engine.restart("--icc=false")
    assert engine.api("GET", "/linkspan/doctor")[1]["Findings"] == []
    assert engine.try_docker("run", "--rm", "busybox", "wget", "-qO-", "-T1", f"http://{address}/").status != 0


def test_networks_keep_their_ids(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    listed = engine.docker("network", "ls", "--no-trunc")
    engine.restart()
    assert engine.docker("network", "ls", "--no-trunc") == listed
    engine.kill()
    engine.start()
    assert engine.docker("network", "ls", "--no-trunc") == listed


SECOND_ENGINES = (
    ("e/data", "e/run", "e/run/linkspan.sock", "another engine is using"),
    ("e/data", "other/run", "other/linkspan.sock", "another engine is using"),
    ("other/data", "e/run", "other/linkspan.sock", "another engine is using"),
    ("other/data", "other/run", "e/run/linkspan.sock", "another engine (pid"),
    ("other/data", "other/run", "other/linkspan.sock", "another engine (pid"),
)
"""Data root, exec root, socket, and why an engine with them is refused in the host of one with e/data, e/run and e/run/linkspan.sock."""


def test_a_second_engine_is_refused_and_disturbs_nothing(new_engine: Callable[..., Engine], outside: Host, tmp_path: Path) -> None:
    engine = new_engine()
    engine.serve("web", "-p", "8080:80")
    rules = engine.host.sh("nft", "list", "ruleset")
    for data, run, socket, reason in SECOND_ENGINES:
        roots = ("--data-root", tmp_path / data, "--exec-root", tmp_path / run)
        done = engine.try_linkspan("daemon", *roots, "-H", f"unix://{tmp_path / socket}")
        assert done.status == 1
        assert reason in done.err
    assert engine.host.sh("nft", "list", "ruleset") == rules
    assert b"web" in outside.ask_http(HOST_ADDRESS, 8080)
    assert engine.docker("ps", "--format", "{{.Names}}") == "web"


def test_engines_of_two_hosts_share_a_machine(new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    new_engine()
    with Host(tmp_path / "other.net") as other, Engine(other, tmp_path / "o") as second:
        assert second.docker("run", "--rm", "busybox", "echo", "hello") == "hello"


def test_sigterm_is_a_clean_stop(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    assert engine.stop() == 0
    assert not engine.socket.exists()
    assert not (engine.folder / "run" / "linkspan.pid").exists()
    engine.start()
