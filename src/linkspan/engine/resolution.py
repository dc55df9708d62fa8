"""Names: what the resolver knows of the containers, and that there is a resolver.

The resolver is a process of its own. The engine tells it what changes, and keeps copies of the sockets that it answers at: when it is
killed, questions wait in them for the next one. When the engine dies, the resolver goes on, and the next engine gets the sockets from it.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from functools import partial

from linkspan.config import Config
from linkspan.engine import naming
from linkspan.engine.host_names import HostNames
from linkspan.errors import EngineError, NotFound
from linkspan.kernel import nameservice, process
from linkspan.kernel.thread import KernelThread
from linkspan.model.container import Container
from linkspan.plan.nameservice import SERVER, ruleset
from linkspan.resolver import messages
from linkspan.resolver.hostfile import host_resolver
from linkspan.resolver.link import Link
from linkspan.resolver.listening import Listening
from linkspan.resolver.messages import Message, RefusedError, ResolverError
from linkspan.resolver.units import Sandbox, Unit, kind_of
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.05
"""Seconds before another resolver is started in place of one that has failed; doubled each time."""
LONGEST_DELAY = 30.0
PROBE = 1.0
"""Seconds that an answer may take when somebody wants to know whether there is one."""
ENOUGH = 10
"""Sandboxes without an answer, each of which costs that long, after which no others are tried."""
STARTING = 30.0
"""Seconds that a resolver has to begin."""

_Key = tuple[str, str]


class Resolution:
    """Keeps the resolver told. Used on the event loop only."""

    def __init__(self, config: Config, store: Store, kernel: KernelThread) -> None:
        self._config = config
        self._store = store
        self._kernel = kernel
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._watched: Link | None = None
        self._told: dict[_Key, Unit] = {}
        self._of: dict[str, frozenset[_Key]] = {}
        """What was told of each container."""
        self._listening: dict[str, Listening] = {}
        self._served: set[str] = set()
        """Those whose sockets this resolver has."""
        self._starting: set[str] = set()
        self._reviving: asyncio.Task[None] | None = None
        self._closed = False
        self._host_names = HostNames(config.hosts_file)

    async def open(self) -> None:
        """Take over the resolver of a former engine, if there is one. It goes on with what that one told it, until `taken_over`."""
        async with self._lock:
            try:
                link, self._watched = await asyncio.to_thread(self._connected)
                self._link = link
                stays = await asyncio.to_thread(self._adopt, link)
            except ResolverError as error:
                logger.debug("%s", error)
                stays = False
            if stays:
                self._watch()
            else:
                self._hang_up()

    async def taken_over(self) -> None:
        """Tell a resolver of a former engine how things are now; what that one told and what holds no more is forgotten."""
        async with self._lock:
            for sandbox in self._store.sandboxes():
                self._note(sandbox.id, self._units(sandbox.id))
            for stale in self._listening.keys() - {key for kind, key in self._told if kind == "sandbox"}:
                self._close_sockets(stale)
            if self._link or self._needed():
                await self._tell_everything()
            await self._host_names.keep(self._told.values())

    async def close(self) -> None:
        """Leave the resolver to the next engine; one that has nothing to do ends."""
        self._closed = True
        if self._reviving:
            self._reviving.cancel()
            await asyncio.gather(self._reviving, return_exceptions=True)
        async with self._lock:
            if self._link and not self._needed():
                with contextlib.suppress(ResolverError):
                    await asyncio.to_thread(self._link.ask, "end")
            self._hang_up()
            for sandbox in tuple(self._listening):
                self._close_sockets(sandbox)

    async def started(self, container: Container) -> None:
        """Let names be served in the namespace of a container that is about to run, and let the others know it.

        Raises EngineError if its namespace lets nobody listen. A resolver that cannot be started is said in the log, and tried again.
        """
        self._starting.add(container.id)
        await self._refresh(container.id)

    async def ended(self, container_ids: Iterable[str]) -> None:
        """Let nobody know any more those of the containers that nothing runs in."""
        for container_id in container_ids:
            self._starting.discard(container_id)
            await self.refresh(container_id)

    async def refresh(self, container_id: str) -> None:
        """Tell what has changed about a container: its name, its networks, whether it runs.

        What has changed has changed: a namespace that lets nobody listen is said in the log, and the doctor mends it.
        """
        try:
            await self._refresh(container_id)
        except EngineError as error:
            logger.error("no names for sandbox %s: %s", container_id[:12], error)  # noqa: TRY400  no bug of ours

    async def _refresh(self, container_id: str) -> None:
        async with self._lock:
            units = self._units(container_id)
            former = {key: self._told.get(key) for key in self._of.get(container_id, ())}
            changed = [unit for unit in units if self._told.get((kind_of(unit), unit.id)) != unit]
            self._note(container_id, units)
            gone = [key for key in former if key not in self._told]
            for kind, sandbox in gone:
                if kind == "sandbox":
                    self._close_sockets(sandbox)
            await self._tell(changed, gone)

    async def network_changed(self, network_id: str) -> None:
        """Tell what has changed for all who are on a network."""
        for endpoint in self._store.endpoints():
            if endpoint.network == network_id and endpoint.attached:
                await self.refresh(endpoint.sandbox)

    async def silent(self) -> list[str]:
        """Return sandboxes in which nobody answers questions, although we should; not all, if they are many."""
        sandboxes = [unit_id for kind, unit_id in self._told if kind == "sandbox"]
        found: list[str] = []
        for sandbox in sandboxes:
            if len(found) < ENOUGH and not await self._answers(sandbox):
                found.append(sandbox)
        return found

    async def serve_again(self, sandbox: str) -> None:
        """Open the sockets of a sandbox anew, with the rules that lead to them, in place of those that there were."""
        async with self._lock:
            if (unit := self._told.get(("sandbox", sandbox))) is None:
                return
            self._served.discard(sandbox)
            self._close_sockets(sandbox)
            await self._tell([unit], [])

    async def _answers(self, sandbox: str) -> bool:
        path = self._config.namespaces / sandbox
        try:
            return await self._kernel.run(partial(nameservice.answers, path, SERVER, PROBE))
        except EngineError:
            return True  # its namespace is gone: that is another finding, or it has just ended

    async def trace(self, container: Container, name: str, kind: int) -> Message:
        """Ask for a name as the container would, and return each step; raises NotFound if names are not served in its namespace."""
        if container.sandbox not in self._listening:
            raise NotFound(f"container {container.name} is on no network with names: it asks the servers of its /etc/resolv.conf itself")
        return await asyncio.to_thread(self._ask_apart, "trace", {"id": container.sandbox, "name": name, "type": kind})

    async def status(self) -> Message:
        """Return the resolver's figures, none if there is no resolver."""
        if self._link is None:
            return {}
        return await asyncio.to_thread(self._ask_apart, "status", {})

    def _ask_apart(self, operation: str, fields: Message) -> Message:
        """Ask by a connection of its own: it may take as long as other servers do."""
        with Link(self._config.exec_root, patience=60) as link:
            return link.ask(operation, (), **fields)

    def _units(self, sandbox: str) -> list[Unit]:
        """Return what is to be told of a container's own sandbox; nothing if nobody runs in it."""
        members = self._store.members(sandbox)
        container = self._store.container(sandbox) or next(iter(members), None)
        if container is None or not (members or sandbox in self._starting):
            return []
        attached = [
            (network, endpoint)
            for endpoint in self._store.endpoints_of(sandbox)
            if endpoint.attached and (network := self._store.network(endpoint.network))
        ]
        # Who is told to ask us goes on to do so when its last network with names is taken away: its resolv.conf stays (semantics 3.9).
        if sandbox not in self._listening and not naming.is_served(attached, self._config):
            return []
        options = host_resolver(self._config.resolv_conf).options
        return naming.told(naming.Place(container=container, sandbox=sandbox, attached=attached, host_options=options), self._config)

    def _note(self, container_id: str, units: Sequence[Unit]) -> None:
        """Remember what is told of a container; networks that nobody is on any more are forgotten."""
        keys = frozenset((kind_of(unit), unit.id) for unit in units)
        gone = self._of.pop(container_id, frozenset()) - keys
        if keys:
            self._of[container_id] = keys
            if container_id in self._starting and self._store.members(container_id):
                self._starting.discard(container_id)
        for key in gone:
            if key[0] != "network" or not any(key in others for others in self._of.values()):
                self._told.pop(key, None)
        self._told.update({(kind_of(unit), unit.id): unit for unit in units})

    def _needed(self) -> bool:
        return any(kind == "sandbox" for kind, _ in self._told)

    async def _tell(self, changed: Sequence[Unit], gone: Sequence[_Key]) -> None:
        """Tell changes; whatever hinders it, the next resolver is told everything. Raises EngineError where nobody can listen."""
        if not changed and not gone:
            return
        await self._host_names.keep(self._told.values())
        served = next((unit.id for unit in changed if isinstance(unit, Sandbox)), "")
        failure: EngineError | None = None
        if served and served not in self._listening:
            try:
                await self._listen(served)
            except EngineError as error:
                failure = error
        await self._pass_on(changed, gone)
        if failure:
            raise failure

    async def _pass_on(self, changed: Sequence[Unit], gone: Sequence[_Key]) -> None:
        if self._reviving and not self._reviving.done():
            return
        try:
            if self._link is None:
                if self._needed():
                    await self._begin()
            else:
                await asyncio.to_thread(self._put, self._link, changed, gone)
        except RefusedError as error:
            logger.error("names are not as they should be: %s", error)  # noqa: TRY400  all others are served
        except (EngineError, OSError) as error:
            self._failed(error)

    async def _listen(self, sandbox: str) -> None:
        """Open the sockets of a sandbox."""
        path = self._config.namespaces / sandbox
        self._listening[sandbox] = Listening(*await self._kernel.run(partial(nameservice.open_sockets, path, SERVER, ruleset)))

    def _put(self, link: Link, changed: Sequence[Unit], gone: Sequence[_Key] = ()) -> None:
        """Tell changes, with the sockets of the sandbox among them if this resolver has not got them yet."""
        self._served.difference_update(unit_id for kind, unit_id in gone if kind == "sandbox")
        changed = [unit for unit in changed if not isinstance(unit, Sandbox) or unit.id in self._listening]
        sandbox = next((unit.id for unit in changed if isinstance(unit, Sandbox)), "")
        if not sandbox or sandbox in self._served:
            if changed or gone:
                link.change(changed, gone)
            return
        link.change(changed, gone, files=self._listening[sandbox].files)
        self._served.add(sandbox)

    async def _begin(self) -> None:
        """Start a resolver, and tell it everything."""
        await self._start()
        self._link, self._watched = await asyncio.to_thread(self._connected)
        self._watch()
        await self._tell_everything()

    async def _start(self) -> None:
        """Start a resolver in place of any that there is: one that lives and does not answer must not answer others any more."""
        config = self._config
        await asyncio.to_thread(self._end_others)
        flags = ("--exec-root", config.exec_root, "--resolv-conf", config.resolv_conf.absolute(), "--log-level", config.log_level)
        child = await process.start(sys.executable, "-m", "linkspan", "resolver", *flags, stderr=sys.stderr)
        try:
            async with asyncio.timeout(STARTING):
                status = await child.wait()
        except TimeoutError as error:
            child.kill()
            raise ResolverError("the resolver does not start") from error
        if status:
            raise ResolverError(f"the resolver did not start: exit status {status}")

    def _end_others(self) -> None:
        for pid, start in process.naming(f"\0resolver\0--exec-root\0{self._config.exec_root}\0"):
            process.kill(pid, start, signal.SIGKILL)

    async def _tell_everything(self) -> None:
        """Tell all there is. Sockets that are not there are opened: neither the former engine nor the former resolver lives."""
        for kind, sandbox in tuple(self._told):
            if kind == "sandbox" and sandbox not in self._listening:
                try:
                    await self._listen(sandbox)
                except EngineError as error:
                    logger.error("no names for sandbox %s: %s", sandbox[:12], error)  # noqa: TRY400  no bug of ours
        if self._link is None:
            await self._begin()
        else:
            await asyncio.to_thread(self._put_everything, self._link, tuple(self._told.values()))

    def _put_everything(self, link: Link, units: Sequence[Unit]) -> None:
        """Tell all units, those who ask last: what waits in their sockets is answered by all that there is to know."""
        link.ask("begin")
        for unit in sorted(units, key=lambda unit: isinstance(unit, Sandbox)):
            try:
                self._put(link, [unit])
            except RefusedError as error:
                logger.error("names are not as they should be: %s", error)  # noqa: TRY400  all others are served
        link.ask("commit")

    def _connected(self) -> tuple[Link, Link]:
        """Return the connection that is asked, and the one that is watched."""
        link = Link(self._config.exec_root)
        try:
            return link, Link(self._config.exec_root)
        except ResolverError:
            link.close()
            raise

    def _adopt(self, link: Link) -> bool:
        """Get copies of the sockets of a resolver that runs; tells whether it can stay, or is of another version."""
        hello = link.ask("hello")
        for sandbox in list(link.held()):
            self._listening[sandbox] = link.listening(sandbox)
        logger.info("took over the sockets of %d containers from resolver %s", len(self._listening), hello.get("pid"))
        if hello.get("protocol") == messages.PROTOCOL:
            self._served.update(self._listening)
            return True
        link.ask("end")
        return False

    def _watch(self) -> None:
        """Hear of the resolver's end: a connection that asks nothing is readable then."""
        if self._watched:
            asyncio.get_running_loop().add_reader(self._watched.fileno(), self._failed, ResolverError("the resolver has ended"))

    def _hang_up(self) -> None:
        if self._watched:
            with contextlib.suppress(RuntimeError):  # no loop: the connection is not watched yet
                asyncio.get_running_loop().remove_reader(self._watched.fileno())
            self._watched.close()
        if self._link:
            self._link.close()
        self._link = self._watched = None
        self._served.clear()

    def _failed(self, error: Exception) -> None:
        """Go on without this resolver, and start another one if anybody needs it."""
        self._hang_up()
        if self._closed or (self._reviving and not self._reviving.done()):
            return
        if self._needed():
            logger.warning("%s; starting another one", error)
            self._reviving = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                async with self._lock:
                    if self._needed():
                        await self._begin()
            except (EngineError, OSError) as error:
                logger.error("names are not served: %s", error)  # noqa: TRY400  no bug of ours
                self._hang_up()
            else:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    def _close_sockets(self, sandbox: str) -> None:
        if listening := self._listening.pop(sandbox, None):
            listening.close()
