"""A container's input, output and terminal."""

import asyncio
import os
from pathlib import Path

import pytest

from linkspan.kernel import process
from linkspan.runtime.attach import READ_AHEAD
from linkspan.runtime.conmon import Running
from tests.containers import Bench, Scenario, collect
from tests.hosts import until

pytestmark = pytest.mark.kernel


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
