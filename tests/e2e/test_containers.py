"""The life of containers, driven by the docker command."""

import json
import subprocess
import time

import pytest

from tests.engines import Engine, docker_clients
from tests.hosts import until

pytestmark = pytest.mark.kernel

SLEEP = ("busybox", "sleep", "100")


@pytest.mark.parametrize("version", sorted(docker_clients()))
def test_every_docker_client_works(engine: Engine, version: str) -> None:
    client = docker_clients()[version]
    assert engine.run(client, "run", "--rm", "busybox", "echo", "hello").out == "hello\n"
    assert engine.run(client, "run", "-d", "--name", "box", *SLEEP).status == 0
    assert engine.run(client, "exec", "box", "hostname").status == 0
    assert "box" in engine.run(client, "ps").out
    assert engine.run(client, "info").status == 0
    assert f"Version:           {version}" in engine.run(client, "version").out
    assert engine.run(client, "rm", "-f", "box").out == "box\n"


def test_output_and_exit_code(engine: Engine) -> None:
    done = engine.try_docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.status, done.out, done.err) == (3, "out\n", "err\n")


def test_input_reaches_the_process_to_its_end(engine: Engine) -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    assert engine.try_docker("run", "-i", "--rm", "busybox", "cat", stdin=text).out == text


def test_a_terminal_is_one(engine: Engine) -> None:
    command = ["script", "-qec", f"{engine.client[0]} run -it --rm busybox sh -c 'tty; stty size; echo done'", "/dev/null"]
    done = engine.run(*command)
    assert "/dev/pts/0" in done.out
    assert "done" in done.out


def test_a_command_that_is_not_there(engine: Engine) -> None:
    done = engine.try_docker("run", "--name", "box", "busybox", "nope")
    assert done.status == 127
    assert 'exec: "nope": executable file not found in $PATH' in done.err
    assert engine.inspect("box")["State"]["Status"] == "created"
    assert engine.try_docker("run", "--rm", "busybox", "/etc").status == 126


def test_rm_leaves_nothing(engine: Engine) -> None:
    engine.docker("run", "--rm", "busybox", "true")
    until(lambda: engine.docker("ps", "-aq") == "")
    until(lambda: "veth" not in engine.host.sh("ip", "link"), what="the interface is gone")
    until(lambda: list((engine.folder / "data" / "containers").iterdir()) == [], what="its folder is gone")


def test_create_start_stop(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    assert engine.inspect("box")["State"]["Status"] == "created"
    engine.docker("start", "box")
    assert engine.docker("ps", "--format", "{{.Names}} {{.State}}") == "box running"
    engine.docker("stop", "box")
    state = engine.inspect("box")["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("exited", 5, False)
    engine.docker("start", "box")
    engine.docker("restart", "-t", "1", "box")
    assert engine.inspect("box")["State"]["Running"]


def test_kill_sends_any_signal(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in engine.docker("logs", "box"))
    engine.docker("kill", "-s", "HUP", "box")
    until(lambda: "hup" in engine.docker("logs", "box"))
    engine.docker("kill", "box")
    assert engine.docker("wait", "box") == "137"
    assert "is not running" in engine.refused("kill", "box")
    assert "Invalid signal: NOPE" in engine.refused("kill", "-s", "NOPE", "box")


def test_pause_and_unpause(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    engine.docker("pause", "box")
    assert "(Paused)" in engine.docker("ps", "--format", "{{.Status}}")
    assert "is paused" in engine.refused("exec", "box", "true")
    engine.docker("unpause", "box")
    engine.docker("exec", "box", "true")


def test_rm_refuses_what_runs(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert "container is running: stop the container before removing or force remove" in engine.refused("rm", "box")
    engine.docker("rm", "-f", "box")
    assert "No such container: box" in engine.refused("rm", "box")


def test_names(engine: Engine) -> None:
    engine.docker("create", "--name", "box", *SLEEP)
    assert 'The container name "/box" is already in use by container' in engine.refused("create", "--name", "box", *SLEEP)
    engine.docker("rename", "box", "dog")
    assert engine.docker("ps", "-a", "--format", "{{.Names}}") == "dog"
    engine.docker("create", "--name", "box", *SLEEP)
    assert "is already in use" in engine.refused("rename", "box", "dog")
    made = engine.docker("create", *SLEEP)
    assert "_" in engine.docker("ps", "-a", "--filter", f"id={made}", "--format", "{{.Names}}")


def test_logs(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done")
    done = engine.try_docker("logs", "box")
    assert done.out.split() == [f"out{i}" for i in range(1, 6)]
    assert done.err.split() == [f"err{i}" for i in range(1, 6)]
    tail = engine.try_docker("logs", "--tail", "2", "box")
    assert len((tail.out + tail.err).split()) == 2
    stamped = engine.try_docker("logs", "-t", "box").out.splitlines()[0]
    assert stamped[4] == "-"
    assert stamped.split()[0].endswith("Z")
    assert engine.try_docker("logs", "--since", "1h", "box").out.split()[0] == "out1"
    assert engine.try_docker("logs", "--until", "1h", "box").out == ""


def test_logs_are_followed_to_the_end(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "for i in $(seq 40); do echo $i; sleep 0.02; done")
    assert engine.docker("logs", "-f", "box").split() == [str(number) for number in range(1, 41)]


def attached(engine: Engine, *command: str) -> "subprocess.Popen[bytes]":
    """A docker client that stays, its input and output in our hands."""
    client = (*engine.client, "-H", f"unix://{engine.socket}")
    return subprocess.Popen(engine.host.command(*client, *command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_attach_sees_output_and_sends_input(engine: Engine) -> None:
    engine.docker("run", "-d", "-i", "--name", "box", "busybox", "sh", "-c", "read line; echo got $line")
    with attached(engine, "attach", "box") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"word\n")
        client.stdin.flush()
        assert client.stdout.read() == b"got word\n"


def test_detach_keys_leave_the_container_running(engine: Engine) -> None:
    engine.docker("run", "-d", "-it", "--name", "box", "busybox", "sh")
    command = f"{engine.client[0]} -H unix://{engine.socket} attach box"
    terminal = subprocess.Popen(engine.host.command("script", "-qec", command, "/dev/null"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with terminal as client:
        assert client.stdin is not None
        client.stdin.write(b"echo he''llo\n")
        client.stdin.flush()
        until(lambda: "hello" in engine.docker("logs", "box"))
        client.stdin.write(b"\x10\x11")
        client.stdin.flush()
        client.communicate(timeout=20)
    assert engine.inspect("box")["State"]["Running"]


def test_exec(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-e", "A=1", *SLEEP)
    assert engine.docker("exec", "-e", "B=2", "-w", "/tmp", "box", "sh", "-c", "echo $A$B; pwd") == "12\n/tmp"
    assert engine.docker("exec", "-u", "1000:1000", "box", "id", "-u") == "1000"
    assert engine.try_docker("exec", "box", "sh", "-c", "exit 9").status == 9
    assert engine.try_docker("exec", "-i", "box", "cat", stdin="in\n").out == "in\n"
    assert engine.try_docker("exec", "box", "nope").status == 127
    engine.docker("exec", "-d", "box", "touch", "/made")
    until(lambda: engine.try_docker("exec", "box", "test", "-e", "/made").status == 0)
    assert "is not running" in (engine.docker("stop", "-t", "0", "box") and engine.refused("exec", "box", "true"))


def events(engine: Engine, shown: str, *filters: str) -> list[str]:
    """What happened so far. Docker's clients send whole seconds, so the end is the next one."""
    chosen = [word for wanted in filters for word in ("--filter", wanted)]
    return engine.docker("events", "--since", "1h", "--until", str(int(time.time()) + 1), *chosen, "--format", shown).splitlines()


def test_top_and_events(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert "sleep 100" in engine.docker("top", "box")
    engine.docker("rm", "-f", "box")
    actions = events(engine, "{{.Action}}", "container=box")
    assert actions[:2] == ["create", "start"]
    assert {"kill", "die", "destroy"} <= set(actions)
    assert events(engine, "{{.Actor.Attributes.name}} {{.Action}}", "type=network")[-2:] == ["bridge connect", "bridge disconnect"]


def test_restart_policy(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo run; exit 1")
    until(lambda: engine.inspect("box")["State"]["Status"] == "exited", what="the retries are used up")
    assert engine.inspect("box")["RestartCount"] == 2
    assert engine.docker("logs", "box").split() == ["run"] * 3
    engine.docker("run", "-d", "--name", "dog", "--restart", "always", "busybox", "true")
    until(lambda: engine.inspect("dog")["RestartCount"] > 1)
    engine.docker("stop", "dog")
    assert engine.inspect("dog")["State"]["Status"] == "exited"


def test_a_restart_waits_for_what_it_needs(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "side", "--restart", "always", "--net=container:web", "busybox", "sleep", "0.5")
    engine.docker("kill", "web")
    until(lambda: "is exited" in engine.inspect("side")["State"]["Error"], what="a restart is refused")
    engine.docker("start", "web")
    until(lambda: engine.inspect("side")["State"]["Running"], what="it runs again")


def test_ps_filters_and_format(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "--label", "tier=front", *SLEEP)
    engine.docker("create", "--name", "db", *SLEEP)
    names = ("ps", "-a", "--format", "{{.Names}}")
    assert engine.docker("ps", "--format", "{{.Names}} {{.Ports}}") == "web 0.0.0.0:8080->80/tcp"
    assert engine.docker(*names, "--filter", "label=tier=front") == "web"
    assert engine.docker(*names, "--filter", "status=created") == "db"
    assert engine.docker(*names, "--filter", "name=^db") == "db"
    assert engine.docker(*names, "--filter", "network=bridge", "--filter", "publish=8080") == "web"
    assert "invalid filter" in engine.refused("ps", "--filter", "nope=1")
    row = json.loads(engine.docker("ps", "--format", "{{json .}}"))
    assert (row["Names"], row["Image"], row["State"]) == ("web", "busybox", "running")


def test_options_of_run(engine: Engine) -> None:
    (engine.folder / "env").write_text("FROM_FILE=yes\n")
    script = (
        "echo $A $FROM_FILE; pwd; id -u; hostname; cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -n; ls /scratch; df /scratch | tail -n 1"
    )
    out = engine.docker(
        "run", "--rm", "-e", "A=b", "--env-file", engine.folder / "env", "-w", "/usr", "-u", "65534", "-h", "box",
        "--sysctl", "net.ipv4.ip_default_ttl=33", "--ulimit", "nofile=512:512", "--tmpfs", "/scratch:size=1m", "--read-only",
        "--init", "--cap-drop", "ALL", "--pids-limit", "50", "--memory", "64m", "--cpus", "0.5",
        "--entrypoint", "sh", "busybox", "-c", script,
    ).splitlines()  # fmt: skip
    assert out[:6] == ["b yes", "/usr", "65534", "box", "33", "512"]
    assert "1024" in out[-1]


def test_capabilities_are_dockers(engine: Engine) -> None:
    effective = ("run", "--rm", "busybox", "grep", "CapEff", "/proc/self/status")
    assert engine.docker(*effective).split()[1] == "00000000a80425fb"
    assert engine.docker("run", "--rm", "--cap-drop=ALL", *effective[2:]).split()[1] == "0" * 16
    seccomp = engine.docker("run", "--rm", "busybox", "grep", "Seccomp:", "/proc/self/status").split()[1]
    assert seccomp == "2"
    assert engine.docker("run", "--rm", "--privileged", "busybox", "grep", "Seccomp:", "/proc/self/status").split()[1] == "0"


def test_bind_mounts(engine: Engine) -> None:
    folder = engine.folder / "shared"
    folder.mkdir(exist_ok=True)
    (folder / "a").write_text("from the host\n")
    assert engine.docker("run", "--rm", "-v", f"{folder}:/x", "busybox", "sh", "-c", "cat /x/a; echo back >/x/b") == "from the host"
    assert (folder / "b").read_text() == "back\n"
    done = engine.try_docker("run", "--rm", "-v", f"{folder}:/x:ro", "busybox", "touch", "/x/c")
    assert done.status == 1
    assert "Read-only file system" in done.err
    missing = f"type=bind,src={folder}/nope,dst=/x"
    assert "bind source path does not exist" in engine.refused("run", "--rm", "--mount", missing, "busybox", "true")


def test_files_in_a_container(engine: Engine) -> None:
    flags = ("--dns", "192.0.2.1", "--dns-search", "x.example", "--dns-option", "ndots:3", "--add-host", "db:192.0.2.9", "-h", "box")
    engine.docker("run", "-d", "--name", "box", *flags, *SLEEP)
    assert engine.docker("exec", "box", "cat", "/etc/hostname") == "box"
    hosts = engine.docker("exec", "box", "cat", "/etc/hosts").splitlines()
    assert hosts[0] == "127.0.0.1\tlocalhost"
    assert hosts[-2:] == ["192.0.2.9\tdb", f"{engine.address('box')}\tbox"]
    resolv = engine.docker("exec", "box", "cat", "/etc/resolv.conf").splitlines()
    assert resolv[-3:] == ["nameserver 192.0.2.1", "search x.example", "options ndots:3"]


def test_links_on_the_default_bridge(engine: Engine) -> None:
    engine.serve("web")
    done = engine.try_docker("run", "--rm", "--link", "web:site", "busybox", "timeout", "5", "wget", "-qO-", "http://site/")
    assert done.out == "web\n"
    assert "could not get container for nobody" in engine.refused("run", "--link", "nobody", *SLEEP)


def test_a_kill_answers_when_the_container_is_dead_also_a_paused_one(engine: Engine) -> None:
    for pause in (False, True):
        engine.docker("run", "-d", "--name", "box", *SLEEP)
        if pause:
            engine.docker("pause", "box")
        engine.docker("kill", "box")
        state = engine.inspect("box")["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 137)
        engine.docker("rm", "box")
