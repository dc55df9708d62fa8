"""Real containers: busybox under the OCI runtime and conmon, in network namespaces of their own."""

import asyncio
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.hosts import Host, until

from linkspan.errors import CommandFailed, Conflict, EngineError, InvalidInput, MissingTool
from linkspan.kernel import process
from linkspan.model.container import Container, Exec, Mount, NetworkConfig, NetworkMode, Process, Resources, Security, Spec, Ulimit
from linkspan.runtime import logs, oci
from linkspan.runtime.attach import READ_AHEAD, Attachment
from linkspan.runtime.conmon import Running
from linkspan.runtime.exec import Execution
from linkspan.runtime.monitor import Runtime
from linkspan.runtime.spec import Launch
from linkspan.runtime.users import User, resolve_user

pytestmark = pytest.mark.kernel

BUSYBOX = Path("/bin/busybox")
APPLETS = "awk cat df env false grep head hostname id ls mount readlink seq sh sleep stty tail tr true tty unshare wc yes".split()
ROOT = User(groups=(0,))
SHORT = 20
"""Seconds that no test here comes near to; one that hangs ends."""


class Bench:
    """A runtime with folders of its own, and a root with in it. Every container that it made ends with it."""

    def __init__(self, folder: Path, namespace: Path, runtime: Runtime) -> None:
        self.folder = folder
        self.namespace = namespace
        self.runtime = runtime
        self.ids: list[str] = []

    def launch(self, *args: str, security: Security = Security(), resources: Resources = Resources(), **more: Any) -> Launch:  # noqa: ANN401
        """A launch of a new container that runs `args`; `more` are fields of Process, Spec or Launch."""
        container_id = os.urandom(32).hex()
        self.ids.append(container_id)
        (self.folder / "containers" / container_id).mkdir(parents=True)
        fields = {kind: {key: more[key] for key in more if key in kind.__dataclass_fields__} for kind in (Process, Spec, Launch)}
        spec = Spec(
            process=Process(args=args, **fields[Process]),
            network=NetworkConfig(mode=NetworkMode(kind="none")),
            image="sha256:0",
            image_name="busybox",
            security=security,
            resources=resources,
            **fields[Spec],
        )
        container = Container(id=container_id, name="test", created=0, spec=spec)
        given = {"namespace": self.namespace, "hostname": "box", "user": ROOT, **fields[Launch]}
        return Launch(container=container, rootfs=self.folder / "rootfs", **given)

    async def start(self, launch: Launch) -> Running:
        running = await self.runtime.create(launch)
        await self.runtime.start(launch.container.id)
        return running

    async def run(self, launch: Launch) -> tuple[int, bytes, bytes]:
        """Run a container to its end; returns its exit code, stdout and stderr."""
        running = await self.start(launch)
        code = await self.wait(launch, running)
        return code, await self.log(launch, 1), await self.log(launch, 2)

    async def wait(self, launch: Launch, running: Running) -> int:
        return await self.runtime.wait(launch.container.id, running.monitor_pid, running.monitor_start)

    async def log(self, launch: Launch, stream: int) -> bytes:
        path = self.folder / "containers" / launch.container.id / "container.log"
        return b"".join(
            [record.data async for record in logs.read(path, follow=None, tail=None, since=0, until=0) if record.stream == stream]
        )

    async def exec(
        self,
        launch: Launch,
        *args: str,
        attach: bool = True,
        privileged: bool = False,
        user: User = ROOT,
        **fields: Any,  # noqa: ANN401
    ) -> Execution:
        """Run a command in a running container; `fields` are Process's."""
        made = Exec(id=os.urandom(8).hex(), container=launch.container.id, process=Process(args=args, **fields), privileged=privileged)
        return await self.runtime.exec(launch.container, made, user=user, attach=attach)


Scenario = Callable[[Callable[[Bench], Awaitable[None]]], None]


@pytest.fixture
def on_bench(tmp_path: Path, host: Host) -> Scenario:
    """Runs a coroutine with a bench, and sees to it that nothing of it is left."""
    binaries = tmp_path / "rootfs/bin"
    binaries.mkdir(parents=True)
    shutil.copy(BUSYBOX, binaries / "busybox")
    for applet in APPLETS:
        (binaries / applet).symlink_to("busybox")
    for name in ("etc", "tmp", "proc", "sys", "dev"):
        (tmp_path / "rootfs" / name).mkdir()
    (tmp_path / "rootfs/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n")
    (tmp_path / "rootfs/etc/group").write_text("root:x:0:\nweb:x:34:\nextra:x:50:web\n")

    def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
        async def with_bench() -> None:
            bench = Bench(tmp_path, host.path, Runtime(await oci.choose_runtime(), tmp_path / "exec", tmp_path / "containers"))
            try:
                async with asyncio.timeout(SHORT):
                    await scenario(bench)
            finally:
                for container_id in bench.ids:
                    await bench.runtime.delete(container_id)
            assert not bench.runtime.ids()
            assert _processes_of(tmp_path) == []

        asyncio.run(with_bench())

    return run


def _processes_of(folder: Path) -> list[str]:
    """The command lines that name a folder: monitors and runtimes that should be gone."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdecimal() else ""
        except OSError:
            continue
        if str(folder) in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


async def collect(attachment: Attachment) -> tuple[bytes, bytes]:
    """Everything that comes to its end: stdout, stderr."""
    streams: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    async for stream, data in attachment:
        streams[stream] += data
    return bytes(streams[1]), bytes(streams[2])


def test_a_process_runs_and_its_exit_code_and_both_streams_are_kept(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.run(bench.launch("sh", "-c", "echo out; echo err >&2; exit 3")) == (3, b"out\n", b"err\n")

    on_bench(scenario)


def test_a_container_can_be_started_again_with_the_same_log(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "echo again; exit 4")
        await bench.run(launch)
        await bench.runtime.delete(launch.container.id)
        assert await bench.run(launch) == (4, b"again\nagain\n", b"")

    on_bench(scenario)


def test_the_environment_is_dockers(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        _, out, _ = await bench.run(bench.launch("env", env=("A=1", "HOSTNAME=mine")))
        assert sorted(out.decode().split()) == [
            "A=1",
            "HOME=/root",
            "HOSTNAME=mine",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]

    on_bench(scenario)


def test_a_terminal_has_a_size_and_one_stream(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "read go; tty; echo $TERM; stty size >&2", tty=True, open_stdin=True)
        running = await bench.runtime.create(launch)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)
        await bench.runtime.resize(launch.container.id, 33, 101)
        await attachment.write(b"go\n")
        assert await collect(attachment) == (b"go\r\n/dev/pts/0\r\nxterm\r\n33 101\r\n", b"")
        assert await bench.wait(launch, running) == 0

    on_bench(scenario)


def test_attached_input_is_echoed_and_its_end_is_passed_on(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", open_stdin=True, stdin_once=True)
        running = await bench.runtime.create(launch)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)
        await attachment.write(b"hello\n")
        await attachment.close_stdin()
        assert await collect(attachment) == (b"hello\n", b"")
        assert await bench.wait(launch, running) == 0

    on_bench(scenario)


def test_much_input_and_output_pass_whole(on_bench: Scenario) -> None:
    data = os.urandom(3 << 20)

    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", open_stdin=True, stdin_once=True)
        running = await bench.runtime.create(launch)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)

        async def feed() -> None:
            await attachment.write(data)
            await attachment.close_stdin()

        feeding = asyncio.create_task(feed())
        out, _ = await collect(attachment)
        await feeding
        assert out == data
        assert await bench.wait(launch, running) == 0

    on_bench(scenario)


def test_the_input_stays_open_when_a_client_leaves_unless_it_was_for_once(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", open_stdin=True)
        await bench.start(launch)
        first = await bench.runtime.attach(launch.container.id)
        await first.close()
        second = await bench.runtime.attach(launch.container.id)
        await second.write(b"still here\n")
        async for stream, data in second:
            assert (stream, data) == (1, b"still here\n")
            break

    on_bench(scenario)


def test_a_client_without_input_leaves_the_input_of_another_open(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", open_stdin=True, stdin_once=True)
        await bench.start(launch)
        typing = await bench.runtime.attach(launch.container.id)
        watching = await bench.runtime.attach(launch.container.id, stdin=False)
        await watching.close()
        await typing.write(b"still open\n")
        await typing.close_stdin()
        assert await collect(typing) == (b"still open\n", b"")

    on_bench(scenario)


def blocked_in_sending(running: Running) -> bool:
    """Whether the monitor waits for somebody to read what it sends."""
    return Path(f"/proc/{running.monitor_pid}/wchan").read_text() == "sock_alloc_send_pskb"


def test_a_reader_that_stops_stops_the_container_and_loses_nothing(on_bench: Scenario) -> None:
    lines = 400_000
    expected = "".join(f"{number}\n" for number in range(1, lines + 1)).encode()
    assert len(expected) > 2 * READ_AHEAD

    async def scenario(bench: Bench) -> None:
        launch = bench.launch("seq", str(lines))
        running = await bench.runtime.create(launch)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)
        await asyncio.to_thread(until, lambda: blocked_in_sending(running))
        assert process.is_alive(running.pid, process.start_time(running.pid))
        out, _ = await collect(attachment)
        assert out == expected
        assert await bench.wait(launch, running) == 0

    on_bench(scenario)


def test_the_end_of_a_container_is_noticed_though_a_client_does_not_read(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("yes")
        running = await bench.runtime.create(launch)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)
        await asyncio.to_thread(until, lambda: blocked_in_sending(running))
        ended = asyncio.create_task(bench.wait(launch, running))
        await bench.runtime.kill(launch.container.id, 9)
        assert await ended == 137
        await attachment.close()

    on_bench(scenario)


def test_a_signal_ends_a_container_and_a_second_one_finds_nothing(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        running = await bench.start(launch)
        await bench.runtime.kill(launch.container.id, 9)
        assert await bench.wait(launch, running) == 137
        await bench.runtime.kill(launch.container.id, 9)
        await bench.runtime.kill(launch.container.id, 9, everyone=True)

    on_bench(scenario)


def test_pausing_freezes_all_processes(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        await bench.runtime.pause(launch.container.id)
        with pytest.raises(EngineError):
            await bench.exec(launch, "true")
        await bench.runtime.unpause(launch.container.id)
        assert await bench.runtime.wait_exec(await bench.exec(launch, "true")) == 0

    on_bench(scenario)


def test_the_processes_are_listed(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        running = await bench.start(launch)
        assert await bench.runtime.pids(launch.container.id) == [running.pid]

    on_bench(scenario)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("nothing", 'exec: "nothing": executable file not found in $PATH: unknown'),
        ("/etc/passwd", "permission denied: unknown"),
        ("/etc", ": unknown"),
    ],
)
def test_what_cannot_be_run_is_said_in_dockers_words_and_leaves_nothing(on_bench: Scenario, command: str, reason: str) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(InvalidInput) as refusal:
            await bench.runtime.create(bench.launch(command))
        begin = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
        assert str(refusal.value).startswith(begin)
        assert "unable to start container process: exec: " in str(refusal.value)
        assert str(refusal.value).endswith(reason)
        assert not bench.runtime.ids()
        assert _processes_of(bench.folder) == []

    on_bench(scenario)


def test_a_limit_above_the_hosts_is_refused_clearly(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(ulimits=(Ulimit(name="nofile", soft=1 << 30, hard=1 << 30),))
        with pytest.raises(CommandFailed, match="rlimit"):
            await bench.runtime.create(bench.launch("sh", resources=limits))

    on_bench(scenario)


def test_a_limit_within_the_hosts_holds(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(ulimits=(Ulimit(name="nofile", soft=100, hard=200),))
        assert await bench.run(bench.launch("sh", "-c", "ulimit -Sn; ulimit -Hn", resources=limits)) == (0, b"100\n200\n", b"")

    on_bench(scenario)


def descriptors(pid: int | str, number: int | str = "*") -> list[str]:
    """What the open files of a process are."""
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").glob(str(number))]


def test_reserved_ports_are_held_by_the_monitor_and_unseen_inside(on_bench: Scenario, host: Host) -> None:
    async def scenario(bench: Bench) -> None:
        held = host.run(socket.socket)
        launch = bench.launch("sh", "-c", "ls -l /proc/1/fd; read end", open_stdin=True)
        running = await bench.runtime.create(replace(launch, reserved=(held.fileno(),)))
        [name] = descriptors("self", held.fileno())
        held.close()
        assert name in descriptors(running.monitor_pid)
        attachment = await bench.runtime.attach(launch.container.id)
        await bench.runtime.start(launch.container.id)
        await attachment.write(b"end\n")
        out, _ = await collect(attachment)
        assert b"pipe:" in out
        assert b"socket:" not in out
        await bench.wait(launch, running)

    on_bench(scenario)


def test_a_container_whose_monitor_was_killed_is_ended(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        running = await bench.start(launch)
        started = process.start_time(running.pid)
        process.kill(running.monitor_pid, running.monitor_start, 9)
        assert await bench.wait(launch, running) == 137
        await process.wait_gone(running.pid, started)
        assert not bench.runtime.ids()

    on_bench(scenario)


def test_the_next_engine_goes_on_with_a_running_container(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "read line; echo got $line; exit 7", open_stdin=True)
        running = await bench.start(launch)
        bench.runtime = Runtime(await oci.choose_runtime(), bench.folder / "exec", bench.folder / "containers")
        assert bench.runtime.ids() == {launch.container.id}
        assert bench.runtime.watches(running.monitor_pid, running.monitor_start)
        attachment = await bench.runtime.attach(launch.container.id)
        await attachment.write(b"this\n")
        assert await collect(attachment) == (b"got this\n", b"")
        assert await bench.wait(launch, running) == 7
        assert await bench.wait(launch, running) == 7  # the code stays, for an engine that comes later

    on_bench(scenario)


def test_running_out_of_memory_is_told(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limited = bench.launch("tail", "/dev/zero", resources=Resources(memory=8 << 20))
        code, _, _ = await bench.run(limited)
        assert code == 137
        assert bench.runtime.out_of_memory(limited.container.id)
        killed = bench.launch("sh", "-c", "kill -9 $$", resources=Resources(memory=8 << 20))
        await bench.run(killed)
        assert not bench.runtime.out_of_memory(killed.container.id)

    on_bench(scenario)


def test_an_exec_has_streams_and_an_exit_code_of_its_own(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000", env=("A=1", "B=1"))
        await bench.start(launch)
        execution = await bench.exec(launch, "sh", "-c", "echo $A $B; pwd; echo err >&2; exit 9", env=("B=2",), working_dir="/tmp")
        assert execution.attachment is not None
        assert await collect(execution.attachment) == (b"1 2\n/tmp\n", b"err\n")
        assert await bench.runtime.wait_exec(execution) == 9
        assert await bench.log(launch, 1) == b""

    on_bench(scenario)


def test_an_exec_takes_input_and_ends_with_it(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        execution = await bench.exec(launch, "cat", open_stdin=True)
        assert execution.attachment is not None
        await execution.attachment.write(b"in and out")
        await execution.attachment.close_stdin()
        assert await collect(execution.attachment) == (b"in and out", b"")
        assert await bench.runtime.wait_exec(execution) == 0

    on_bench(scenario)


def test_an_exec_has_a_terminal_of_its_own(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        execution = await bench.exec(launch, "sh", "-c", "read go; echo $TERM; stty size", tty=True, open_stdin=True)
        assert execution.attachment is not None
        await bench.runtime.resize_exec(launch.container.id, execution.id, 20, 90)
        await execution.attachment.write(b"go\n")
        assert await collect(execution.attachment) == (b"go\r\nxterm\r\n20 90\r\n", b"")
        assert await bench.runtime.wait_exec(execution) == 0
        with pytest.raises(Conflict):
            await bench.runtime.resize_exec(launch.container.id, execution.id, 20, 90)

    on_bench(scenario)


@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.parametrize("tty", [True, False])
def test_an_exec_of_what_is_not_there_is_refused_in_dockers_words(on_bench: Scenario, *, attach: bool, tty: bool) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        with pytest.raises(InvalidInput) as refusal:
            await bench.exec(launch, "nope", attach=attach, tty=tty)
        assert str(refusal.value).startswith("OCI runtime exec failed: ")
        assert str(refusal.value).endswith('unable to start container process: exec: "nope": executable file not found in $PATH: unknown')

    on_bench(scenario)


def test_an_exec_runs_unseen_and_as_another_user(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        user = resolve_user(launch.rootfs, "web")
        script = 'set -e; test $(id -u) = 33; test "$(id -G)" = "34 50"; test $HOME = /var/www; exit 5'
        execution = await bench.exec(launch, "sh", "-c", script, attach=False, user=user)
        assert execution.attachment is None
        assert await bench.runtime.wait_exec(execution) == 5

    on_bench(scenario)


def test_an_exec_ends_with_its_container(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        running = await bench.start(launch)
        execution = await bench.exec(launch, "sleep", "1000")
        await bench.runtime.kill(launch.container.id, 9)
        assert await bench.wait(launch, running) == 137
        assert await bench.runtime.wait_exec(execution) == 137

    on_bench(scenario)


def capabilities_of(out: bytes) -> int:
    return int(dict(line.split(":\t") for line in out.decode().splitlines())["CapEff"], 16)


def test_rights_are_dockers_and_an_exec_has_no_more(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        plain = await bench.exec(launch, "grep", "CapEff", "/proc/self/status")
        assert plain.attachment is not None
        assert capabilities_of((await collect(plain.attachment))[0]) == 0xA80425FB
        privileged = await bench.exec(launch, "grep", "CapEff", "/proc/self/status", privileged=True)
        assert privileged.attachment is not None
        assert capabilities_of((await collect(privileged.attachment))[0]) & (1 << 21)
        for execution in (plain, privileged):
            await bench.runtime.wait_exec(execution)

    on_bench(scenario)


@pytest.mark.parametrize(
    ("security", "script", "expected"),
    [
        (Security(), "mount -t tmpfs none /tmp 2>/dev/null || echo refused", b"refused\n"),
        (Security(privileged=True), "mount -t tmpfs none /tmp && echo mounted", b"mounted\n"),
        (Security(), "unshare -U true 2>/dev/null || echo refused", b"refused\n"),
        (Security(options=("seccomp=unconfined",)), "unshare -U true && echo allowed", b"allowed\n"),
        (Security(options=("no-new-privileges",)), "grep NoNewPrivs /proc/self/status", b"NoNewPrivs:\t1\n"),
        (Security(read_only_root=True), "echo x 2>/dev/null > /etc/x || echo refused", b"refused\n"),
        (Security(), "echo x 2>/dev/null > /proc/sys/kernel/hostname || echo refused", b"refused\n"),
        (Security(), "wc -c </proc/timer_list; cat /proc/interrupts", b"0\n"),
        (Security(), "hostname; echo $$", b"box\n1\n"),
        (Security(uts_mode="host"), "[ $(hostname) != box ] && echo host", b"host\n"),
        (Security(pid_mode="host"), "[ $$ != 1 ] && echo host", b"host\n"),
        (Security(ipc_mode="host"), "ls /dev/shm >/dev/null && echo host", b"host\n"),
        (Security(), "df -k /dev/shm | tail -1 | awk '{print $2}'", b"65536\n"),
        (Security(cap_drop=("ALL",), cap_add=("net_raw",)), "awk '/CapBnd/{print $2}' /proc/self/status", b"0000000000002000\n"),
    ],
)
def test_what_a_container_may(on_bench: Scenario, security: Security, script: str, expected: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.run(bench.launch("sh", "-c", script, security=security)) == (0, expected, b"")

    on_bench(scenario)


def test_mounts_files_and_devices(on_bench: Scenario, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/file").write_text("given\n")
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")
    mounts = (
        Mount(kind="bind", target="/data", source=str(tmp_path / "given"), options=("ro",)),
        Mount(kind="tmpfs", target="/data2", options=("size=64k",)),
    )
    script = "cat /data/file /etc/hosts; echo x 2>/dev/null >/data/x || echo refused; df -k /data2 | awk '/data2/{print $2}'"

    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", script, mounts=mounts, files=((tmp_path / "hosts", "/etc/hosts"),))
        assert await bench.run(launch) == (0, b"given\n127.0.0.1 here\nrefused\n64\n", b"")

    on_bench(scenario)


def test_a_read_only_root_takes_the_networks_files_too(on_bench: Scenario, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")

    async def scenario(bench: Bench) -> None:
        script = "cat /etc/hosts; echo x 2>/dev/null >/etc/hosts || echo refused; echo ok >/dev/shm/x && cat /dev/shm/x"
        files = ((tmp_path / "hosts", "/etc/hosts"),)
        launch = bench.launch("sh", "-c", script, files=files, security=Security(read_only_root=True))
        assert await bench.run(launch) == (0, b"127.0.0.1 here\nrefused\nok\n", b"")

    on_bench(scenario)


def test_a_start_that_is_cancelled_leaves_nothing(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        starting = asyncio.create_task(bench.runtime.create(launch))
        folder = bench.folder / "exec/monitor" / launch.container.id
        await asyncio.to_thread(until, (folder / "attach").exists)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not bench.runtime.ids()
        assert _processes_of(bench.folder) == []

    on_bench(scenario)


def test_an_init_runs_in_front(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "echo $$; tr '\\0' ' ' </proc/1/cmdline", init_binary=oci.find_init())
        code, out, _ = await bench.run(launch)
        assert code == 0
        assert not out.startswith(b"1\n")
        assert b"/sbin/docker-init -- sh -c" in out

    on_bench(scenario)


def cgroups(running: Running) -> str:
    return Path(f"/proc/{running.pid}/cgroup").read_text()


def test_limits_are_the_kernels(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(memory=32 << 20, pids_limit=20, nano_cpus=500_000_000, cpu_shares=512)
        running = await bench.start(launch := bench.launch("sleep", "1000", resources=limits))
        assert f"/linkspan/{launch.container.id}\n" in cgroups(running)
        shown = await bench.exec(
            launch, "sh", "-c", "cd /sys/fs/cgroup; cat memory.max pids.max memory/memory.limit_in_bytes pids/pids.max 2>/dev/null"
        )
        assert shown.attachment is not None
        assert (await collect(shown.attachment))[0].split() == [b"33554432", b"20"]
        await bench.runtime.wait_exec(shown)

    on_bench(scenario)


def test_sysctls_are_the_containers_own(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/kernel/domainname", domainname="example")
        network = replace(launch.container.spec.network, sysctls={"net.ipv4.ip_default_ttl": "77"})
        spec = replace(launch.container.spec, network=network)
        launch = replace(launch, container=replace(launch.container, spec=spec))
        assert await bench.run(launch) == (0, b"77\nexample\n", b"")

    on_bench(scenario)


def test_the_runtime_that_is_asked_for_is_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        chosen = await oci.choose_runtime()
        assert chosen.reason.startswith(f"{chosen.name}: ")
        assert (await oci.choose_runtime("runc")).program == process.find("runc")
        assert (await oci.choose_runtime(str(process.find("runc")))).name == "runc"
        with pytest.raises(MissingTool, match="nothing is not installed"):
            await oci.choose_runtime("nothing")
        with pytest.raises(InvalidInput, match="no such OCI runtime"):
            await oci.choose_runtime(str(tmp_path / "missing"))

    asyncio.run(scenario())
