"""Looking at the host for `doctor`; nothing is changed. What it means, `plan.checkup` says."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from linkspan.config import Config
from linkspan.errors import CommandFailed, EngineError, InvalidInput, KernelError, MissingTool
from linkspan.kernel import process, survey, sysctl
from linkspan.kernel.nft import Firewall
from linkspan.kernel.territory import Place, Territory
from linkspan.model.endpoint import Endpoint
from linkspan.model.finding import Finding
from linkspan.model.host import LinkState
from linkspan.model.network import IPNetwork, Network
from linkspan.plan.checkup import Bridge, Facts, Missing, findings
from linkspan.runtime.oci import choose_runtime, find_init

PROGRAMS = {
    "conmon": "to run containers",
    "skopeo": "to pull, load and save images",
    "umoci": "to unpack images",
}
_LEGACY_TABLES = Path("/proc/net/ip_tables_names")
_LOCAL_TABLE = 255


def facts(data_root: Path, networks: Sequence[Network], *, endpoints: Sequence[Endpoint]) -> Facts:
    """Return the facts about the host that the calling thread is in; without the runtime. Blocks for a moment."""
    links = survey.links()
    by_index = {link.index: link for link in links.values()}
    disk = os.statvfs(_existing(data_root))
    return Facts(
        bridges=tuple(_bridges(networks, links)),
        forwarding=_setting("net/ipv4/ip_forward"),
        rulesets=_rulesets(),
        legacy_forward=_legacy_forward(),
        bridged_filtered=_setting("net/bridge/bridge-nf-call-iptables") == "1",
        uplinks={by_index[index].name: by_index[index].mtu for index in survey.uplinks() if index in by_index},
        routes=_routes(by_index),
        missing=tuple(_missing()),
        data_root=str(data_root),
        free_bytes=disk.f_bavail * disk.f_frsize,
        free_inodes=disk.f_favail,
        inodes=disk.f_files,
        tracked=_number("net/netfilter/nf_conntrack_count"),
        most_tracked=_number("net/netfilter/nf_conntrack_max"),
        neighbours=_neighbours("arp"),
        most_neighbours=_number("net/ipv4/neigh/default/gc_thresh3"),
        endpoints=sum(endpoint.address is not None for endpoint in endpoints),
        neighbours6=_neighbours("ndisc"),
        most_neighbours6=_number("net/ipv6/neigh/default/gc_thresh3"),
        endpoints6=sum(endpoint.address6 is not None for endpoint in endpoints),
    )


async def examine(config: Config, networks: Sequence[Network], *, endpoints: Sequence[Endpoint]) -> tuple[Finding, ...]:
    """Return what is wrong with the host, for these networks and for the settings."""
    runtime = config.runtime
    found = await asyncio.to_thread(facts, config.data_root, networks, endpoints=endpoints)
    if config.ip_forward and found.forwarding == "0":  # the comparison with the store says so
        found = replace(found, forwarding="1", bridges=tuple(replace(bridge, forwarding="1") for bridge in found.bridges))
    try:
        found = replace(found, runtime=(await choose_runtime(runtime)).reason)
    except MissingTool as error:
        lacking = Missing(program=error.program, package=error.package, needed_for="to run containers")
        found = replace(found, missing=(*found.missing, lacking))
    except InvalidInput as error:
        found = replace(
            found, missing=(*found.missing, Missing(program=runtime, package=runtime, needed_for=f"to run containers: {error}"))
        )
    return findings(found)


def _bridges(networks: Sequence[Network], links: Mapping[str, LinkState]) -> Iterator[Bridge]:
    for network in networks:
        if network.bridge in links:
            yield Bridge(
                name=network.bridge,
                subnets=tuple(pool.subnet for pool in network.subnets),
                mtu=links[network.bridge].mtu,
                mtu_chosen=not network.mtu_follows,
                forwarding=_setting(f"net/ipv4/conf/{network.bridge}/forwarding"),
            )


def _routes(by_index: Mapping[int, LinkState]) -> tuple[tuple[IPNetwork, str], ...]:
    territory = Territory()
    places = territory.places()
    territory.close()
    found = {(place.subnet, by_index[place.interface].name) for place in places if _leads(place) and place.interface in by_index}
    return tuple(sorted(found, key=lambda route: (route[0].version, route)))


def _leads(place: Place) -> bool:
    """Whether it is a route, and not what the kernel makes of an address."""
    return place.table not in (0, _LOCAL_TABLE)


def _missing() -> Iterator[Missing]:
    for program, needed_for in PROGRAMS.items():
        try:
            process.find(program)
        except MissingTool as error:
            yield Missing(program=error.program, package=error.package, needed_for=needed_for)
    try:
        find_init()
    except MissingTool as error:
        yield Missing(program=error.program, package=error.package, needed_for="for --init", always=False)


def _rulesets() -> str:
    try:
        return Firewall().ruleset()
    except EngineError:  # its library is missing: the engine itself says so
        return ""


def _legacy_forward() -> str:
    """Ask iptables-legacy only if its table is in use: asking would make it so."""
    try:
        if "filter" not in _LEGACY_TABLES.read_text().split():
            return ""
        return process.run_sync("iptables-legacy", "-S", "FORWARD", timeout=10).output
    except (OSError, CommandFailed):
        return ""


def _neighbours(table: str) -> int:
    """Read how many entries a neighbour table of the kernel has (its statistics begin with them, in hexadecimal)."""
    try:
        return int(Path(f"/proc/net/stat/{table}_cache").read_text().splitlines()[1].split()[0], 16)
    except (OSError, IndexError, ValueError):
        return 0


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _setting(key: str) -> str:
    try:
        return sysctl.get(key)
    except KernelError:
        return ""


def _number(key: str) -> int:
    text = _setting(key)
    return int(text) if text.isdecimal() else 0
