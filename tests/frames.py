"""Ethernet frames by hand: what no honest protocol stack sends."""

import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from tests.hosts import Namespace

IPV4, ARP, IPV6, VLAN, QINQ, UNKNOWN = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x88B5
BROADCAST = "ff:ff:ff:ff:ff:ff"


def frame(target: str, sender: str, kind: int, content: bytes) -> bytes:
    """An Ethernet frame; `kind` below 0x600 is a length (IEEE 802.3)."""
    return mac(target) + mac(sender) + struct.pack("!H", kind) + content


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def udp(source: str, destination: str, content: bytes = b"", ports: tuple[int, int] = (9, 9)) -> bytes:
    """An IPv4 packet with a UDP datagram that has no checksum."""
    return packet(source, destination, 17, struct.pack("!HHHH", *ports, 8 + len(content), 0) + content)


def packet(source: str, destination: str, protocol: int, content: bytes) -> bytes:
    """An IPv4 packet with a right header."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(content), 1, 0, 64, protocol, 0, packed(source), packed(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + content


def packed(address: str) -> bytes:
    return IPv4Address(address).packed


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str], sizes: tuple[int, int, int, int] = (1, IPV4, 6, 4)) -> bytes:
    """An ARP message; `sender` and `target` are (MAC, address)."""
    parts = (mac(sender[0]), packed(sender[1]), mac(target[0]), packed(target[1]))
    return struct.pack("!HHBBH", *sizes, operation) + b"".join(parts)


def tcp(ports: tuple[int, int], flags: int, addresses: tuple[str, str], content: bytes = b"") -> bytes:
    """An IPv4 packet with a TCP segment, its checksums right."""
    segment = struct.pack("!HHIIBBHHH", *ports, 1000, 2000, 5 << 4, flags, 1024, 0, 0) + content
    pseudo = packed(addresses[0]) + packed(addresses[1]) + struct.pack("!BBH", 0, 6, len(segment))
    total = checksum(pseudo + segment + bytes(len(segment) % 2))
    return packet(*addresses, 6, segment[:16] + struct.pack("!H", total) + segment[18:])


def icmp(addresses: tuple[str, str], kind: int, code: int, content: bytes) -> bytes:
    """An IPv4 packet with an ICMP message; `content` is what follows its first 8 bytes."""
    message = struct.pack("!BBHI", kind, code, 0, 0) + content
    total = checksum(message + bytes(len(message) % 2))
    return packet(*addresses, 1, message[:2] + struct.pack("!H", total) + message[4:])


def arriving(receiver: Namespace, send: Callable[[], None], tokens: Mapping[str, bytes], last: bytes, interface: str = "eth0") -> set[str]:
    """Return the names of those `tokens` that `interface` of the receiver sees in what `send` sends, until it sees `last`.

    What is not seen before `last` has not arrived: frames of one processor's sender keep their order.
    """

    def listen() -> set[str]:
        seen: set[str] = set()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listener:  # ETH_P_ALL
            listener.bind((interface, 0))
            listener.settimeout(10)
            send()
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                data = listener.recv(65536)
                seen |= {name for name, token in tokens.items() if token in data}
                if last in data:
                    return seen
        raise AssertionError("the last frame did not arrive")

    return receiver.run(listen)


def sending(sender: Namespace, frames: list[bytes], interface: str = "eth0") -> Callable[[], None]:
    """Return what sends the frames out of the sender's interface, in order."""

    def send() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # of this thread, which ends with it
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind((interface, 0))
            for each in frames:
                out.send(each.ljust(60, b"\0"))

    return lambda: sender.run(send)
