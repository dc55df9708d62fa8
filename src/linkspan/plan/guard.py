"""The guard at the bridges' ports: a second nftables table, which sees frames before their bridge does (family bridge, nft(8)).

What comes out of a container must carry the MAC and an address of its endpoint, as sender of the frame, of the packet, of ARP, and in
answers about neighbours (NDP); everything else is dropped: other protocols, VLAN tags, IPv6 of containers that have none. No
container is a router to its neighbours: advertisements and redirects are dropped. A port is known by the interface group that it is
born with, so one without an entry here lets nothing through.

    a frame from a port of ours    prerouting → port, MAC, address in `owners` or `owners6`, else dropped

A frame costs one or two look-ups however many containers there are. Applying any of these texts twice changes nothing.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface

from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP, Endpoint

TABLE = "bridge linkspan"

_TABLE = f"""\
table {TABLE} {{
	set owners {{
		comment "port, MAC and address of each endpoint"
		type ifname . ether_addr . ipv4_addr
	}}

	set owners6 {{
		comment "the same, its address on the link too"
		type ifname . ether_addr . ipv6_addr
	}}

	set answers6 {{
		comment "port, MAC and address that it may say to have (the target of a neighbour advertisement)"
		typeof iifname . ether saddr . @th,64,128
	}}

	set speakers6 {{
		comment "port and MAC of endpoints with IPv6: what they may send before they have an address"
		type ifname . ether_addr
	}}

	set unguarded {{
		comment "ports of containers that may send what they like (--security-opt anti-spoofing=false)"
		type ifname
	}}

	chain of-ipv6 {{
		icmpv6 type {{ nd-router-advert, nd-redirect }} drop
		icmpv6 type nd-neighbor-advert iifname . ether saddr . @th,64,128 != @answers6 drop
		iifname . ether saddr . ip6 saddr @owners6 accept
		ip6 saddr :: icmpv6 type {{ nd-neighbor-solicit, nd-router-solicit, mld2-listener-report }} iifname . ether saddr @speakers6 accept
		drop
	}}

	chain from-containers {{
		type filter hook prerouting priority filter
		ether type ip iifname . ether saddr . ip saddr @owners accept
		ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 iifname . ether saddr . arp saddr ip @owners iifname . arp saddr ether . arp saddr ip @owners accept
		iifgroup {{ {OUR_GROUP}, {DOOMED_GROUP} }} iifname @unguarded accept
		iifgroup {{ {OUR_GROUP}, {DOOMED_GROUP} }} ether type ip6 jump of-ipv6
		iifgroup {{ {OUR_GROUP}, {DOOMED_GROUP} }} drop
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
    return "".join(f"add element {TABLE} {entry}\n" for entry in _entries(endpoint))


def owner_removal(endpoint: Endpoint) -> str:
    """Render the removal of what `owner` added, whether it is there or not."""
    # nft before 1.0.8 has no `destroy`; adding what exists is no error, so add-then-delete never fails.
    return "".join(f"add element {TABLE} {entry}\ndelete element {TABLE} {entry}\n" for entry in _entries(endpoint))


def _entries(endpoint: Endpoint) -> Iterator[str]:
    port = f'"{endpoint.host_interface}"'
    if not endpoint.guarded:
        yield f"unguarded {{ {port} }}"
        return
    sender = f"{port} . {endpoint.mac}"
    own = [address.ip for address in endpoint.addresses if isinstance(address, IPv4Interface)]
    if own:
        yield f"owners {{ {', '.join(f'{sender} . {address}' for address in own)} }}"
    own6 = [address.ip for address in endpoint.addresses if isinstance(address, IPv6Interface)]
    if own6:
        own6 = list(dict.fromkeys((*own6, link_local(endpoint.mac))))
        yield f"owners6 {{ {', '.join(f'{sender} . {address}' for address in own6)} }}"
        yield f"answers6 {{ {', '.join(f'{sender} . 0x{int(address):032x}' for address in own6)} }}"
        yield f"speakers6 {{ {sender} }}"


def link_local(mac: str) -> IPv6Address:
    """Return the address that an interface gives itself on its link, made of its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]))
