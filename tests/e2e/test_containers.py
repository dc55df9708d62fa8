"""The life of containers, driven by the docker command."""

import json
import subprocess

import pytest
from tests.engines import Engine, docker_clients
from tests.hosts import until

pytestmark = pytest.mark.kernel

SLEEP = ("busybox", "sleep", "100")


@pytest.mark.parametrize("version", sorted(docker_clients()))
def test_every_docker_client_works(engine: Engine, version: str) -> None:
    client = docker_clients()[version]
    assert engine.run(client, "run", "--rm", "busybox", "echo", "hello").out == "hello\n"
    assert engine.run(client, "run", "-d", "--name", "c", *SLEEP).status == 0
    assert engine.run(client, "exec", "c", "hostname").status == 0
    assert "c" in engine.run(client, "ps").out
    assert engine.run(client, "info").status == 0
    assert f"Version:           {version}" in engine.run(client, "version").out
    assert engine.run(client, "rm", "-f", "c").out == "c\n"


def test_output_and_exit_code(engine: Engine) -> None:
    done = engine.try_docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.status, done.out, done.err) == (3, "out\n", "err\n")


def test_input_reaches_the_process_to_its_end(engine: Engine) -> None:
    text = "".join(f"line {number}\n" for number in range(5000))
    assert engine.try_docker("run", "-i", "--rm", "busybox", "cat", stdin=text).out == text


def test_a_terminal_is_one(engine: Engine) -> None:
    command = ["script", "-qec", f"{engine._client} run -it --rm busybox sh -c 'tty; stty size; echo done'", "/dev/null"]
    done = engine.run(*command)
    assert "/dev/pts/0" in done.out
    assert "done" in done.out


def test_a_command_that_is_not_there(engine: Engine) -> None:
    done = engine.try_docker("run", "--name", "c", "busybox", "nope")
    assert done.status == 127
    assert 'exec: "nope": executable file not found in $PATH' in done.err
    assert engine.inspect("c")["State"]["Status"] == "created"
    assert engine.try_docker("run", "--rm", "busybox", "/etc").status == 126


def test_rm_leaves_nothing(engine: Engine) -> None:
    engine.docker("run", "--rm", "busybox", "true")
    until(lambda: engine.docker("ps", "-aq") == "")
    until(lambda: "veth" not in engine.host.sh("ip", "link"), what="the interface is gone")
    assert list((engine.folder / "data" / "containers").iterdir()) == []


def test_create_start_stop(engine: Engine) -> None:
    engine.docker("create", "--name", "c", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    assert engine.inspect("c")["State"]["Status"] == "created"
    engine.docker("start", "c")
    assert engine.docker("ps", "--format", "{{.Names}} {{.State}}") == "c running"
    engine.docker("stop", "c")
    state = engine.inspect("c")["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("exited", 5, False)
    engine.docker("start", "c")
    engine.docker("restart", "-t", "1", "c")
    assert engine.inspect("c")["State"]["Running"]


def test_kill_sends_any_signal(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "busybox", "sh", "-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in engine.docker("logs", "c"))
    engine.docker("kill", "-s", "HUP", "c")
    until(lambda: "hup" in engine.docker("logs", "c"))
    engine.docker("kill", "c")
    assert engine.docker("wait", "c") == "137"
    assert "is not running" in engine.refused("kill", "c")
    assert "Invalid signal: NOPE" in engine.refused("kill", "-s", "NOPE", "c")


def test_pause_and_unpause(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", *SLEEP)
    engine.docker("pause", "c")
    assert "(Paused)" in engine.docker("ps", "--format", "{{.Status}}")
    assert "is paused" in engine.refused("exec", "c", "true")
    engine.docker("unpause", "c")
    engine.docker("exec", "c", "true")


def test_rm_refuses_what_runs(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", *SLEEP)
    assert "container is running: stop the container before removing or force remove" in engine.refused("rm", "c")
    engine.docker("rm", "-f", "c")
    assert "No such container: c" in engine.refused("rm", "c")


def test_names(engine: Engine) -> None:
    engine.docker("create", "--name", "c", *SLEEP)
    assert 'The container name "/c" is already in use by container' in engine.refused("create", "--name", "c", *SLEEP)
    engine.docker("rename", "c", "d")
    assert engine.docker("ps", "-a", "--format", "{{.Names}}") == "d"
    engine.docker("create", "--name", "c", *SLEEP)
    assert "is already in use" in engine.refused("rename", "c", "d")
    made = engine.docker("create", *SLEEP)
    assert "_" in engine.docker("ps", "-a", "--filter", f"id={made}", "--format", "{{.Names}}")


def test_logs(engine: Engine) -> None:
    engine.docker("run", "--name", "c", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done")
    done = engine.try_docker("logs", "c")
    assert done.out.split() == [f"out{i}" for i in range(1, 6)]
    assert done.err.split() == [f"err{i}" for i in range(1, 6)]
    tail = engine.try_docker("logs", "--tail", "2", "c")
    assert len((tail.out + tail.err).split()) == 2
    stamped = engine.try_docker("logs", "-t", "c").out.splitlines()[0]
    assert stamped[4] == "-"
    assert stamped.split()[0].endswith("Z")
    assert engine.try_docker("logs", "--since", "1h", "c").out.split()[0] == "out1"
    assert engine.try_docker("logs", "--until", "1h", "c").out == ""


def test_logs_are_followed_to_the_end(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "busybox", "sh", "-c", "for i in $(seq 40); do echo $i; sleep 0.02; done")
    assert engine.docker("logs", "-f", "c").split() == [str(number) for number in range(1, 41)]


def test_attach_sees_output_and_sends_input(engine: Engine) -> None:
    engine.docker("run", "-d", "-i", "--name", "c", "busybox", "sh", "-c", "read line; echo got $line")
    assert engine.try_docker("attach", "c", stdin="word\n").out == "got word\n"


def test_detach_keys_leave_the_container_running(engine: Engine) -> None:
    engine.docker("run", "-d", "-it", "--name", "c", "busybox", "sh")
    client = subprocess.Popen(
        engine.host.command("script", "-qec", f"{engine._client} -H unix://{engine.socket} attach c", "/dev/null"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdin is not None
    client.stdin.write(b"echo he''llo\n")
    client.stdin.flush()
    until(lambda: "hello" in engine.docker("logs", "c"))
    client.stdin.write(b"\x10\x11")
    client.stdin.flush()
    client.communicate(timeout=20)
    assert engine.inspect("c")["State"]["Running"]


def test_exec(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "-e", "A=1", *SLEEP)
    assert engine.docker("exec", "-e", "B=2", "-w", "/tmp", "c", "sh", "-c", "echo $A$B; pwd") == "12\n/tmp"
    assert engine.docker("exec", "-u", "1000:1000", "c", "id", "-u") == "1000"
    assert engine.try_docker("exec", "c", "sh", "-c", "exit 9").status == 9
    assert engine.try_docker("exec", "-i", "c", "cat", stdin="in\n").out == "in\n"
    assert engine.try_docker("exec", "c", "nope").status == 127
    engine.docker("exec", "-d", "c", "touch", "/made")
    until(lambda: engine.try_docker("exec", "c", "test", "-e", "/made").status == 0)
    assert "is not running" in (engine.docker("stop", "-t", "0", "c") and engine.refused("exec", "c", "true"))


def test_top_and_events(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", *SLEEP)
    assert "sleep 100" in engine.docker("top", "c")
    engine.docker("rm", "-f", "c")
    events = engine.docker("events", "--since", "1h", "--until", "0s", "--filter", "container=c", "--format", "{{.Action}}").split()
    assert events[:2] == ["create", "start"]
    assert {"kill", "die", "destroy"} <= set(events)


def test_restart_policy(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo run; exit 1")
    until(lambda: engine.inspect("c")["State"]["Status"] == "exited", what="the retries are used up")
    assert engine.inspect("c")["RestartCount"] == 2
    assert engine.docker("logs", "c").split() == ["run"] * 3
    engine.docker("run", "-d", "--name", "d", "--restart", "always", "busybox", "true")
    until(lambda: engine.inspect("d")["RestartCount"] > 1)
    engine.docker("stop", "d")
    assert engine.inspect("d")["State"]["Status"] == "exited"


def test_ps_filters_and_format(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "--label", "tier=front", *SLEEP)
    engine.docker("create", "--name", "db", *SLEEP)
    names = ("ps", "-a", "--format", "{{.Names}}")
    assert engine.docker("ps", "--format", "{{.Names}} {{.Ports}}") == "web 0.0.0.0:8080->80/tcp"
    assert engine.docker(*names, "--filter", "label=tier=front") == "web"
    assert engine.docker(*names, "--filter", "status=created") == "db"
    assert engine.docker(*names, "--filter", "name=^d") == "db"
    assert engine.docker(*names, "--filter", "network=bridge", "--filter", "publish=8080") == "web"
    assert "invalid filter" in engine.refused("ps", "--filter", "nope=1")
    row = json.loads(engine.docker("ps", "--format", "json"))
    assert (row["Names"], row["Image"], row["State"]) == ("web", "busybox", "running")


def test_options_of_run(engine: Engine) -> None:
    (engine.folder / "env").write_text("FROM_FILE=yes\n")
    script = (
        "echo $A $FROM_FILE; pwd; id -u; hostname; cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -n; ls /scratch; df /scratch | tail -n 1"
    )
    out = engine.docker(
        "run", "--rm", "-e", "A=b", "--env-file", engine.folder / "env", "-w", "/usr", "-u", "65534", "-h", "box",
        "--sysctl", "net.ipv4.ip_default_ttl=33", "--ulimit", "nofile=512:512", "--tmpfs", "/scratch:size=1m", "--read-only",
        "--init", "--cap-drop", "ALL", "--pids-limit", "50", "--memory", "64m", "--cpus", "0.5", "--entrypoint", "sh", "busybox", "-c", script,
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
    engine.docker("run", "-d", "--name", "c", *flags, *SLEEP)
    assert engine.docker("exec", "c", "cat", "/etc/hostname") == "box"
    hosts = engine.docker("exec", "c", "cat", "/etc/hosts").splitlines()
    assert hosts[0] == "127.0.0.1\tlocalhost"
    assert hosts[-2:] == ["192.0.2.9\tdb", f"{engine.address('c')}\tbox"]
    resolv = engine.docker("exec", "c", "cat", "/etc/resolv.conf").splitlines()
    assert resolv[-3:] == ["nameserver 192.0.2.1", "search x.example", "options ndots:3"]


def test_links_on_the_default_bridge(engine: Engine) -> None:
    engine.serve("web")
    done = engine.try_docker("run", "--rm", "--link", "web:site", "busybox", "timeout", "5", "wget", "-qO-", "http://site/")
    assert done.out == "web\n"
    assert "could not get container for nobody" in engine.refused("run", "--link", "nobody", *SLEEP)
