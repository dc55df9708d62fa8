"""Attachments, with a socket of conmon's kind in the test's hand."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from linkspan.errors import EngineError
from linkspan.runtime import attach
from linkspan.runtime.attach import READ_AHEAD, Attachment


@contextlib.asynccontextmanager
async def attached(*, stdin: bool = True) -> AsyncIterator[tuple[Attachment, socket.socket]]:
    ours, monitors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    monitors.settimeout(0)
    attachment = Attachment(ours, stdin=stdin)
    try:
        yield attachment, monitors
    finally:
        monitors.close()
        await attachment.close()
        while ours.fileno() >= 0:  # noqa: ASYNC110  one without input goes on until it sees the end, and tells nobody
            await asyncio.sleep(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(bounded())


async def fill(monitor: socket.socket) -> int:
    """Send until neither the socket nor the reader takes more; returns how many bytes of output that were."""
    packet = b"\x02" + b"x" * 8192
    sent = 0
    while True:
        try:
            sent += monitor.send(packet) - 1
        except BlockingIOError:
            before = sent
            for _ in range(100):  # rounds of the loop, in which a reader that wants more would take it
                await asyncio.sleep(0)
            with contextlib.suppress(BlockingIOError):
                sent += monitor.send(packet) - 1
            if sent == before:
                return sent


def test_packets_name_their_stream_and_others_are_ignored() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            for packet in (b"\x02out", b"\x07what is this", b"\x03err", b"\x02"):
                monitor.send(packet)
            monitor.shutdown(socket.SHUT_RDWR)
            assert [item async for item in attachment] == [(1, b"out"), (2, b"err"), (1, b"")]

    run(scenario)


def test_input_is_cut_into_packets_that_conmon_takes_whole() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            await attachment.write(b"i" * 20_000)
            await attachment.close_stdin()
            received = []
            while packet := monitor.recv(1 << 20):
                received.append(len(packet))
            assert received == [8192, 8192, 3616]

    run(scenario)


def test_what_is_written_after_the_end_is_dropped() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            monitor.close()
            await attachment.write(b"too late")
            await attachment.close_stdin()

    run(scenario)


def test_a_slow_reader_is_waited_for_and_loses_nothing() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            sent = await fill(monitor)
            assert READ_AHEAD <= sent < 2 * READ_AHEAD
            monitor.shutdown(socket.SHUT_WR)
            assert sum([len(data) async for _, data in attachment]) == sent

    run(scenario)


def test_a_reader_without_bounds_takes_everything() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            sent = await fill(monitor)
            attachment.unbound()
            await asyncio.sleep(0)
            for _ in range(500):
                await asyncio.get_running_loop().sock_sendall(monitor, b"\x02" + b"y" * 8192)
                sent += 8192
            monitor.shutdown(socket.SHUT_WR)
            assert sum([len(data) async for _, data in attachment]) == sent

    run(scenario)


def test_one_without_input_is_drained_when_it_leaves_and_its_socket_stays() -> None:
    async def scenario() -> None:
        async with attached(stdin=False) as (attachment, monitor):
            await attachment.write(b"not allowed")
            await attachment.close_stdin()
            await fill(monitor)
            await attachment.close()
            for _ in range(500):
                await asyncio.get_running_loop().sock_sendall(monitor, b"\x02" + b"y" * 8192)
            with pytest.raises(BlockingIOError):
                monitor.recv(1)
            assert [item async for item in attachment] == []

    run(scenario)


def test_leaving_ends_the_reader() -> None:
    async def scenario() -> None:
        async with attached() as (attachment, monitor):
            reading = asyncio.create_task(anext(aiter(attachment), None))
            await asyncio.sleep(0)
            async with attachment:
                pass
            assert await reading is None
            assert monitor.recv(1) == b""

    run(scenario)


def test_a_monitor_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    async def scenario() -> None:
        for folder in (tmp_path, tmp_path / "missing"):
            with pytest.raises(EngineError, match="cannot attach: the monitor is gone"):
                await attach.connect(folder, stdin=True)

    run(scenario)
