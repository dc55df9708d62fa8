"""Waiting for a file to change."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import NotFound
from linkspan.kernel.watch import FileWatch, events

pytestmark = pytest.mark.kernel

LONG = 10
"""Seconds after which a change was surely missed."""


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("more\n")


def move(path: Path) -> None:
    path.rename(path.with_suffix(".1"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "container.log"
    path.touch()
    return path


@pytest.mark.parametrize("change", [append, move, Path.unlink])
def test_a_change_is_seen(file: Path, change: Callable[[Path], object]) -> None:
    async def main() -> None:
        async with FileWatch(file) as watch:
            waiting = asyncio.create_task(watch.changed())
            await asyncio.sleep(0)
            assert not waiting.done()
            change(file)
            await asyncio.wait_for(waiting, LONG)

    asyncio.run(main())


def test_every_change_is_seen_also_between_two_waits(file: Path) -> None:
    async def main() -> None:
        async with FileWatch(file) as watch:
            for _ in range(3):
                append(file)
                await asyncio.wait_for(watch.changed(), LONG)

    asyncio.run(main())


def test_giving_up_loses_no_change(file: Path) -> None:
    async def main() -> None:
        async with FileWatch(file) as watch:
            waiting = asyncio.create_task(watch.changed())
            await asyncio.sleep(0)
            waiting.cancel()
            append(file)
            await asyncio.wait_for(watch.changed(), LONG)
            assert waiting.cancelled()

    asyncio.run(main())


def test_a_change_by_another_thread_wakes_the_loop(file: Path) -> None:
    async def main() -> None:
        async with FileWatch(file) as watch:
            threading.Thread(target=append, args=(file,)).start()
            await asyncio.wait_for(watch.changed(), LONG)

    asyncio.run(main())


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_any_number_of_watches_share_one_instance(tmp_path: Path) -> None:
    async def main() -> None:
        before = descriptors()
        async with contextlib.AsyncExitStack() as stack:
            paths = [tmp_path / str(number) for number in range(500)]
            for path in paths:
                path.touch()
            watches = [await stack.enter_async_context(FileWatch(path)) for path in paths]
            assert descriptors() == before + 1
            for path, watch in zip(paths, watches, strict=True):
                append(path)
                await asyncio.wait_for(watch.changed(), LONG)
        assert descriptors() == before

    asyncio.run(main())


def test_those_who_watch_one_file_do_not_disturb_each_other(file: Path) -> None:
    async def main() -> None:
        async with FileWatch(file) as stays:
            async with FileWatch(file) as leaves:
                append(file)
                await asyncio.wait_for(leaves.changed(), LONG)
                await asyncio.wait_for(stays.changed(), LONG)
            append(file)
            await asyncio.wait_for(stays.changed(), LONG)
            await asyncio.to_thread(file.unlink)
            await asyncio.wait_for(stays.changed(), LONG)
            async with FileWatch(file.parent):
                pass

    asyncio.run(main())


@given(st.binary(max_size=200))
def test_what_inotify_never_says_is_borne(data: bytes) -> None:
    assert len(list(events(data))) <= len(data) // 16


def test_a_missing_file_is_refused_and_no_descriptor_left(tmp_path: Path) -> None:
    async def main() -> None:
        before = descriptors()
        with pytest.raises(NotFound, match=r"^no file .*gone$"):
            async with FileWatch(tmp_path / "gone"):
                pass
        async with FileWatch(tmp_path):
            assert descriptors() == before + 1
        assert descriptors() == before

    asyncio.run(main())
