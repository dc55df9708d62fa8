"""The guard at the bridges' ports: a second nftables table, which sees frames before their bridge does (family bridge, nft(8)).

What comes out of a container must carry the MAC and the IPv4 address of its endpoint, as sender of the frame, of the packet and of
ARP; everything else is dropped: IPv6 (bridge networks have none), other protocols, VLAN tags. A port is known by the interface
group that it is born with, so one without an entry here lets nothing through.

    a frame from a port of ours    prerouting → port, MAC, address in `owners`, else dropped

A frame costs one look-up however many containers there are. Applying any of these texts twice changes nothing.
"""

from collections.abc import Iterable

from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP, Endpoint

TABLE = "bridge linkspan"

_TABLE = f"""\
table {TABLE} {{
	set owners {{
		comment "port, MAC and address of each endpoint"
		type ifname . ether_addr . ipv4_addr
	}}

	set unguarded {{
		comment "ports of containers that may send what they like (--security-opt anti-spoofing=false)"
		type ifname
	}}

	chain from-containers {{
		type filter hook prerouting priority filter
		ether type ip iifname . ether saddr . ip saddr @owners accept
		ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 iifname . ether saddr . arp saddr ip @owners iifname . arp saddr ether . arp saddr ip @owners accept
		iifgroup {{ {OUR_GROUP}, {DOOMED_GROUP} }} iifname != @unguarded drop
	}}
}}
"""  # noqa: E501  a rule is one line


def guard(endpoints: Iterable[Endpoint] = ()) -> str:
    """Render the whole table anew, in place of whatever is there, for the endpoints that are attached."""
    return guard_removal() + _TABLE + "".join(map(owner, endpoints))


def guard_removal() -> str:
    """Render the removal of the table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def owner(endpoint: Endpoint) -> str:
    """Render what lets the endpoint's own frames through its port."""
    return f"add element {TABLE} {_entry(endpoint)}\n"


def owner_removal(endpoint: Endpoint) -> str:
    """Render the removal of what `owner` added, whether it is there or not."""
    # nft before 1.0.8 has no `destroy`; adding what exists is no error, so add-then-delete never fails.
    return f"add element {TABLE} {_entry(endpoint)}\ndelete element {TABLE} {_entry(endpoint)}\n"


def _entry(endpoint: Endpoint) -> str:
    port = f'"{endpoint.host_interface}"'
    return f"owners {{ {port} . {endpoint.mac} . {endpoint.ipv4.ip} }}" if endpoint.guarded else f"unguarded {{ {port} }}"
