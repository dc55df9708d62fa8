"""The engine: its parts, put together once."""

import asyncio
import contextlib
import logging
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.drivers.bridge import BridgeDriver
from linkspan.drivers.unwired import UnwiredDriver
from linkspan.engine.cleanup import Cleanup
from linkspan.engine.connections import Connections
from linkspan.engine.containers import Containers
from linkspan.engine.events import Events
from linkspan.engine.execs import Execs
from linkspan.engine.files import ContainerFiles
from linkspan.engine.images import Images
from linkspan.engine.launch import Launcher
from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.networks import Networks
from linkspan.engine.resolution import Resolution
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.streams import Streams
from linkspan.engine.system import System, Tools
from linkspan.engine.tracing import Tracer
from linkspan.engine.upkeep import Upkeep
from linkspan.errors import EngineError
from linkspan.images.store import ImageStore
from linkspan.kernel import process
from linkspan.kernel.claim import claim_folder, claim_network
from linkspan.kernel.nft import Firewall
from linkspan.kernel.thread import KernelThread
from linkspan.runtime.monitor import Runtime
from linkspan.runtime.oci import choose_runtime
from linkspan.store.base import Store
from linkspan.store.sqlite import SqliteStore

logger = logging.getLogger(__name__)

UNGUARDED = "this kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): a container can take another's MAC and address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What the API serves. Open it with `open_engine`, end it with `close`."""

    config: Config
    containers: Containers
    lifecycle: Lifecycle
    streams: Streams
    execs: Execs
    networks: Networks
    connections: Connections
    images: Images
    events: Events
    system: System
    upkeep: Upkeep
    resolution: Resolution
    tracer: Tracer
    _store: Store
    _kernel: KernelThread
    _claims: contextlib.ExitStack

    async def close(self) -> None:
        """Stop serving; containers and their traffic go on unless the settings say otherwise."""
        async with contextlib.AsyncExitStack() as steps:  # each of them, whatever the others do; the last one first
            steps.callback(self._claims.close)
            steps.push_async_callback(asyncio.to_thread, self._kernel.stop)
            steps.callback(self.events.close)
            steps.push_async_callback(self.resolution.close)
            steps.push_async_callback(self.lifecycle.shut_down)
            steps.push_async_callback(self.networks.close)
            steps.push_async_callback(self.upkeep.close)


async def open_engine(config: Config) -> Engine:
    """Put the engine together and make the host as the store wants it.

    Raises EngineError if a root, the store, a program or the network is not fit; nothing that runs is touched then.
    """
    process.watch_children()
    _make_roots(config)
    # Without its store, an engine would take the folders of all containers for nobody's.
    folders = any(not folder.name.startswith(".") for folder in (config.data_root / "containers").iterdir())
    with contextlib.ExitStack() as claims:
        store = SqliteStore(config.data_root / "linkspan.db", expected=folders)
        claims.callback(store.close)
        claims.enter_context(claim_folder(config.exec_root))
        claims.enter_context(claim_network())
        kernel = KernelThread()
        claims.callback(kernel.stop)
        return await _assemble(config, store, kernel, claims)


async def _assemble(config: Config, store: Store, kernel: KernelThread, claims: contextlib.ExitStack) -> Engine:
    choice = await choose_runtime(config.runtime)
    logger.info("%s: %s", choice.name, choice.reason)
    rules = await kernel.run(Firewall)
    drivers: dict[str, Driver] = {"bridge": BridgeDriver(rules), "host": UnwiredDriver("host"), "null": UnwiredDriver("null")}
    sandboxes = Sandboxes(config, store, rules, drivers)
    files = ContainerFiles(config, store, sandboxes)
    events = Events()
    images = ImageStore(
        config.data_root / "images", insecure_registries=config.insecure_registries, events=partial(events.publish, "image")
    )
    if store.setting("id") is None:
        store.put_setting("id", str(uuid.uuid4()))
    facade = Images(images, store)
    runtime = Runtime(choice, config.exec_root, files.folder)
    streams = Streams(store, runtime, files.log)
    cleanup = Cleanup(store, kernel, runtime, (sandboxes, files))
    parts = (sandboxes, files, streams, events, cleanup, Resolution(config, store, kernel))
    lifecycle = Lifecycle(config, store, runtime, Launcher(store, kernel, runtime, images, parts), cleanup)
    networks = Networks(config, store, kernel, drivers, (sandboxes, events, lifecycle.resolution))
    execs = Execs(store, runtime, events)

    await images.open()
    await kernel.run(partial(_open_networks, rules, sandboxes, networks))
    upkeep = Upkeep(config, store, kernel, (sandboxes, files, runtime, lifecycle, cleanup), (rules, drivers))
    await upkeep.open()
    await images.discard_unused_roots(facade.users)
    networks.follow()
    system = System(config=config, lacking=_lacking(rules), store=store, images=images, runtime=choice, tools=Tools(choice))
    return Engine(
        config=config,
        containers=Containers(config, store, kernel, runtime, images, (files, lifecycle, execs, sandboxes)),
        lifecycle=lifecycle,
        streams=streams,
        execs=execs,
        networks=networks,
        connections=Connections(store, kernel, (sandboxes, files, lifecycle)),
        images=facade,
        events=events,
        system=system,
        upkeep=upkeep,
        resolution=lifecycle.resolution,
        tracer=Tracer(store, files, lifecycle.resolution),
        _store=store,
        _kernel=kernel,
        _claims=claims.pop_all(),
    )


def _lacking(rules: Firewall) -> tuple[str, ...]:
    """Return what the host cannot do, in sentences, and say it in the log."""
    if rules.sees_frames:
        return ()
    logger.warning("%s", UNGUARDED)
    return (UNGUARDED,)


def _open_networks(rules: Firewall, sandboxes: Sandboxes, networks: Networks) -> None:
    """Render the ruleset before the bridges are up, and once more if the networks are not what they were."""
    rules.apply(sandboxes.ruleset())
    if networks.open():
        rules.apply(sandboxes.ruleset())


def _make_roots(config: Config) -> None:
    """Make the engine's folders: nobody but root looks into them, and the socket's group only passes through."""
    private = (
        config.data_root,
        config.data_root / "containers",
        config.namespaces,
        *(config.exec_root / name for name in ("monitor", "runtime")),
    )
    modes = dict.fromkeys(private, 0o700) | {config.exec_root: 0o711}
    for folder, mode in modes.items():
        _make_folder(folder, mode)


def _make_folder(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    except OSError as error:
        raise EngineError(f"cannot use the folder {folder}: {error.strerror}") from error
