"""Programs of others."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from linkspan.errors import CommandFailed, MissingTool
from linkspan.kernel import process
from tests.hosts import until

pytestmark = pytest.mark.kernel

T = TypeVar("T")


def act(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as the engine does, and see that it leaves no child behind."""

    async def main() -> T:
        process.watch_children()
        return await coroutine

    result = asyncio.run(main())
    no_children()
    return result


def no_children() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


async def happened(condition: Callable[[], T]) -> T:
    return await asyncio.to_thread(until, condition)


def pid_in(path: Path) -> Callable[[], int]:
    return lambda: int(text) if path.exists() and (text := path.read_text()).endswith("\n") else 0


class TestFind:
    def test_a_program_is_found_also_where_path_does_not_lead(self) -> None:
        assert process.find("sh").name == "sh"
        assert process.find("ip").is_absolute()

    def test_a_missing_program_is_named_with_its_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(MissingTool, match=r"^no-such-tool is not installed: apt-get install no-such-tool$"):
            process.find("no-such-tool")
        monkeypatch.setitem(process.PACKAGES, "no-such-tool", "its-package")
        with pytest.raises(MissingTool, match="apt-get install its-package"):
            process.find("no-such-tool")

    def test_an_absolute_path_is_checked(self) -> None:
        assert process.find("/bin/sh") == Path("/bin/sh")
        with pytest.raises(MissingTool, match=r"^nothing is not installed"):
            process.find("/no/such/nothing")


def run_async(*args: str, **options: Any) -> process.Finished:
    return act(process.run(*args, **options))


@pytest.mark.parametrize("run", [process.run_sync, run_async])
class TestRun:
    def test_it_returns_what_the_program_said(self, run: Callable[..., process.Finished]) -> None:
        done = run("sh", "-c", "cat; echo $NAME; echo warning >&2", stdin=b"given\n", env={"NAME": "value"})
        assert done == process.Finished(status=0, output="given\nvalue\n", errors="warning\n")

    def test_without_input_it_reads_nothing(self, run: Callable[..., process.Finished]) -> None:
        assert run("cat").output == ""

    def test_a_failure_has_the_words_of_the_program(self, run: Callable[..., process.Finished]) -> None:
        with pytest.raises(CommandFailed, match=r"^sh: no way$") as failure:
            run("sh", "-c", "echo beside the point; echo no way >&2; exit 3")
        assert (failure.value.status, failure.value.output) == (3, "no way\n")

    @pytest.mark.parametrize(("script", "words"), [("exit 3", "exit status 3"), ("kill -9 $$", "killed by signal 9")])
    def test_a_silent_failure_tells_the_status(self, run: Callable[..., process.Finished], script: str, words: str) -> None:
        with pytest.raises(CommandFailed, match=f"^sh: {words}$"):
            run("sh", "-c", script)

    def test_a_failure_that_is_expected_is_returned(self, run: Callable[..., process.Finished]) -> None:
        assert run("sh", "-c", "exit 3", check=False).status == 3

    def test_a_program_that_takes_too_long_is_ended(self, run: Callable[..., process.Finished]) -> None:
        with pytest.raises(CommandFailed, match=r"^sleep: no end within 0\.05 s$"):
            run("sleep", "1000", timeout=0.05)
        no_children()

    def test_a_missing_program_is_named(self, run: Callable[..., process.Finished]) -> None:
        with pytest.raises(MissingTool):
            run("no-such-tool")

    def test_a_file_that_is_no_program_is_named(self, run: Callable[..., process.Finished], tmp_path: Path) -> None:
        broken = tmp_path / "broken"
        broken.write_bytes(b"\x7fELF, but no more")
        broken.chmod(0o755)
        with pytest.raises(CommandFailed, match=f"^{broken}: Exec format error$"):
            run(str(broken))

    def test_words_that_are_not_utf8_do_no_harm(self, run: Callable[..., process.Finished]) -> None:
        assert run("printf", r"a\377b").output == "a\ufffdb"


def test_a_cancelled_run_kills_the_program_and_its_children(tmp_path: Path) -> None:
    child = tmp_path / "pid"

    async def cancel() -> None:
        running = asyncio.create_task(process.run("sh", "-c", f"sleep 1000 & echo $! > {child}; wait"))
        pid = await happened(pid_in(child))
        start = process.start_time(pid)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await process.wait_gone(pid, start)

    act(cancel())


def test_only_handed_descriptors_are_inherited() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)

    async def descriptors() -> str:
        return (await process.run("sh", "-c", "ls /proc/$$/fd", pass_fds=[writer])).output

    open_there = {int(number) for number in act(descriptors()).split()}
    os.close(reader)
    os.close(writer)
    assert writer in open_there
    assert reader not in open_there


class TestStart:
    def test_streams_lead_nowhere_unless_asked_for(self) -> None:
        async def main() -> tuple[int, bytes]:
            quiet = await process.start("sh", "-c", "cat; echo lost")
            heard = await process.start("echo", "kept", stdout=subprocess.PIPE)
            said, _ = await heard.communicate()
            return await quiet.wait(), said

        assert act(main()) == (0, b"kept\n")

    def test_a_program_has_a_session_of_its_own(self) -> None:
        async def session() -> tuple[int, int]:
            child = await process.start("cat", stdin=subprocess.PIPE)
            found = child.pid, os.getsid(child.pid)
            await child.communicate(b"")
            return found

        pid, sid = act(session())
        assert pid == sid


def test_a_null_byte_in_an_argument_is_refused() -> None:
    with pytest.raises(CommandFailed, match="embedded null byte"):
        act(process.run("echo", "a\0b"))
    with pytest.raises(CommandFailed, match="embedded null byte"):
        process.run_sync("echo", "a\0b")


def process_descriptors() -> list[int]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += [int(entry.name)] if os.readlink(entry) == "anon_inode:[pidfd]" else []
    return found


class TestIdentity:
    def test_a_process_is_known_by_pid_and_start(self) -> None:
        start = process.start_time(os.getpid())
        assert process.is_alive(os.getpid(), start)
        assert not process.is_alive(os.getpid(), start + 1)
        assert not process.is_alive(os.getpid(), 0)

    def test_a_name_with_parentheses_and_spaces_is_read_past(self, tmp_path: Path) -> None:
        program = tmp_path / "a) S 1 (b"
        program.symlink_to(sys.executable)
        with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as child:
            start = process.start_time(child.pid)
            assert 0 <= start - process.start_time(os.getpid()) < 100_000_000
            assert process.is_alive(child.pid, start)

    def test_a_process_that_ended_is_gone_also_before_it_is_waited_for(self) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            start = process.start_time(child.pid)
            assert child.stdin
            child.stdin.close()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert (process.start_time(child.pid), process.is_alive(child.pid, start)) == (0, False)
        assert process.start_time(child.pid) == 0

    def test_a_number_that_somebody_closed_and_listens_to_still_hides_no_end(self) -> None:
        async def main(child: "subprocess.Popen[bytes]") -> None:
            reading, writing = os.pipe()
            asyncio.get_running_loop().add_reader(reading, list)
            os.close(reading)
            waiting = asyncio.create_task(process.wait_gone(child.pid, process.start_time(child.pid)))
            await asyncio.sleep(0)
            assert reading in process_descriptors()
            child.kill()
            await waiting
            os.close(writing)

        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            asyncio.run(main(child))

    def test_an_end_that_nobody_tells_is_seen_by_looking(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main(child: "subprocess.Popen[bytes]") -> None:
            waiting = asyncio.create_task(process.wait_gone(child.pid, process.start_time(child.pid), look_again=0.01))
            await asyncio.sleep(0)
            for number in process_descriptors():
                asyncio.get_running_loop().remove_reader(number)
            child.kill()
            await waiting
            assert "seen by looking" in caplog.text

        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            asyncio.run(main(child))

    def test_waiting_ends_when_the_process_does(self) -> None:
        async def main(child: "subprocess.Popen[bytes]") -> None:
            start = process.start_time(child.pid)
            waiting = asyncio.create_task(process.wait_gone(child.pid, start))
            await asyncio.sleep(0)
            assert not waiting.done()
            assert child.stdin
            child.stdin.close()
            await waiting
            assert not process.is_alive(child.pid, start)

        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            asyncio.run(main(child))

    def test_nobody_waits_for_another_process_with_the_same_pid(self) -> None:
        act(process.wait_gone(os.getpid(), process.start_time(os.getpid()) + 1))

    def test_nobody_waits_for_a_process_that_is_gone(self) -> None:
        with subprocess.Popen(["true"]) as child:
            pass
        act(process.wait_gone(child.pid, 1))

    def test_a_signal_reaches_the_process(self) -> None:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            process.kill(child.pid, process.start_time(child.pid), signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        process.kill(child.pid, 1, signal.SIGKILL)

    def test_a_signal_spares_another_process_with_the_same_pid(self) -> None:
        process.kill(os.getpid(), process.start_time(os.getpid()) + 1, signal.SIGKILL)


def test_only_a_child_of_the_right_parent_is_signalled() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        assert not process.kill_child(child.pid, os.getppid(), signal.SIGKILL)
        assert child.poll() is None
        assert process.kill_child(child.pid, os.getpid(), signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert not process.kill_child(child.pid, os.getpid(), signal.SIGKILL)
    assert process.parent(child.pid) == 0
