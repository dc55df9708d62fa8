"""The firewall: one nftables table for both families, rendered as text for libnftables (nft(8)).

A packet meets maps and sets keyed by what it carries, so its cost does not grow with the number of networks, containers or ports:

    to a host address    nat prerouting / output → publish → (address,) protocol, port → container address and port
    to a container       filter forward → established, same bridge, published, trusted, open, linked, else dropped
    to the host          filter input → what comes out of one bridge for another bridge's address is dropped
    out of a container   nat postrouting → by the bridge it came from → masquerade, or the network's own source address
    loopback             127.0.0.1:PORT and [::1]:PORT are translated on the host only; from a bridge they are dropped before routing

No chain has a drop policy and nothing of other tables is touched. Each function gives one transaction; applying any of them
twice changes nothing.

There are neither sets of intervals nor chains of one network: with either, libnftables reads all of them back for every change.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from linkspan.model.network import GatewayMode, IPAddress, Network
from linkspan.model.publish import Port, Publish

TABLE = "inet linkspan"

_SETS = """\
	set bridges {
		type ifname
	}

	set neighbours {
		comment "every bridge with itself: what goes from one of its containers to another"
		type ifname . ifname
	}

	set talking {
		comment "bridges whose containers may talk to each other (icc)"
		type ifname . ifname
	}

	set internal {
		comment "bridges that nothing leaves and nothing comes in by"
		type ifname
	}

	set trusted {
		comment "from where every port of the containers of a bridge is reached: interface, bridge"
		type ifname . ifname
	}

	set unprotected {
		comment "bridges whose containers everybody outside reaches (gateway mode nat-unprotected)"
		type ifname
	}

	set unprotected6 {
		type ifname
	}

	set routed {
		comment "bridges whose containers are reached by their own address: ping, and published ports (gateway mode routed)"
		type ifname
	}

	set routed6 {
		type ifname
	}

	set open {
		comment "published ports of containers on routed bridges: address, protocol, port"
		type ipv4_addr . inet_proto . inet_service
	}

	set open6 {
		type ipv6_addr . inet_proto . inet_service
	}

	set linked {
		comment "who may talk to whom where icc is off: source, destination, protocol, port"
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
	}

	set gateways {
		comment "the host's addresses on our bridges"
		type ipv4_addr
	}

	set gateways6 {
		type ipv6_addr
	}

	map published-anywhere {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}

	map published-on-address {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
	}

	map published6-anywhere {
		type inet_proto . inet_service : ipv6_addr . inet_service
	}

	map published6-on-address {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
	}

	set masqueraded {
		comment "bridges whose containers use the host's address outside"
		type ifname
	}

	set masqueraded6 {
		type ifname
	}

	map sources {
		comment "bridges whose containers use this address outside"
		type ifname : ipv4_addr
	}

	map sources6 {
		type ifname : ipv6_addr
	}
"""

_CHAINS = """\
	chain loopback-guard {
		type filter hook prerouting priority raw
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @published-on-address
		dnat ip to meta l4proto . th dport map @published-anywhere
	}

	chain publish6 {
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6-on-address
		dnat ip6 to meta l4proto . th dport map @published6-anywhere
	}

	chain arriving {
		type nat hook prerouting priority dstnat
		ip daddr != 127.0.0.0/8 fib daddr type local jump publish
		meta nfproto ipv6 fib daddr type local jump publish6
	}

	chain from-host {
		type nat hook output priority -100
		meta nfproto ipv4 fib daddr type local jump publish
		meta nfproto ipv6 fib daddr type local jump publish6
	}

	chain to-host {
		type filter hook input priority filter
		iifname @bridges jump from-containers
	}

	chain from-containers {
		ct state established,related accept
		iifname @internal fib daddr . iif type unicast drop comment "only the host's address on their own bridge"
		ip daddr @gateways fib daddr . iif type unicast drop comment "the host's address on another bridge"
		ip6 daddr @gateways6 fib daddr . iif type unicast drop
	}

	chain small-links {
		type filter hook forward priority mangle
		tcp flags & (syn | rst) == syn iifname @bridges tcp option maxseg size set rt mtu
		tcp flags & (syn | rst) == syn oifname @bridges tcp option maxseg size set rt mtu
	}

	chain to-containers {
		iifname . oifname @talking accept
		ct state established,related accept
		oifname @internal drop
		ct status dnat accept
		iifname . oifname @trusted accept
		ip daddr . meta l4proto . th dport @open accept
		ip6 daddr . meta l4proto . th dport @open6 accept
		ip protocol icmp oifname @routed accept
		meta l4proto ipv6-icmp oifname @routed6 accept
		iifname != @bridges meta nfproto ipv4 oifname @unprotected accept
		iifname != @bridges meta nfproto ipv6 oifname @unprotected6 accept
		ip saddr . ip daddr . meta l4proto . th dport @linked accept
		drop
	}

	chain forward {
		type filter hook forward priority filter
		iifname @internal iifname . oifname != @neighbours drop
		oifname @bridges jump to-containers
	}

	chain leaving {
		type nat hook postrouting priority srcnat
		ip saddr 127.0.0.0/8 oifname @bridges masquerade
		ip6 saddr ::1 oifname @bridges masquerade
		ct status dnat iifname . oifname @neighbours masquerade comment "else answers come from another address than was called"
		ct status dnat iif 0 fib saddr type != local oifname @bridges masquerade comment "the same, in the bridge (br_netfilter)"
		oifname @bridges accept
		snat ip to iifname map @sources
		snat ip6 to iifname map @sources6
		meta nfproto ipv4 iifname @masqueraded masquerade
		meta nfproto ipv6 iifname @masqueraded6 masquerade
	}
"""

_TABLE = f"table {TABLE} {{\n{_SETS}\n{_CHAINS}}}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Whose connections to whose ports are accepted although containers of the bridge may not talk (Docker's --link)."""

    source: IPv4Address
    target: IPv4Address
    ports: tuple[Port, ...]


def ruleset(
    networks: Iterable[Network] = (),
    published: Iterable[tuple[Sequence[IPAddress], Sequence[Publish]]] = (),
    links: Iterable[Link] = (),
) -> str:
    """Render the whole table anew, in place of whatever is there: (container's addresses, its ports) of all that run."""
    text = table_removal() + _TABLE
    text += "".join(map(network_rules, networks))
    text += "".join(publish_elements(publishes, *addresses) for addresses, publishes in published)
    return text + "".join(map(link_elements, links))


def table_removal() -> str:
    """Render the removal of everything that is ours, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def network_rules(network: Network) -> str:
    """Render what lets the containers of a bridge network out, and keeps others from them."""
    return "".join(f"add element {TABLE} {entry}\n" for entry in _network_entries(network))


def network_removal(network: Network) -> str:
    """Render the removal of what `network_rules` added, whether it is there or not."""
    return _removal(_network_entries(network))


def network_change(former: Network, network: Network) -> str:
    """Render what makes the rules of a network those of what has become of it; nothing else notices."""
    return network_removal(former) + network_rules(network)


def _network_entries(network: Network) -> Iterator[str]:
    bridge = f'"{network.bridge}"'
    yield f"bridges {{ {bridge} }}"
    yield f"neighbours {{ {bridge} . {bridge} }}"
    if network.icc:
        yield f"talking {{ {bridge} . {bridge} }}"
    for gateway in network.bridge_addresses:
        yield f"gateways{_suffix(gateway.version)} {{ {gateway.ip} }}"
    if network.internal:
        yield f"internal {{ {bridge} }}"
        return
    yield from (f'trusted {{ "{interface}" . {bridge} }}' for interface in network.trusted)
    for version in (4, 6):
        if network.pool(version):
            yield from (f"{place} }}" for place in _family_entries(network, version, bridge))


def _family_entries(network: Network, version: int, bridge: str) -> Iterator[str]:
    mode, suffix = network.mode(version), _suffix(version)
    if mode is GatewayMode.ROUTED:
        yield f"routed{suffix} {{ {bridge}"
        return
    if mode is GatewayMode.NAT_UNPROTECTED:
        yield f"unprotected{suffix} {{ {bridge}"
    if network.masquerade:
        source = network.source if version == 4 else network.source6
        yield f"sources{suffix} {{ {bridge} : {source}" if source else f"masqueraded{suffix} {{ {bridge}"


def _suffix(version: int) -> str:
    return "" if version == 4 else "6"


def publish_elements(publishes: Sequence[Publish], *addresses: IPAddress) -> str:
    """Render the entries that lead host ports to the container's address of their family; empty for no ports."""
    return "".join(f"add element {TABLE} {entry}\n" for entry in _publish_entries(publishes, addresses))


def publish_removal(publishes: Sequence[Publish], *addresses: IPAddress) -> str:
    """Render the removal of what `publish_elements` added, whether it is there or not."""
    return _removal(_publish_entries(publishes, addresses))


def _publish_entries(publishes: Sequence[Publish], addresses: Iterable[IPAddress]) -> Iterator[str]:
    for address in addresses:
        suffix = _suffix(address.version)
        by_place: dict[str, list[str]] = {}
        for publish in sorted({publish for publish in publishes if publish.host_ip.version == address.version}):
            target = f"{address} . {publish.port.number}"
            if publish.routed:
                by_place.setdefault(f"open{suffix}", []).append(f"{address} . {publish.port.protocol} . {publish.port.number}")
            elif publish.host_ip.is_unspecified:
                by_place.setdefault(f"published{suffix}-anywhere", []).append(f"{_key(publish)} : {target}")
            else:
                by_place.setdefault(f"published{suffix}-on-address", []).append(f"{publish.host_ip} . {_key(publish)} : {target}")
        yield from (f"{place} {{ {', '.join(entries)} }}" for place, entries in by_place.items())


def _key(publish: Publish) -> str:
    return f"{publish.port.protocol} . {publish.host_port}"


def link_elements(link: Link) -> str:
    """Render the set's entries of a link; empty if the target exposes nothing."""
    return "".join(f"add element {TABLE} {entry}\n" for entry in _link_entries(link))


def link_removal(link: Link) -> str:
    """Render the removal of what `link_elements` added, whether it is there or not."""
    return _removal(_link_entries(link))


def _link_entries(link: Link) -> Iterator[str]:
    for port in link.ports:
        yield f"linked {{ {link.source} . {link.target} . {port.protocol} . {port.number} }}"


def _removal(entries: Iterable[str]) -> str:
    # nft before 1.0.8 has no `destroy`; adding what exists is no error, so add-then-delete never fails.
    return "".join(f"add element {TABLE} {entry}\ndelete element {TABLE} {entry}\n" for entry in entries)
