"""Looking at the store and at the host, for the one comparison of the two."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Flag, auto
from pathlib import Path

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.files import ContainerFiles
from linkspan.engine.forwarding import Forwarding
from linkspan.engine.sandboxes import Sandboxes
from linkspan.errors import KernelError, NotFound
from linkspan.kernel import mount, netns, nft, process, survey, sysctl
from linkspan.kernel.nft import Firewall
from linkspan.model.endpoint import HOST_SANDBOX, Endpoint
from linkspan.model.host import InsideState
from linkspan.model.network import Network
from linkspan.plan import firewall, guard
from linkspan.plan.converge import Difference, Found, Port, PortMode, Wanted, compare, strays
from linkspan.plan.listing import Listing
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store


class Part(Flag):
    """What to look at. The first three cost little, also with many containers."""

    LINKS = auto()
    """Interfaces of the host with addresses and routes, and settings of the kernel."""
    NAMESPACES = auto()
    RULES = auto()
    RUNS = auto()
    """Monitors of running containers."""


QUICK = Part.LINKS | Part.NAMESPACES | Part.RULES
EVERYTHING = QUICK | Part.RUNS


class Surveyor:
    """Compares the store with the kernel. Used on the kernel thread, so that nothing changes meanwhile."""

    def __init__(
        self,
        config: Config,
        store: Store,
        rules: Firewall,
        drivers: Mapping[str, Driver],
        parts: tuple[Sandboxes, ContainerFiles, Runtime | None],
    ) -> None:
        """Without a runtime, what it knows is not looked at."""
        self._config = config
        self._store = store
        self._rules = rules
        self._drivers = drivers
        self._sandboxes, self._files, self._runtime = parts
        self._forwarding = Forwarding(config, store)
        self._scratch: Firewall | None = None

    def differences(self, part: Part, insides: Mapping[str, InsideState | None] | None = None) -> tuple[Difference, ...]:
        """Return what the kernel has otherwise than the store wants it, in the order in which it can be mended.

        Interfaces in their namespaces are as `insides` says.
        """
        if part is Part.NAMESPACES and self._all_bound():
            return ()  # after every mount of anybody
        networks = self.networks() if Part.LINKS in part else ()
        wanted = replace(
            self._wanted(),
            networks=networks,
            adopted=frozenset({self._config.bridge, *(network.bridge for network in networks if network.adopted)} - {""}),
            ports=tuple(self._ports(networks)),
            rules=self._rules_wanted() if Part.RULES in part else {},
            settings=self._settings(networks),
        )
        return compare(wanted, replace(self._found(part, wanted), insides=insides))

    def networks(self) -> tuple[Network, ...]:
        """Return the networks that this engine keeps a bridge for, as the host can have them: with --bridge=none there is none."""
        bridged = (network for network in self._store.networks() if network.bridge)
        return () if self._config.bridge == "none" else tuple(self._drivers[network.driver].possible(network) for network in bridged)

    def uplinks(self) -> tuple[int, ...]:
        """Return the indexes of the interfaces that lead out of the host: what becomes of their MTU concerns the networks."""
        return survey.uplinks()

    def attached(self) -> tuple[Endpoint, ...]:
        """Return the endpoints that can be looked at from inside."""
        bound = self._bound(sandbox.id for sandbox in self._store.sandboxes())
        return tuple(endpoint for endpoint in self._store.endpoints() if endpoint.attached and endpoint.sandbox in bound)

    def insides(self, endpoints: Iterable[Endpoint]) -> dict[str, InsideState | None]:
        """Look at the endpoints' interfaces in their namespaces: about 3 ms for each."""
        found: dict[str, InsideState | None] = {}
        for endpoint in endpoints:
            with contextlib.suppress(NotFound):  # the namespace is gone: that is said elsewhere
                found[endpoint.id] = survey.inside(self._sandboxes.path(endpoint.sandbox), endpoint.interface)
        return found

    def misled(self) -> tuple[Difference, ...]:
        """Return what differs inside of sandboxes with several endpoints: a connect or disconnect may have begun, and did not end."""
        several = [endpoint for endpoint in self.attached() if len(self._store.endpoints_of(endpoint.sandbox)) > 1]
        return self.differences(Part.LINKS, self.insides(several)) if several else ()

    def strays(self) -> tuple[Difference, ...]:
        """Return what carries our mark or lies under our roots, and nobody owns."""
        known_networks = self._store.networks()
        wanted = replace(self._wanted(), networks=known_networks, ports=tuple(self._ports(known_networks)))
        folder = self._sandboxes.path("any").parent
        known = wanted.sandboxes.keys() - {HOST_SANDBOX}
        found = Found(
            links=survey.links(),
            namespaces=dict.fromkeys(known | _names(folder), True),
            mounted=self._mounted(),
            folders=_names(self._files.folder),
            processes=self._runtime.ids() if self._runtime else frozenset(),
        )
        return strays(wanted, found)

    def _is_orphan(self, endpoint: Endpoint) -> bool:
        """Whether its container is not on its network: a connect has begun, and did not end."""
        owner = self._store.container(endpoint.sandbox)
        return owner is not None and self._sandboxes.endpoints.attachments.on(owner, endpoint.network) is None

    def _wanted(self) -> Wanted:
        containers = self._store.containers()
        return Wanted(
            sandboxes={sandbox.id: tuple(member.id for member in self._store.members(sandbox.id)) for sandbox in self._store.sandboxes()},
            running={container.id: container.name for container in containers if container.state.running},
            containers=frozenset(container.id for container in containers),
            unplugged=tuple(endpoint for endpoint in self._store.endpoints() if not endpoint.attached),
            orphans=tuple(filter(self._is_orphan, self._store.endpoints())),
        )

    def _found(self, part: Part, wanted: Wanted) -> Found:
        looked = Part.LINKS in part
        tables = survey.main_tables() if looked else []
        return Found(
            links=survey.links() if looked else None,
            addresses=survey.addresses() if looked else {},
            routes=survey.routes(tables) if looked else frozenset(),
            egress_mtu=survey.egress_mtu(tables) if looked else None,
            settings=_present(wanted.settings),
            namespaces=dict.fromkeys(self._bound(wanted.sandboxes), True) if Part.NAMESPACES in part else None,
            rules={table: Listing.parse(self._rules.dump(table)) for table in wanted.rules},
            monitored=self._monitored() if Part.RUNS in part else None,
        )

    def _ports(self, networks: Iterable[Network]) -> Iterator[Port]:
        by_id = {network.id: network for network in networks}
        modes: dict[str, PortMode] = {}
        for endpoint in self._store.endpoints():
            if endpoint.attached and (network := by_id.get(endpoint.network)) and not self._is_orphan(endpoint):
                if network.id not in modes:  # most of a thousand networks are empty
                    modes[network.id] = self._drivers[network.driver].port(network)
                yield Port(endpoint=endpoint, network=network, mode=modes[network.id])

    def _settings(self, networks: Iterable[Network]) -> dict[str, str]:
        settings: dict[str, str] = {}
        for network in networks:
            settings |= self._drivers[network.driver].settings(network)
        return settings | self._forwarding.wanted(networks)

    def _all_bound(self) -> bool:
        sandboxes = [sandbox.id for sandbox in self._store.sandboxes()]
        return len(self._bound(sandboxes)) == len(sandboxes)

    def _bound(self, sandboxes: Iterable[str]) -> frozenset[str]:
        return netns.existing(self._sandboxes.path("any").parent, sandboxes)

    def _mounted(self) -> frozenset[str]:
        folder = self._files.folder
        return frozenset(point.relative_to(folder).parts[0] for point in mount.mounts_under(folder))

    def _monitored(self) -> frozenset[str]:
        states = {container.id: container.state for container in self._store.containers() if container.state.running}
        return frozenset(name for name, state in states.items() if process.is_alive(state.monitor_pid, state.monitor_start))

    def _rules_wanted(self) -> dict[str, Listing]:
        """Let nftables itself say how it lists our ruleset, so that there is nothing between the two texts but differences."""
        if self._scratch is None:
            self._scratch = nft.scratch()
        self._scratch.apply(self._sandboxes.ruleset())
        tables = (firewall.TABLE, guard.TABLE) if self._rules.sees_frames else (firewall.TABLE,)
        return {table: Listing.parse(self._scratch.dump(table)) for table in tables}


def _present(settings: Iterable[str]) -> dict[str, str]:
    found = {}
    for key in settings:
        with contextlib.suppress(KernelError):  # its interface is gone: that is said elsewhere
            found[key] = sysctl.get(key)
    return found


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir()) if folder.is_dir() else frozenset()
