"""What differs between the store and the kernel, and what mends it.

The one comparison: start-up, the watch for accidents, `doctor`, `doctor --repair` and the tests all ask it. It is pure: somebody
else has read the store (`Wanted`) and looked at the host (`Found`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from linkspan.model.endpoint import Endpoint
from linkspan.model.host import InsideState, LinkState
from linkspan.model.network import IPInterface, IPNetwork, Network
from linkspan.plan import listing
from linkspan.plan.listing import Listing


class Mend(StrEnum):
    """What mends a difference, in the order in which it is done: what comes later builds on what comes first."""

    SETTING = "set the kernel's setting"
    RULES = "render the ruleset anew"
    MTU = "give it the MTU of the host's ways out"
    NETWORK = "make what is missing of the network"
    NAMESPACE = "bind the namespace to its file again"
    ENDPOINT = "make the interface anew"
    PORT = "put the interface back on its bridge"
    INSIDE = "configure the interface in its namespace"
    PROCESS = "end the process"
    NAMESPACE_AWAY = "let the namespace go"
    LINK_AWAY = "delete the interface"
    MOUNT_AWAY = "unmount it"
    FOLDER_AWAY = "remove the folder"
    ADDRESS_AWAY = "give the address back"
    RESTART = "restart the container"
    ADMIN = "nothing of ours: the interface belongs to somebody else"
    """These two are never done: the first not unasked, the second not at all."""


_COMMON = frozenset({Mend.SETTING, Mend.MTU, Mend.NETWORK, Mend.RULES, Mend.ADMIN})
"""What concerns a whole network, or all of them."""


class Kind(StrEnum):
    """What is not as it should be."""

    SETTING = "setting"
    BRIDGE_GONE = "bridge-gone"
    BRIDGE_FOREIGN = "bridge-foreign"
    BRIDGE_DOWN = "bridge-down"
    BRIDGE_ADDRESS = "bridge-address"
    BRIDGE_ROUTE = "bridge-route"
    BRIDGE_MTU = "bridge-mtu"
    NETWORK_MTU = "network-mtu"
    NAMESPACE_GONE = "namespace-gone"
    INTERFACE_GONE = "interface-gone"
    PORT_LOOSE = "port-loose"
    PORT_DOWN = "port-down"
    PORT_MODE = "port-mode"
    INSIDE_GONE = "inside-gone"
    INSIDE_DOWN = "inside-down"
    INSIDE_ADDRESS = "inside-address"
    INSIDE_ROUTE = "inside-route"
    RULES = "rules"
    MONITOR_GONE = "monitor-gone"
    STRAY_LINK = "stray-interface"
    STRAY_NAMESPACE = "stray-namespace"
    STRAY_MOUNT = "stray-mount"
    STRAY_FOLDER = "stray-folder"
    STRAY_PROCESS = "stray-process"
    STRAY_ADDRESS = "stray-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the kernel has otherwise than the store wants it."""

    kind: Kind
    mend: Mend
    subject: str
    """What is to be mended: the id of a network, endpoint, sandbox or container, the name of an interface, a key of sysctl."""
    sentence: str
    containers: tuple[str, ...] = ()
    """The ids of those that it cuts off."""

    def concerns(self, containers: frozenset[str]) -> bool:
        """Whether it is about one of these containers alone: then it says nothing while they start or end."""
        return self.mend not in _COMMON and not containers.isdisjoint((self.subject, *self.containers))


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMode:
    """How the ports of a bridge are set; both are off for most hosts."""

    hairpin: bool = False
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An endpoint that should be plugged in."""

    endpoint: Endpoint
    network: Network
    mode: PortMode = field(default_factory=PortMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the store wants of the host."""

    networks: tuple[Network, ...] = ()
    """Those that have a bridge."""
    adopted: frozenset[str] = frozenset()
    """The bridges that the settings name: they belong to the administrator."""
    ports: tuple[Port, ...] = ()
    sandboxes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Every sandbox, with the ids of the running containers in it."""
    running: Mapping[str, str] = field(default_factory=dict)
    """The names of the containers that run, by id."""
    containers: frozenset[str] = frozenset()
    """The ids of all of them."""
    unplugged: tuple[Endpoint, ...] = ()
    """Endpoints without an interface, which keep their address for a container that does not run."""
    orphans: tuple[Endpoint, ...] = ()
    """Endpoints on a network that their container is not on."""
    rules: Mapping[str, Listing] = field(default_factory=dict)
    """Our tables of nftables; none: not to be compared."""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the host has. What is None was not looked at."""

    links: Mapping[str, LinkState] | None = None
    addresses: Mapping[int, tuple[IPInterface, ...]] = field(default_factory=dict)
    """By the interface's index."""
    egress_mtu: int | None = None
    """The smallest MTU of the host's ways out; None: there are none, or they were not looked at."""
    routes: frozenset[tuple[IPNetwork, int]] = frozenset()
    """Of the main table: where to, by which interface."""
    namespaces: Mapping[str, bool] | None = None
    """The files in the folder of namespaces, and whether there is a namespace at each."""
    insides: Mapping[str, InsideState | None] | None = None
    """By endpoint; its value is None if the namespace has no such interface."""
    rules: Mapping[str, Listing] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    mounted: frozenset[str] = frozenset()
    """The containers whose root file system is mounted: only while they are being started."""
    monitored: frozenset[str] | None = None
    """Those whose monitor lives."""
    folders: frozenset[str] = frozenset()
    """Those that have a folder under the data root."""
    processes: frozenset[str] = frozenset()
    """Those that the runtime knows."""


def compare(wanted: Wanted, found: Found) -> tuple[Difference, ...]:
    """Return what differs, in the order in which it can be mended."""
    differences = [*_settings(wanted, found), *_rules(wanted, found), *_namespaces(wanted, found), *_runs(wanted, found)]
    if found.links is not None:
        for network in wanted.networks:
            differences += _network(network, wanted, found, found.links)
        for port in wanted.ports:
            differences += _port(port, wanted, found, found.links)
    order = {mend: place for place, mend in enumerate(Mend)}
    return tuple(sorted(differences, key=lambda difference: order[difference.mend]))


def strays(wanted: Wanted, found: Found) -> tuple[Difference, ...]:
    """Return what carries our mark or lies under our roots, and nobody owns."""
    return (*_stray_processes(wanted, found), *_stray_namespaces(wanted, found), *_stray_links(wanted, found), *_stray_files(wanted, found))


def _settings(wanted: Wanted, found: Found) -> Iterator[Difference]:
    foreign = [f"/{network.bridge}/" for network in wanted.networks if found.links and _is_foreign(network, wanted, found.links)]
    for key, value in wanted.settings.items():
        present = found.settings.get(key)
        if present is not None and present != value and not any(name in key for name in foreign):
            sentence = f"the setting {key.replace('/', '.')} is {present}, not {value}"
            yield Difference(kind=Kind.SETTING, mend=Mend.SETTING, subject=key, sentence=sentence, containers=tuple(wanted.running))


def _rules(wanted: Wanted, found: Found) -> Iterator[Difference]:
    for table, rules in wanted.rules.items():
        sentences = list(listing.differences(rules, found.rules.get(table, Listing())))
        if sentences:
            more = f", and {len(sentences) - 3} more" if len(sentences) > 3 else ""
            sentence = f"the table {table} is not as it should be: {'; '.join(sentences[:3])}{more}"
            yield Difference(kind=Kind.RULES, mend=Mend.RULES, subject="ruleset", sentence=sentence, containers=tuple(wanted.running))


def _network(network: Network, wanted: Wanted, found: Found, links: Mapping[str, LinkState]) -> Iterator[Difference]:
    name, bridge = network.bridge, links.get(network.bridge)
    theirs = name in wanted.adopted

    def differs(kind: Kind, sentence: str, mend: Mend = Mend.NETWORK) -> Difference:
        members = (wanted.sandboxes.get(port.endpoint.sandbox, ()) for port in wanted.ports if port.network.id == network.id)
        return Difference(kind=kind, mend=mend, subject=network.id, sentence=sentence, containers=tuple(chain.from_iterable(members)))

    if bridge is None:
        yield differs(Kind.BRIDGE_GONE, f"the bridge {name} of network {network.name} is gone", Mend.ADMIN if theirs else Mend.NETWORK)
    elif _is_foreign(network, wanted, links):
        yield differs(Kind.BRIDGE_FOREIGN, f"the interface {name} is not the bridge that network {network.name} had", Mend.ADMIN)
    else:
        if (fitted := network.fitted(found.egress_mtu)) != network:
            fact = f"network {network.name} has an MTU of {network.mtu}, and the smallest way out of the host one of {found.egress_mtu}"
            yield differs(Kind.NETWORK_MTU, fact if fitted.mtu == found.egress_mtu else f"{fact}: it should be {fitted.mtu}", Mend.MTU)
        if not theirs and bridge.mtu > network.mtu:  # the kernel lowers it to the lowest of its ports
            yield differs(Kind.BRIDGE_MTU, f"the bridge {name} has an MTU of {bridge.mtu}, not {network.mtu}")
        for kind, sentence in _bridge(network, bridge, found):
            yield differs(kind, sentence)


def _is_foreign(network: Network, wanted: Wanted, links: Mapping[str, LinkState]) -> bool:
    """Whether somebody else's interface has the name of the network's bridge."""
    bridge = links.get(network.bridge)
    return bridge is not None and (bridge.kind != "bridge" or not (bridge.ours or network.bridge in wanted.adopted))


def _bridge(network: Network, bridge: LinkState, found: Found) -> Iterator[tuple[Kind, str]]:
    name = bridge.name
    if not bridge.up:
        yield Kind.BRIDGE_DOWN, f"the bridge {name} of network {network.name} is down"
    for gateway in network.bridge_addresses:
        if gateway not in found.addresses.get(bridge.index, ()):
            yield Kind.BRIDGE_ADDRESS, f"the bridge {name} has lost its address {gateway}"
        elif bridge.up and (gateway.network, bridge.index) not in found.routes:
            yield Kind.BRIDGE_ROUTE, f"the host has lost its route to {gateway.network} by {name}"


def _port(port: Port, wanted: Wanted, found: Found, links: Mapping[str, LinkState]) -> Iterator[Difference]:
    endpoint = port.endpoint
    members = wanted.sandboxes.get(endpoint.sandbox, ())
    if not members:
        return  # it is being started, or cleared away

    def differs(kind: Kind, mend: Mend, fact: str) -> Difference:
        sentence = f"{fact} (container {_names(wanted, members)})"
        return Difference(kind=kind, mend=mend, subject=endpoint.id, sentence=sentence, containers=members)

    plugged = links.get(endpoint.host_interface)
    if plugged is None or plugged.doomed:
        yield differs(Kind.INTERFACE_GONE, Mend.ENDPOINT, f"the interface {endpoint.host_interface} is gone")
        return
    if not _is_foreign(port.network, wanted, links):
        for kind, fact in _plug(port, plugged, links.get(port.network.bridge)):
            yield differs(kind, Mend.PORT, fact)
    if found.insides is not None and endpoint.id in found.insides:
        for kind, fact in _inside(endpoint, found.insides[endpoint.id]):
            yield differs(kind, Mend.ENDPOINT if kind is Kind.INSIDE_GONE else Mend.INSIDE, fact)


def _plug(port: Port, plugged: LinkState, bridge: LinkState | None) -> Iterator[tuple[Kind, str]]:
    name = plugged.name
    if bridge is None or plugged.master != bridge.index:
        yield Kind.PORT_LOOSE, f"the interface {name} is not on its bridge {port.network.bridge}"
    elif (plugged.hairpin, plugged.isolated) != (port.mode.hairpin, port.mode.isolated):
        yield Kind.PORT_MODE, f"the port {name} is not set for how this host filters bridged packets now (br_netfilter)"
    if not plugged.up:
        yield Kind.PORT_DOWN, f"the interface {name} is down"


def _inside(endpoint: Endpoint, inside: InsideState | None) -> Iterator[tuple[Kind, str]]:
    if inside is None:
        yield Kind.INSIDE_GONE, f"the interface {endpoint.interface} is not in its namespace"
        return
    if not inside.up:
        yield Kind.INSIDE_DOWN, f"the interface {endpoint.interface} is down in its namespace"
    missing = [address for address in endpoint.addresses if address not in inside.addresses]
    for address in missing:
        yield Kind.INSIDE_ADDRESS, f"the interface {endpoint.interface} has lost its address {address}"
    families = {address.version for address in missing}
    for gateway in endpoint.default_gateways if inside.up else ():
        if gateway not in inside.gateways and gateway.version not in families:
            yield Kind.INSIDE_ROUTE, f"the default route by {gateway} is gone in the namespace"
    others = {endpoint.gateway, endpoint.gateway6} - {None, *endpoint.default_gateways}
    for gateway in inside.gateways:
        if gateway in others:
            yield Kind.INSIDE_ROUTE, f"the default route goes by {gateway}, which is not the way out of the container"


def _namespaces(wanted: Wanted, found: Found) -> Iterator[Difference]:
    if found.namespaces is None:
        return
    for sandbox, members in wanted.sandboxes.items():
        if members and not found.namespaces.get(sandbox, False):
            sentence = f"the namespace of container {_names(wanted, members)} is not bound to its file any more"
            yield Difference(kind=Kind.NAMESPACE_GONE, mend=Mend.NAMESPACE, subject=sandbox, sentence=sentence, containers=members)


def _runs(wanted: Wanted, found: Found) -> Iterator[Difference]:
    for container, name in wanted.running.items():
        if found.monitored is not None and container not in found.monitored:
            sentence = f"the monitor of container {name} is gone"
            yield Difference(kind=Kind.MONITOR_GONE, mend=Mend.RESTART, subject=container, sentence=sentence, containers=(container,))


def _names(wanted: Wanted, containers: Iterable[str]) -> str:
    return " and ".join(wanted.running[container] for container in containers)


def _stray_processes(wanted: Wanted, found: Found) -> Iterator[Difference]:
    for container in sorted(found.processes - wanted.running.keys()):
        sentence = f"the process of {container[:12]}: its start was never recorded"
        yield Difference(kind=Kind.STRAY_PROCESS, mend=Mend.PROCESS, subject=container, sentence=sentence)


def _stray_namespaces(wanted: Wanted, found: Found) -> Iterator[Difference]:
    for name in sorted(found.namespaces or ()):
        if not wanted.sandboxes.get(name):
            yield Difference(kind=Kind.STRAY_NAMESPACE, mend=Mend.NAMESPACE_AWAY, subject=name, sentence=f"the namespace {name[:12]}")


def _stray_links(wanted: Wanted, found: Found) -> Iterator[Difference]:
    owned = {port.endpoint.host_interface for port in wanted.ports} | {network.bridge for network in wanted.networks}
    for link in (found.links or {}).values():
        if link.ours and link.kind in ("veth", "bridge") and link.name not in owned:
            yield Difference(kind=Kind.STRAY_LINK, mend=Mend.LINK_AWAY, subject=link.name, sentence=f"the interface {link.name}")


def _stray_files(wanted: Wanted, found: Found) -> Iterator[Difference]:
    for container in sorted(found.mounted):
        sentence = f"the mount of the root file system of {container[:12]}"
        yield Difference(kind=Kind.STRAY_MOUNT, mend=Mend.MOUNT_AWAY, subject=container, sentence=sentence)
    nobodys = [endpoint for endpoint in wanted.unplugged if endpoint.sandbox not in wanted.containers]
    for endpoint in (*nobodys, *wanted.orphans):
        addresses = " and ".join(str(address.ip) for address in endpoint.addresses) or "(none)"
        sentence = f"the address {addresses} of container {endpoint.sandbox[:12]}"
        yield Difference(kind=Kind.STRAY_ADDRESS, mend=Mend.ADDRESS_AWAY, subject=endpoint.id, sentence=sentence)
    for container in sorted(found.folders - wanted.containers):
        yield Difference(
            kind=Kind.STRAY_FOLDER, mend=Mend.FOLDER_AWAY, subject=container, sentence=f"the folder of container {container[:12]}"
        )
