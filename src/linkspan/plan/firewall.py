"""The firewall: one nftables table, rendered as text for libnftables (nft(8)).

A packet meets maps and sets keyed by what it carries, so its cost does not grow with the number of containers or ports:

    to a host address    nat prerouting / output → publish → (address,) protocol, port → container address and port
    to a container       filter forward → established, published, same bridge, linked, else dropped
    out of a container   nat postrouting → by the bridge it came from → masquerade
    loopback             127.0.0.1:PORT is translated on the host only; from a bridge it is dropped before routing

No chain has a drop policy and nothing of other tables is touched. Each function gives one transaction; applying any of them
twice changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from linkspan.model.network import UNSPECIFIED, Network
from linkspan.model.publish import Port, Publish

TABLE = "inet linkspan"

_TABLE = """\
table inet linkspan {
	set bridges {
		type ifname
	}

	set talking {
		comment "bridges whose containers may talk to each other (icc)"
		type ifname . ifname
	}

	set linked {
		comment "who may talk to whom where icc is off: source, destination, protocol, port"
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
	}

	map published-anywhere {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}

	map published-on-address {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
	}

	set masqueraded {
		comment "bridges whose containers use the host's address outside"
		type ifname
	}

	set subnets {
		comment "of all bridges"
		type ipv4_addr
		flags interval
	}

	chain loopback-guard {
		type filter hook prerouting priority raw
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @published-on-address
		dnat ip to meta l4proto . th dport map @published-anywhere
	}

	chain arriving {
		type nat hook prerouting priority dstnat
		ip daddr != 127.0.0.0/8 fib daddr type local jump publish
	}

	chain from-host {
		type nat hook output priority -100
		fib daddr type local jump publish
	}

	chain to-containers {
		ct state established,related accept
		ct status dnat accept
		iifname . oifname @talking accept
		ip saddr . ip daddr . meta l4proto . th dport @linked accept
		drop
	}

	chain forward {
		type filter hook forward priority filter
		oifname @bridges jump to-containers
	}

	chain leaving {
		type nat hook postrouting priority srcnat
		ip saddr 127.0.0.0/8 oifname @bridges masquerade
		ip saddr @subnets oifname @bridges ct status dnat masquerade comment "else answers come from another address than was called"
		oifname @bridges accept
		iifname @masqueraded masquerade
	}
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Whose connections to whose ports are accepted although containers of the bridge may not talk (Docker's --link)."""

    source: IPv4Address
    target: IPv4Address
    ports: tuple[Port, ...]


def ruleset(
    networks: Iterable[Network] = (),
    published: Iterable[tuple[IPv4Address, Sequence[Publish]]] = (),
    links: Iterable[Link] = (),
) -> str:
    """Render the whole table anew, in place of whatever is there: (container address, its ports) of all that run."""
    text = table_removal() + _TABLE
    text += "".join(map(network_rules, networks))
    text += "".join(publish_elements(publishes, address) for address, publishes in published)
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


def _network_entries(network: Network) -> Iterator[str]:
    bridge = f'"{network.bridge}"'
    yield f"bridges {{ {bridge} }}"
    yield from (f"subnets {{ {pool.subnet} }}" for pool in network.subnets)
    if network.icc:
        yield f"talking {{ {bridge} . {bridge} }}"
    if network.masquerade:
        yield f"masqueraded {{ {bridge} }}"


def publish_elements(publishes: Sequence[Publish], address: IPv4Address) -> str:
    """Render the maps' entries that lead host ports to the container at `address`; empty for no ports."""
    return "".join(f"add element {TABLE} {entry}\n" for entry in _publish_entries(publishes, address))


def publish_removal(publishes: Sequence[Publish], address: IPv4Address) -> str:
    """Render the removal of what `publish_elements` added, whether it is there or not."""
    return _removal(_publish_entries(publishes, address))


def _publish_entries(publishes: Sequence[Publish], address: IPv4Address) -> Iterator[str]:
    for everywhere in (True, False):
        chosen = [publish for publish in sorted(publishes) if (publish.host_ip == UNSPECIFIED) is everywhere]
        if chosen:
            entries = ", ".join(f"{_key(publish)} : {address} . {publish.port.number}" for publish in chosen)
            yield f"{'published-anywhere' if everywhere else 'published-on-address'} {{ {entries} }}"


def _key(publish: Publish) -> str:
    key = f"{publish.port.protocol} . {publish.host_port}"
    return key if publish.host_ip == UNSPECIFIED else f"{publish.host_ip} . {key}"


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
