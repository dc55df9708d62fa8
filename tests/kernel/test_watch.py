"""Waiting for a file to change."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from linkspan.errors import NotFound
from linkspan.kernel.watch import FileWatch

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


def test_a_missing_file_is_refused_and_no_descriptor_left(tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async def main() -> None:
        before = descriptors()
        with pytest.raises(NotFound, match=r"^no file .*gone$"):
            async with FileWatch(tmp_path / "gone"):
                pass
        async with FileWatch(tmp_path):
            assert descriptors() == before + 1
        assert descriptors() == before

    asyncio.run(main())
