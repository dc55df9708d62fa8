"""Commands run in running containers."""

import pytest

from linkspan.errors import Conflict, InvalidInput
from linkspan.runtime.users import resolve_user
from tests.containers import Bench, Scenario, collect

pytestmark = pytest.mark.kernel


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
