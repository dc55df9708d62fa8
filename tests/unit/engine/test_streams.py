"""What stays of clients that have gone: nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from linkspan.engine import execs
from linkspan.engine.events import Events
from linkspan.engine.execs import Execs, ExecStreams
from linkspan.engine.requests import AttachRequest, ExecRequest
from linkspan.engine.streams import Streams
from linkspan.model.container import State, Status
from linkspan.store.sqlite import SqliteStore
from tests.unit.engine.test_lookup import WEB

ALL = AttachRequest(stdin=True, stdout=True, stderr=True, stream=True)


class OpenAttachment:
    """The other end of a container's streams."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        await asyncio.Event().wait()
        yield 1, b""

    async def close(self) -> None:
        self.closed = True


class EndedAttachment(OpenAttachment):
    """One that says a last word."""

    write = close_stdin = None

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        yield 1, b"last"


class IdleRuntime:
    """Starts nothing."""

    def expect(self) -> None:
        pass


class SlowRuntime:
    """Attaches when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.attachment = OpenAttachment()

    async def attach(self, container_id: str, *, stdin: bool) -> OpenAttachment:
        self.asked.set()
        await self.go_on.wait()
        return self.attachment


def streams_of(runtime: SlowRuntime) -> Streams:
    store = SqliteStore(":memory:")
    store.put_container(WEB)
    return Streams(store, cast(Any, runtime), lambda _: Path("/nowhere"))


def test_a_client_that_hangs_up_before_the_start_is_forgotten() -> None:
    async def scenario() -> None:
        runtime = SlowRuntime()
        streams = streams_of(runtime)
        for _ in range(3):
            await (await streams.attach("web", ALL)).close()
        assert not streams._pending
        await streams.connect(WEB.id)
        assert not runtime.asked.is_set()

    asyncio.run(scenario())


def test_a_client_that_hangs_up_while_it_is_connected_leaves_no_connection() -> None:
    async def scenario() -> None:
        runtime = SlowRuntime()
        streams = streams_of(runtime)
        pending = await streams.attach("web", ALL)
        connecting = asyncio.create_task(streams.connect(WEB.id))
        await runtime.asked.wait()
        await pending.close()
        runtime.go_on.set()
        await connecting
        assert runtime.attachment.closed

    asyncio.run(scenario())


def test_execs_that_nobody_starts_do_not_pile_up() -> None:
    async def scenario() -> None:
        store = SqliteStore(":memory:")
        store.put_container(replace(WEB, state=State(status=Status.RUNNING, pid=1)))
        made = Execs(store, cast(Any, IdleRuntime()), Events())
        ids = [await made.create("web", ExecRequest(cmd=("true",))) for _ in range(execs.KEPT + 5)]
        assert len(made._execs) == execs.KEPT
        assert made.inspect(ids[-1]).id == ids[-1]
        assert ids[0] not in made._execs

    asyncio.run(scenario())


def test_a_client_does_not_wait_for_ever_for_an_exit_code_that_nobody_can_tell() -> None:
    async def scenario() -> None:
        never = asyncio.create_task(asyncio.sleep(3600))
        streams = ExecStreams(cast(Any, EndedAttachment()), never, patience=0)
        assert [piece async for piece in streams] == [(1, b"last")]
        never.cancel()

    asyncio.run(scenario())
