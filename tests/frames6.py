"""IPv6 packets by hand."""

import struct
from ipaddress import IPv6Address

from tests.frames import checksum, mac

ALL_NODES = "ff02::1"
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 133, 134, 135, 136, 137
HOP_BY_HOP, FRAGMENT, UDP, ICMPV6, DESTINATION = 0, 44, 17, 58, 60


def packet6(source: str, destination: str, following: int, content: bytes) -> bytes:
    """An IPv6 packet."""
    head = struct.pack("!IHBB", 6 << 28, len(content), following, 255)
    return head + IPv6Address(source).packed + IPv6Address(destination).packed + content


def transport6(source: str, destination: str, protocol: int, message: bytes, place: int) -> bytes:
    """A message with its checksum at `place`."""
    pseudo = IPv6Address(source).packed + IPv6Address(destination).packed + struct.pack("!II", len(message), protocol)
    total = checksum(pseudo + message + bytes(len(message) % 2))
    return message[:place] + struct.pack("!H", total) + message[place + 2 :]


def udp6(source: str, destination: str, content: bytes = b"", ports: tuple[int, int] = (9, 9)) -> bytes:
    """A UDP datagram."""
    message = struct.pack("!HHHH", *ports, 8 + len(content), 0) + content
    return packet6(source, destination, UDP, transport6(source, destination, UDP, message, 6))


def icmp6(source: str, destination: str, kind: int, content: bytes) -> bytes:
    """An ICMPv6 message; `content` is what follows its first 4 bytes."""
    return packet6(source, destination, ICMPV6, icmp6_message(source, destination, kind, content))


def icmp6_message(source: str, destination: str, kind: int, content: bytes) -> bytes:
    return transport6(source, destination, ICMPV6, struct.pack("!BBH", kind, 0, 0) + content, 2)


def advertisement(source: str, destination: str, target: str, link: str, token: bytes = b"") -> bytes:
    """Who says to have `target`, at the MAC `link` (RFC 4861, 4.4)."""
    option = struct.pack("!BB", 2, 1) + mac(link)
    padding = struct.pack("!BB", 0xF0, 2) + token.ljust(14, b"\0") if token else b""
    return icmp6(source, destination, ADVERTISEMENT, struct.pack("!I", 0x60000000) + IPv6Address(target).packed + option + padding)


def solicitation(source: str, destination: str, target: str, token: bytes = b"") -> bytes:
    """Who asks for `target` (RFC 4861, 4.3)."""
    padding = struct.pack("!BB", 0xF0, 2) + token.ljust(14, b"\0") if token else b""
    return icmp6(source, destination, SOLICITATION, bytes(4) + IPv6Address(target).packed + padding)


def router_advertisement(source: str, destination: str, token: bytes) -> bytes:
    """Who says to be a router (RFC 4861, 4.2)."""
    option = struct.pack("!BB", 0xF0, 2) + token.ljust(14, b"\0")
    return icmp6(source, destination, ROUTER_ADVERTISEMENT, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + option)


def behind_options(packet: bytes) -> bytes:
    """The packet with a header of options for its destination before what it carries."""
    head, content = packet[:40], packet[40:]
    options = struct.pack("!BBBB", head[6], 0, 1, 4) + bytes(4)
    return head[:4] + struct.pack("!HB", len(content) + 8, DESTINATION) + head[7:] + options + content
