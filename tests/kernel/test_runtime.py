"""Containers as processes: start, end, signals, refusals, and what survives whom."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from linkspan.errors import EngineError, InvalidInput, KernelError, MissingTool
from linkspan.kernel import mount, process
from linkspan.model.container import Resources
from linkspan.runtime import oci
from linkspan.runtime.monitor import Runtime
from tests.containers import Bench, Scenario, collect, processes_naming
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel


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
        assert processes_naming(bench.folder) == []

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


def test_a_process_that_has_got_the_pid_of_a_monitor_is_left_alone(on_bench: Scenario, host: Host) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("true")
        await bench.run(launch)
        stranger = host.spawn("sleep", "1000")
        (bench.folder / "exec" / "monitor" / launch.container.id / "monitor.pid").write_text(f"{stranger.pid}")
        async with asyncio.timeout(4):  # nobody is waited for either
            await bench.runtime.delete(launch.container.id)
        assert stranger.poll() is None

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
        assert processes_naming(bench.folder) == []

    on_bench(scenario)


def test_an_init_runs_in_front(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "echo $$; tr '\\0' ' ' </proc/1/cmdline", init_binary=oci.find_init())
        code, out, _ = await bench.run(launch)
        assert code == 0
        assert not out.startswith(b"1\n")
        assert b"/sbin/docker-init -- sh -c" in out

    on_bench(scenario)


def test_every_container_has_its_seccomp_filter_whether_it_was_compiled_for_it_or_before(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(2):
            code, out, _ = await bench.run(bench.launch("grep", "Seccomp:", "/proc/self/status"))
            assert (code, out.split()) == (0, [b"Seccomp:", b"2"])
        launch = bench.launch("sh", "-c", "unshare -U true; sleep 100")
        await bench.start(launch)
        assert await bench.runtime.wait_exec(await bench.exec(launch, "unshare", "-U", "true")) != 0

    on_bench(scenario)


def test_signals_reach_the_process_without_its_monitor_too(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        running = await bench.start(launch)
        process.kill(running.monitor_pid, running.monitor_start, 9)
        await process.wait_gone(running.monitor_pid, running.monitor_start)
        start = process.start_time(running.pid)
        await bench.runtime.kill(launch.container.id, 9)
        await process.wait_gone(running.pid, start)

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


def test_a_folder_that_cannot_be_written_is_said(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        (bench.folder / "exec").mkdir()
        full = bench.folder / "exec/monitor"
        full.symlink_to("/dev/full")  # no folder can be made in it
        with pytest.raises(EngineError, match="cannot write "):
            await bench.runtime.create(bench.launch("true"))
        full.unlink()

    on_bench(scenario)


def test_an_exit_code_that_cannot_be_read_is_not_taken_for_a_missing_one(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", "exit 4")
        running = await bench.start(launch)
        code = bench.runtime._folder(launch.container.id).exit_code
        until(code.exists)
        code.rename(code.with_name("kept"))
        code.mkdir()
        with pytest.raises(KernelError, match="Is a directory"):
            await bench.runtime.wait(launch.container.id, running.monitor_pid, running.monitor_start)
        code.rmdir()
        code.with_name("kept").rename(code)
        assert await bench.runtime.wait(launch.container.id, running.monitor_pid, running.monitor_start) == 4

    on_bench(scenario)


def runtime_of_script(bench: Bench, script: str) -> Runtime:
    """A runtime that a shell script plays and that can only delete; it is called as crun is."""
    program = bench.folder / "crun"
    program.write_text(f'#!/bin/sh\n{script}\ncase "$*" in *" delete "*) exit 0; esac\nexit 1\n')
    program.chmod(0o755)
    return Runtime(oci.Choice(program=program, name="crun", reason="a test"), bench.folder / "exec", bench.folder / "containers")


def test_a_runtime_that_ends_without_a_word_is_described(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        bench.runtime = runtime_of_script(bench, "")
        with pytest.raises(
            EngineError, match=r"was killed, or ended without a word \(exit status 0; it left .*config\.json, .*monitor\.pid"
        ):
            await bench.runtime.create(bench.launch("true"))

    on_bench(scenario)


def test_what_a_runtime_needs_for_a_moment_is_under_the_exec_root(on_bench: Scenario) -> None:
    """crun mounts its own program over a file; killed in the middle, it leaves both."""

    async def scenario(bench: Bench) -> None:
        seen, scratch = bench.folder / "seen", bench.folder / "exec" / "scratch"
        bench.runtime = runtime_of_script(bench, f'echo "$_LIBCONTAINER_STATEDIR" >>{seen}')
        bench.runtime.tidy()
        with pytest.raises(EngineError):
            await bench.runtime.create(bench.launch("true"))
        with pytest.raises(EngineError):
            await bench.runtime.pids(bench.launch("true").container.id)
        assert set(seen.read_text().split()) == {str(scratch)}
        left = scratch / "crun.abcdef"
        left.touch()
        mount.bind(process.find("busybox"), left)
        bench.runtime.tidy()
        assert list(scratch.iterdir()) == []
        assert mount.mounts_under(scratch) == []

    on_bench(scenario)
