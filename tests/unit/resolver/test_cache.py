"""Keeping answers, and taking turns."""

import asyncio

import pytest

from linkspan.resolver.cache import LONGEST, LONGEST_NEGATIVE, Cache
from linkspan.resolver.slots import LEAST, Slots
from linkspan.resolver.wire import NAME_ERROR, Reply


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _reply(lifetime: int, code: int = 0) -> Reply:
    return Reply(code, truncated=False, lifetime=lifetime, lifetimes=(20,))


def test_an_answer_is_kept_as_long_as_it_says() -> None:
    clock = Clock()
    cache = Cache(clock)
    cache.put("a", b"message", _reply(30))
    clock.now += 29.5
    found = cache.get("a")
    assert found is not None
    assert (found[0].message, found[1]) == (b"message", 29)
    clock.now += 0.5
    assert cache.get("a") is None
    assert (len(cache), cache.size) == (0, 0)


@pytest.mark.parametrize(("code", "longest"), [(0, LONGEST), (NAME_ERROR, LONGEST_NEGATIVE)])
def test_nothing_is_kept_for_ever(code: int, longest: int) -> None:
    clock = Clock()
    cache = Cache(clock)
    cache.put("a", b"message", _reply(1 << 30, code))
    clock.now += longest
    assert cache.get("a") is None


def test_what_may_not_be_kept_replaces_what_was() -> None:
    cache = Cache(Clock())
    cache.put("a", b"message", _reply(30))
    cache.put("a", b"message", _reply(0))
    assert cache.get("a") is None
    assert cache.size == 0


def test_the_least_used_goes_when_there_is_no_room() -> None:
    cache = Cache(Clock(), most=2000)
    for name in "abc":
        cache.put(name, b"." * 100, _reply(30))
    assert cache.get("a")
    for name in "de":
        cache.put(name, b"." * 100, _reply(30))
    assert [name for name in "abcde" if cache.get(name)] == ["a", "d", "e"] or cache.size <= 2000
    assert cache.get("a")
    assert cache.get("b") is None
    assert cache.size <= 2000


def test_an_asker_has_so_many_turns_and_then_waits() -> None:
    async def scene() -> None:
        slots = Slots(total=100, each=2, waiting=1)
        assert await slots.take("a", 1)
        assert await slots.take("a", 1)
        third = asyncio.create_task(slots.take("a", 60))
        await asyncio.sleep(0)
        assert not third.done()
        assert not await slots.take("a", 60), "so many wait already"
        assert await slots.take("b", 1), "others have their own"
        slots.release("a")
        assert await third
        assert slots.active("a") == 2

    asyncio.run(scene())


def test_who_waits_in_vain_leaves_the_queue() -> None:
    async def scene() -> None:
        slots = Slots(total=100, each=1)
        assert await slots.take("a", 1)
        assert not await slots.take("a", 0)
        waiting = asyncio.create_task(slots.take("a", 60))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert slots.waiting("a") == 0
        slots.release("a")
        assert slots.active("a") == 0
        assert await slots.take("a", 0)

    asyncio.run(scene())


def test_where_there_are_not_enough_everybody_gets_some() -> None:
    async def scene() -> None:
        slots = Slots(total=64, each=64)
        for _ in range(64):
            assert await slots.take("flood", 0)
        assert not await slots.take("flood", 0)
        taken = [await slots.take("quiet", 0) for _ in range(LEAST + 1)]
        assert taken == [True] * LEAST + [False]

    asyncio.run(scene())


def test_a_turn_given_back_goes_to_those_who_wait_in_turn() -> None:
    async def scene() -> None:
        slots = Slots(total=LEAST, each=1)
        assert await slots.take("a", 1)
        assert await slots.take("b", 1)
        waiting = [asyncio.create_task(slots.take(name, 60)) for name in ("a", "b")]
        await asyncio.sleep(0)
        slots.release("b")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [each.done() for each in waiting] == [False, True]
        slots.release("a")
        assert all(await asyncio.gather(*waiting))

    asyncio.run(scene())
