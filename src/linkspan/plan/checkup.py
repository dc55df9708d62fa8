"""What on a host is in the way of containers' networks: facts in, findings out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from linkspan.model.finding import Finding, Level
from linkspan.model.network import IPNetwork
from linkspan.plan.pools import Prefixes

LITTLE_SPACE = 512 << 20
"""Bytes free on the data root's disk, below which images and logs soon find none."""
FEW_INODES = 10_000
"""Free inodes: a small image takes some hundred, a large one tens of thousands."""
FULL = 0.8
"""The share of a table of the kernel that may be used."""
PER_ENDPOINT = 2
"""Neighbours that each plugged-in container adds to the kernel's one table: the host knows it, and it knows its gateway."""

_TABLE = re.compile(r"^table (?P<name>(?:ip|inet) [^ ]+) \{\n(?P<body>.*?)^\}", re.DOTALL | re.MULTILINE)
_CHAIN = re.compile(r"^\tchain (?P<name>[^ ]+) \{\n(?P<body>.*?)^\t\}", re.DOTALL | re.MULTILINE)
_FORWARD = re.compile(r"type filter hook forward priority [^;]+;(?: policy (?P<policy>\w+);)?")
_LAST_WORD = re.compile(r"^(?:counter packets \d+ bytes \d+ )?(?:drop|reject(?: with .+)?)$")
_OURS = "inet linkspan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A bridge of ours. `forwarding` is its own setting, empty if it is not there."""

    name: str
    subnets: tuple[IPNetwork, ...]
    mtu: int
    mtu_chosen: bool = True
    """Whether somebody has chosen it; else it follows the ways out, and what differs is told by the comparison with the store."""
    forwarding: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A program that is not installed."""

    program: str
    package: str
    needed_for: str
    always: bool = True
    """Whether nothing works without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found on the host. Numbers that could not be read are 0, and then not judged."""

    bridges: tuple[Bridge, ...] = ()
    forwarding: str = "1"
    """Of the whole host: net.ipv4.ip_forward. That it is off is told by the comparison with the store, if the engine keeps it on."""
    rulesets: str = ""
    """What `nft list ruleset` says."""
    legacy_forward: str = ""
    """What `iptables-legacy -S FORWARD` says, if that is in use."""
    bridged_filtered: bool = False
    """Whether frames between ports of a bridge meet the host's rules (br_netfilter)."""
    uplinks: Mapping[str, int] | None = None
    """The interfaces of default routes, with their MTU."""
    routes: tuple[tuple[IPNetwork, str], ...] = ()
    missing: tuple[Missing, ...] = ()
    runtime: str = ""
    """Which OCI runtime runs containers, and why: `runc: …`."""
    data_root: str = ""
    free_bytes: int = 0
    free_inodes: int = 0
    inodes: int = 0
    tracked: int = 0
    """Connections that are tracked now (conntrack)."""
    most_tracked: int = 0
    neighbours: int = 0
    most_neighbours: int = 0
    """The kernel's limit: net.ipv4.neigh.default.gc_thresh3."""
    endpoints: int = 0
    """Interfaces of containers that have an IPv4 address."""
    neighbours6: int = 0
    most_neighbours6: int = 0
    endpoints6: int = 0
    """The same of IPv6, which has a table of its own."""


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Return what is wrong with the host, the worst first."""
    return (
        *_forwarding(facts),
        *_other_rules(facts),
        *_routes(facts),
        *_mtu(facts),
        *_programs(facts),
        *_disk(facts),
        *_tables(facts),
    )


def _forwarding(facts: Facts) -> Iterator[Finding]:
    why = "nothing is routed between containers and other networks: they do not get out, and published ports do not answer others"
    if facts.bridges and facts.forwarding == "0":
        what = "forwarding is off on this host (net.ipv4.ip_forward is 0)"
        yield Finding(kind="forwarding", what=what, why=why, remedy="sysctl -w net.ipv4.ip_forward=1")
        return
    for bridge in facts.bridges:
        if bridge.forwarding == "0":
            key = f"net.ipv4.conf.{bridge.name}.forwarding"
            yield Finding(kind="forwarding", what=f"forwarding is off for {bridge.name} ({key} is 0)", why=why, remedy=f"sysctl -w {key}=1")


def _other_rules(facts: Facts) -> Iterator[Finding]:
    tables = {found["name"]: found["body"] for found in _TABLE.finditer(facts.rulesets) if found["name"] != _OURS}
    for bridge in facts.bridges:
        for table, body in tables.items():
            chain = _dropping_chain(body)
            if chain and not _knows(body, bridge):
                yield _dropped(facts, bridge, f"the chain {chain} of table {table}", _remedy(table, body, chain, bridge))
        if _drops_by_legacy(facts.legacy_forward) and not _knows(facts.legacy_forward, bridge):
            command = " && ".join(f"iptables-legacy -I FORWARD {flag} {bridge.name} -j ACCEPT" for flag in ("-i", "-o"))
            yield _dropped(facts, bridge, "the chain FORWARD of iptables-legacy", command)


def _dropping_chain(body: str) -> str:
    """Return the name of a chain that sees what is forwarded and drops what no rule accepts, empty if there is none."""
    for chain in _CHAIN.finditer(body):
        hook = _FORWARD.search(chain["body"])
        if hook is None:
            continue
        rules = [line.strip() for line in chain["body"].splitlines() if line.strip()]
        if hook["policy"] == "drop" or _LAST_WORD.match(rules[-1]):
            return chain["name"]
    return ""


def _drops_by_legacy(listed: str) -> bool:
    rules = listed.splitlines()
    return "-P FORWARD DROP" in rules or (bool(rules) and bool(re.fullmatch(r"-A FORWARD -j (DROP|REJECT.*)", rules[-1])))


def _knows(text: str, bridge: Bridge) -> bool:
    """Whether rules speak of the bridge: then somebody has thought of it."""
    return any(f"{quote}{bridge.name}{quote}" in text for quote in ('"', " ")) or any(str(subnet) in text for subnet in bridge.subnets)


def _dropped(facts: Facts, bridge: Bridge, where: str, remedy: str) -> Finding:
    among = ", and from one container to another, because br_netfilter is on" if facts.bridged_filtered else ""
    why = f"packets between {bridge.name} and other networks are dropped{among}; our own rules cannot overrule another table's"
    return Finding(
        kind="forward-policy", what=f"{where} drops what is forwarded, and has no rule for {bridge.name}", why=why, remedy=remedy
    )


def _remedy(table: str, body: str, chain: str, bridge: Bridge) -> str:
    name = bridge.name
    if table == "inet firewalld":
        return f"firewall-cmd --permanent --zone=trusted --add-interface={name} && firewall-cmd --reload"
    if "ufw-" in body:
        return f"ufw route allow in on {name} && ufw route allow out on {name}"
    return " && ".join(f"nft insert rule {table} {chain} {way} '\"{name}\"' accept" for way in ("iifname", "oifname"))


def _routes(facts: Facts) -> Iterator[Finding]:
    owners = {subnet: bridge.name for bridge in facts.bridges for subnet in bridge.subnets}
    names, subnets = {bridge.name for bridge in facts.bridges}, Prefixes(owners)
    anew = "make the network anew with another --subnet, and declare the route's with --reserved-subnet"
    default = "stop the containers, and start the engine with --bip ADDRESS/PREFIX of a subnet that is free"
    for destination, interface in facts.routes:
        subnet = subnets.overlapping(destination) if interface not in names else None
        if subnet is not None:
            yield Finding(
                kind="overlap",
                what=f"the route to {destination} by {interface} overlaps the subnet {subnet} of {owners[subnet]}",
                why="some addresses are there twice: the host, or the containers, do not reach who is meant",
                remedy=anew if owners[subnet].startswith("br-") else default,
            )


def _mtu(facts: Facts) -> Iterator[Finding]:
    for bridge in facts.bridges:
        for uplink, mtu in (facts.uplinks or {}).items():
            if bridge.mtu_chosen and bridge.mtu > mtu and uplink != bridge.name:
                yield Finding(
                    kind="mtu",
                    what=f"{bridge.name} has an MTU of {bridge.mtu}, and the way out by {uplink} one of {mtu}",
                    why="large packets of containers get lost where nobody may say so: connections open and then hang (TLS, downloads)",
                    remedy=f"start the engine with --mtu={mtu}, and its containers anew",
                )


def _programs(facts: Facts) -> Iterator[Finding]:
    for missing in facts.missing:
        yield Finding(
            kind="missing-tool",
            what=f"{missing.program} is not installed",
            why=f"it is needed {missing.needed_for}",
            remedy=f"apt-get install {missing.package}",
            level=Level.PROBLEM if missing.always else Level.NOTE,
        )
    name, _, reason = facts.runtime.partition(": ")
    if name and name != "crun":
        yield Finding(
            kind="runtime",
            what=f"{name} runs the containers: {reason}",
            why="crun starts them faster",
            remedy="apt-get install crun, unless it is meant to be so",
            level=Level.NOTE,
        )


def _disk(facts: Facts) -> Iterator[Finding]:
    remedy = "linkspan image prune, linkspan container prune, or a larger disk"
    if facts.data_root and 0 <= facts.free_bytes < LITTLE_SPACE:
        what = f"the disk of {facts.data_root} has {facts.free_bytes >> 20} MiB left"
        yield Finding(kind="disk", what=what, why="images cannot be unpacked, and containers not write, when it is full", remedy=remedy)
    if facts.inodes and facts.free_inodes < FEW_INODES:
        what = f"the file system of {facts.data_root} has {facts.free_inodes} inodes left"
        yield Finding(kind="inodes", what=what, why="no file can be made when they are used up, however much space is left", remedy=remedy)


def _tables(facts: Facts) -> Iterator[Finding]:
    if facts.most_tracked and facts.tracked > FULL * facts.most_tracked:
        yield Finding(
            kind="conntrack",
            what=f"{facts.tracked} connections are tracked, of at most {facts.most_tracked}",
            why="when the table is full, new connections of the host and its containers are dropped",
            remedy=f"sysctl -w net.netfilter.nf_conntrack_max={2 * facts.most_tracked}",
        )
    yield from _neighbours(facts.endpoints, facts.neighbours, facts.most_neighbours, "ipv4")
    yield from _neighbours(facts.endpoints6, facts.neighbours6, facts.most_neighbours6, "ipv6")


def _neighbours(endpoints: int, present: int, most: int, family: str) -> Iterator[Finding]:
    needed = max(present, PER_ENDPOINT * endpoints)
    if most and needed > FULL * most:
        more = 4 * max(most, needed)
        yield Finding(
            kind="neighbours",
            what=f"{endpoints} interfaces of containers need about {needed} neighbours, and the kernel keeps at most {most}",
            why="when the table is full, neighbours are not found: connections to and from containers fail at random",
            remedy=f"sysctl -w net.{family}.neigh.default.gc_thresh3={more} net.{family}.neigh.default.gc_thresh2={more // 2}",
        )
