"""`linkspan daemon --doctor`: the examination when no engine answers. It reads the store, if there is one, and changes nothing."""

import asyncio
from dataclasses import replace

from linkspan.config import Config
from linkspan.diagnose import host
from linkspan.drivers.base import Driver
from linkspan.drivers.bridge import BridgeDriver
from linkspan.drivers.unwired import UnwiredDriver
from linkspan.engine.files import ContainerFiles
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.survey import EVERYTHING, Surveyor
from linkspan.errors import Conflict
from linkspan.kernel.nft import Firewall
from linkspan.model.finding import Finding, Level, Report
from linkspan.plan.diagnosis import finding
from linkspan.store.base import Store
from linkspan.store.sqlite import SqliteStore

START = "linkspan up"


async def examine(config: Config) -> Report:
    """Look at the host, and at what the last engine left. Raises EngineError if its store cannot be read."""
    path = config.data_root / "linkspan.db"
    if not path.exists():
        return Report(engine=False, findings=(_no_engine(running=0), *await host.examine(config, (), endpoints=())))
    try:
        store = SqliteStore(path)
    except Conflict as error:
        silent = Finding(
            kind="engine-silent",
            what=f"an engine runs and does not answer at {config.sockets[0]}: {error}",
            why="no command reaches it; its containers go on",
            remedy="look into its log, and at the socket that was asked (-H, LINKSPAN_HOST)",
        )
        return Report(engine=False, findings=(silent, *await host.examine(config, (), endpoints=())))
    try:
        return await _with_store(config, store)
    finally:
        store.close()


async def _with_store(config: Config, store: Store) -> Report:
    surveyor = _surveyor(config, store)
    differences = surveyor.differences(EVERYTHING, surveyor.insides(surveyor.attached())) + surveyor.strays()
    running = sum(container.state.running for container in store.containers())
    left = (replace(finding(difference), remedy=START, repairable=False) for difference in differences)
    return Report(
        engine=False,
        findings=(
            _no_engine(running=running),
            *left,
            *await host.examine(config, surveyor.networks(), endpoints=surveyor.attached()),
        ),
    )


def _surveyor(config: Config, store: Store) -> Surveyor:
    rules = Firewall()
    drivers: dict[str, Driver] = {"bridge": BridgeDriver(rules), "host": UnwiredDriver("host"), "null": UnwiredDriver("null")}
    sandboxes = Sandboxes(config, store, rules, drivers)
    return Surveyor(config, store, rules, drivers, (sandboxes, ContainerFiles(config, store, sandboxes), None))


def _no_engine(*, running: int) -> Finding:
    """Not a fault as long as nobody needs one."""
    needed = f"{running} containers run: " if running else ""
    return Finding(
        kind="no-engine",
        what="no engine runs",
        why=f"{needed}nothing restarts or mends them, and no command reaches them"
        if running
        else "commands need one; containers go on without",
        remedy=START,
        level=Level.PROBLEM if running else Level.NOTE,
    )


def report(config: Config) -> Report:
    """Return what `examine` finds."""
    return asyncio.run(examine(config))
