"""Taking off the host what the engine made there: after `linkspan down --purge` nothing but the data root is left."""

import contextlib
import shutil

from linkspan.config import Config
from linkspan.engine.forwarding import switch_back
from linkspan.engine.host_names import HostNames
from linkspan.errors import Conflict
from linkspan.kernel import link, mount, netns, process
from linkspan.kernel.claim import claim_folder, claim_network
from linkspan.kernel.nft import Firewall
from linkspan.plan.firewall import table_removal
from linkspan.plan.guard import guard_removal
from linkspan.resolver.link import Link
from linkspan.resolver.messages import ResolverError
from linkspan.store.sqlite import SqliteStore


def purge(config: Config) -> None:
    """Remove the rules, interfaces, namespaces, mounts and the exec root, and switch forwarding off if we switched it on.

    Images and containers stay.

    Raises Conflict if an engine or a container runs. Idempotent.
    """
    with contextlib.ExitStack() as claims:
        store = SqliteStore(config.data_root / "linkspan.db")
        claims.callback(store.close)
        if config.exec_root.exists():
            claims.enter_context(claim_folder(config.exec_root))
        claims.enter_context(claim_network())
        states = {container.name: container.state for container in store.containers() if container.state.running}
        alive = [name for name, state in states.items() if process.is_alive(state.monitor_pid, state.monitor_start)]
        if alive:
            raise Conflict(f"containers run: {', '.join(sorted(alive))}; stop them first")
        with contextlib.suppress(ResolverError), Link(config.exec_root) as resolver:
            resolver.ask("end")
        HostNames(config.hosts_file).write(())
        rules = Firewall()
        rules.apply(table_removal() + (guard_removal() if rules.sees_frames else ""))
        link.delete_many([name for name, _, _ in link.list_ours()])
        for mounted in mount.mounts_under(config.data_root / "containers"):
            mount.unmount(mounted)
        for namespace in config.namespaces.glob("*"):
            netns.delete(namespace)
        switch_back(store)
        shutil.rmtree(config.exec_root, ignore_errors=True)
