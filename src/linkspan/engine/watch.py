"""What others break on the host is mended within a second.

Somebody deletes a veth, flushes the ruleset, sets docker0 down, switches forwarding off: the kernel tells (kernel.changes), and a
moment later, when nothing more comes, store and kernel are compared in that part. What the engine does itself is mostly not told,
and if it is, the comparison finds nothing. What somebody keeps undoing is mended more and more seldom, which the log says.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from linkspan.engine.repair import UNASKED, Repairer
from linkspan.engine.survey import QUICK, Part, Surveyor
from linkspan.errors import EngineError, KernelError
from linkspan.kernel.changes import Change, Changes, What
from linkspan.kernel.thread import KernelThread
from linkspan.plan.converge import Difference, Mend
from linkspan.plan.patience import Patience
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

CALM = 0.1
"""Seconds that it waits for more to change, before it looks."""
BUSY = 0.3
"""Seconds after which it looks again at containers that something was being done to."""
MOUNTS = 0.3
"""Seconds that it waits after a mount: the engine's own are told as well."""
MANY = 20
"""So many different things may be broken of one object before it counts as a fight."""
_PARTS = {
    What.ADDRESS: Part.LINKS,
    What.ROUTE: Part.LINKS,
    What.UPLINK: Part.LINKS,
    What.FORWARDING: Part.LINKS,
    What.RULES: Part.RULES,
    What.LOST: QUICK,
}


class Watch:
    """Follows the host and mends it, from `open` to `close`."""

    def __init__(
        self, store: Store, kernel: KernelThread, surveyor: Surveyor, repairer: Repairer, busy: Callable[[], frozenset[str]]
    ) -> None:
        """`busy` tells the containers that something is being done to."""
        self._store = store
        self._kernel = kernel
        self._surveyor = surveyor
        self._repairer = repairer
        self._busy = busy
        self._changes = Changes(self._heard)
        self._patience = Patience()
        self._long_patience = Patience(free=MANY)
        self._parts = Part(0)
        self._links: set[str] = set()
        self._mounts_noted = False
        self._wake = asyncio.Event()
        self._reported: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to listen, and look at everything once. If the host does not let us listen, the log says so, and that is all."""
        try:
            self._changes.open()
        except KernelError as error:
            logger.warning("what others change on this host is not noticed: %s", error)
            return
        self._look_at(Part.LINKS | Part.NAMESPACES)  # the rules have just been rendered
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Listen no more, and let a mend that is under way end."""
        self._changes.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _heard(self, change: Change) -> None:
        if change.what is What.LINK or (change.what in (What.ADDRESS, What.ROUTE) and change.name):
            self._links.add(change.name)
            self._wake.set()
        elif change.what is not What.MOUNTS:
            self._look_at(_PARTS[change.what])
        elif not self._mounts_noted:
            self._mounts_noted = True
            self._later(MOUNTS, Part.NAMESPACES)

    def _look_at(self, part: Part) -> None:
        if Part.NAMESPACES in part:
            self._mounts_noted = False
        self._parts |= part
        self._wake.set()

    def _later(self, seconds: float, part: Part) -> None:
        asyncio.get_running_loop().call_later(seconds, self._look_at, part)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(CALM)
            self._wake.clear()
            links, self._links = self._links, set()
            if links:
                await self._kernel.run(_nothing)  # what is being removed now is nobody's then
            parts, self._parts = self._parts | self._part_of(links), Part(0)
            try:
                if parts:
                    await self._look(parts)
            except Exception:
                logger.exception("could not compare the store with the host")

    def _part_of(self, links: set[str]) -> Part:
        """Return what to look at when these interfaces have changed: most are those of ended containers, and nobody's any more."""
        bridges = {network.bridge for network in self._store.networks()}
        owners = {endpoint.host_interface: endpoint.sandbox for endpoint in self._store.endpoints() if endpoint.attached} if links else {}
        for name in links & owners.keys():
            if not self._store.members(owners[name]):  # it is being started, or cleared away
                asyncio.get_running_loop().call_later(BUSY, self._heard, Change(What.LINK, name))
                links = links - {name}
        return Part.LINKS if links & (bridges | owners.keys()) else Part(0)

    async def _look(self, parts: Part) -> None:
        if Part.LINKS in parts:
            parts |= Part.NAMESPACES  # mending the one needs the other
            self._changes.follow(await self._kernel.run(self._surveyor.uplinks))
        busy = self._busy()
        differences = await self._kernel.run(partial(self._surveyor.differences, parts))
        judged = [difference for difference in differences if not difference.concerns(busy)]
        if len(judged) < len(differences):
            self._later(BUSY, parts)
        by_mend: dict[tuple[Mend, str], list[Difference]] = {}
        for difference in judged:
            by_mend.setdefault((difference.mend, difference.subject), []).append(difference)
        for together in by_mend.values():
            await self._deal_with(together, parts)
        self._reported &= {difference.sentence for difference in differences}

    async def _deal_with(self, differences: list[Difference], parts: Part) -> None:
        """Mend what one mend mends, if it may be done now."""
        first = differences[0]
        if first.mend in UNASKED:
            self._report(differences, first.mend.value)
            return
        name, now = f"{first.kind} {first.subject}", time.monotonic()
        if delay := max(self._patience.delay(first.sentence, now), self._long_patience.delay(name, now)):
            self._later(delay, parts)
            return
        if self._patience.spend(first.sentence, now) | self._long_patience.spend(name, now):
            logger.warning("%s again: somebody undoes what is mended, so from now on it is mended less and less often", _said(differences))
        try:
            await self._repairer.mend(first)
        except EngineError as error:
            self._report(differences, str(error))
            self._later(CALM, parts)
        else:
            logger.warning("mended: %s: %s", _said(differences), first.mend.value)

    def _report(self, differences: list[Difference], reason: str) -> None:
        """Say once what cannot be mended, in the log and in the containers' state."""
        for difference in differences:
            if difference.sentence not in self._reported:
                self._reported.add(difference.sentence)
                logger.error("cannot be mended: %s: %s", difference.sentence, reason)
            with contextlib.suppress(EngineError):  # a full disk
                self._repairer.mark(difference, reason)


def _nothing() -> None:
    """A job that only waits for those before it."""


def _said(differences: Sequence[Difference]) -> str:
    return "; ".join(difference.sentence for difference in differences)
