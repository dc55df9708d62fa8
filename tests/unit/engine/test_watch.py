"""The watch: what it looks at when something is heard, and what it does about what it finds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from linkspan.engine import watch
from linkspan.engine.repair import Repairer
from linkspan.engine.survey import QUICK, Part, Surveyor
from linkspan.engine.watch import Watch
from linkspan.errors import EngineError
from linkspan.kernel.changes import Change, What
from linkspan.kernel.thread import KernelThread
from linkspan.plan import patience
from linkspan.plan.converge import Difference, Kind, Mend
from linkspan.plan.patience import FREE
from linkspan.store.sqlite import SqliteStore
from tests.unit.plan.test_converge import ENDPOINT, NETWORK

GONE = Difference(
    kind=Kind.INTERFACE_GONE, mend=Mend.ENDPOINT, subject=ENDPOINT.id, sentence="the interface veth1 is gone", containers=("web",)
)


@dataclass
class FakeHost:
    """What is looked at, what is found there, and what was done."""

    found: tuple[Difference, ...] = ()
    looked: list[Part] = field(default_factory=list)
    mended: list[Difference] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    busy: frozenset[str] = frozenset()
    refusal: str = ""
    lasting: bool = False
    """Whether a mend is undone at once."""

    def uplinks(self) -> tuple[int, ...]:
        return ()

    def differences(self, part: Part) -> tuple[Difference, ...]:
        self.looked.append(part)
        return self.found if Part.LINKS in part else ()

    async def mend(self, difference: Difference) -> None:
        if self.refusal:
            raise EngineError(self.refusal)
        self.mended.append(difference)
        if not self.lasting:
            self.found = ()

    def mark(self, difference: Difference, error: str) -> None:
        self.marked.append(f"{difference.sentence}: {error}")


Scenario = Callable[[Watch], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeHost, Scenario], None]:
    """Runs a scenario with a watch that hears only what the scenario tells it, and waits for nothing."""
    for name in ("CALM", "BUSY", "MOUNTS"):
        monkeypatch.setattr(watch, name, 0.0)
    monkeypatch.setattr(patience, "FIRST", 0.05)

    def in_loop(host: FakeHost, scenario: Scenario) -> None:
        async def main() -> None:
            store, kernel = SqliteStore(":memory:"), KernelThread()
            store.put_network(NETWORK)
            store.put_endpoint(ENDPOINT)
            watching = Watch(store, kernel, cast("Surveyor", host), cast("Repairer", host), lambda: host.busy)
            task = asyncio.create_task(watching._run())
            try:
                async with asyncio.timeout(20):
                    await scenario(watching)
            finally:
                task.cancel()
                kernel.stop()
                store.close()

        asyncio.run(main())

    return in_loop


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110  the watch tells nobody
        await asyncio.sleep(0.001)


Run = Callable[[FakeHost, Scenario], None]


@pytest.mark.parametrize(
    ("what", "part"),
    [
        (What.ADDRESS, Part.LINKS | Part.NAMESPACES),
        (What.ROUTE, Part.LINKS | Part.NAMESPACES),
        (What.UPLINK, Part.LINKS | Part.NAMESPACES),
        (What.FORWARDING, Part.LINKS | Part.NAMESPACES),
        (What.RULES, Part.RULES),
        (What.MOUNTS, Part.NAMESPACES),
        (What.LOST, QUICK),
    ],
)
def test_what_is_heard_is_looked_at(run: Run, what: What, part: Part) -> None:
    host = FakeHost()

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(what))
        await until(lambda: host.looked == [part])

    run(host, scenario)


def test_interfaces_of_others_are_not_looked_at(run: Run) -> None:
    host = FakeHost()

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(What.LINK, "wlan0"))
        watching._heard(Change(What.ADDRESS, "wlan0"))
        watching._heard(Change(What.ROUTE, "wlan0"))
        watching._heard(Change(What.RULES))
        await until(lambda: host.looked)
        assert host.looked == [Part.RULES]
        watching._heard(Change(What.LINK, "docker0"))
        await until(lambda: len(host.looked) == 2)
        assert Part.LINKS in host.looked[1]

    run(host, scenario)


def test_what_differs_is_mended_once(run: Run) -> None:
    host = FakeHost(found=(GONE, replace(GONE, kind=Kind.INSIDE_GONE)))

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(What.LOST))
        await until(lambda: host.mended)
        await until(lambda: not host.found)
        assert host.mended == [GONE]

    run(host, scenario)


def test_a_container_that_something_is_done_to_waits_for_its_turn(run: Run) -> None:
    host = FakeHost(found=(GONE,), busy=frozenset({"web"}))

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(What.LOST))
        await until(lambda: len(host.looked) > 2)
        assert host.mended == []
        host.busy = frozenset()
        await until(lambda: host.mended)

    run(host, scenario)


def test_what_cannot_be_mended_is_said_once_marked_and_tried_again(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    host = FakeHost(found=(GONE,), refusal="no such device")

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(What.LOST))
        await until(lambda: len(host.marked) > 1)
        host.refusal = ""
        await until(lambda: host.mended)

    run(host, scenario)
    assert host.marked[0] == "the interface veth1 is gone: no such device"
    assert [record.message for record in caplog.records].count("cannot be mended: the interface veth1 is gone: no such device") == 1


def test_what_is_not_ours_to_mend_is_only_said(run: Run) -> None:
    host = FakeHost(found=(replace(GONE, mend=Mend.ADMIN),))

    async def scenario(watching: Watch) -> None:
        watching._heard(Change(What.LOST))
        await until(lambda: host.marked)
        assert host.mended == []

    run(host, scenario)


def test_what_somebody_keeps_undoing_is_not_mended_without_end(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    host = FakeHost(found=(GONE,), lasting=True)

    async def scenario(watching: Watch) -> None:
        for count in range(FREE + 3):
            watching._heard(Change(What.LOST))
            await until(lambda wanted=count: len(host.looked) > wanted)  # type: ignore[misc]
        assert FREE <= len(host.mended) < FREE + 3

    run(host, scenario)
    assert sum("somebody undoes what is mended" in record.message for record in caplog.records) == 1
