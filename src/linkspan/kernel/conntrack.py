"""Connections that the kernel tracks (ctnetlink, linux/netfilter/nfnetlink_conntrack.h)."""

import errno
import logging
import socket
import struct
from collections.abc import Collection, Iterator

from linkspan.model.network import IPAddress

logger = logging.getLogger(__name__)

_NETLINK_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_ORIGINAL, _ZONE, _FILTER = 1, 18, 25
_IP, _PROTOCOL = 1, 2
_DESTINATIONS = {socket.AF_INET: 2, socket.AF_INET6: 4}
_NUMBER, _DESTINATION_PORT = 1, 3
_BY_NUMBER, _BY_DESTINATION_PORT = 1 << 3, 1 << 5
_UDP = 17
_PATIENCE = 20


def forget_udp(ports: Collection[tuple[IPAddress, int]]) -> None:
    """Let go of UDP conversations with these addresses and ports, so that the next packet of each meets the ruleset again.

    Equivalent to `conntrack -D -p udp --orig-dst ADDRESS --orig-port-dst PORT` for each. It is no reason to fail if the kernel cannot:
    they end by themselves when they are silent for two minutes.
    """
    wanted = {(address.packed, port) for address, port in ports}
    families = {(socket.AF_INET6 if address.version == 6 else socket.AF_INET, port) for address, port in ports}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as opened:
            opened.settimeout(_PATIENCE)
            opened.bind((0, 0))
            for family, port in families:
                for attributes in list(_dump(opened, port, family)):
                    original = _attributes(attributes[_ORIGINAL])
                    if (_attributes(original[_IP]).get(_DESTINATIONS[family], b""), port) in wanted:
                        _delete(opened, attributes, family)
    except OSError as error:
        absent = error.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL)  # CONFIG_NF_CT_NETLINK
        logger.log(logging.DEBUG if absent else logging.WARNING, "cannot forget UDP conversations: %s", error)


def _dump(opened: socket.socket, port: int, family: int = socket.AF_INET) -> Iterator[dict[int, bytes]]:
    """Yield the attributes of every UDP conversation of a family that was begun to this port."""
    protocol = _attribute(_NUMBER, bytes([_UDP])) + _attribute(_DESTINATION_PORT, struct.pack("!H", port))
    question = _attribute(_ORIGINAL | _NESTED, _attribute(_PROTOCOL | _NESTED, protocol))
    # Before Linux 5.8 the kernel takes no filter and tells of everything.
    question += _attribute(_FILTER | _NESTED, _attribute(1, struct.pack("I", _BY_NUMBER | _BY_DESTINATION_PORT)) + _attribute(2, bytes(4)))
    for content in _answers(opened, (_GET, _REQUEST | _DUMP), question, family):
        attributes = _attributes(content[4:])
        found = _attributes(_attributes(attributes[_ORIGINAL])[_PROTOCOL])
        if found[_NUMBER] == bytes([_UDP]) and found.get(_DESTINATION_PORT) == struct.pack("!H", port):
            yield attributes


def _delete(opened: socket.socket, attributes: dict[int, bytes], family: int) -> None:
    body = _attribute(_ORIGINAL | _NESTED, attributes[_ORIGINAL])
    if _ZONE in attributes:
        body += _attribute(_ZONE, attributes[_ZONE])
    try:
        for _ in _answers(opened, (_DELETE, _REQUEST | _ACK), body, family):
            pass
    except FileNotFoundError:
        pass  # it has ended by itself


def _answers(opened: socket.socket, request: tuple[int, int], attributes: bytes, family: int) -> Iterator[bytes]:
    """Send a request (kind, flags) about a family and yield what comes back up to its end; raises OSError for a refusal."""
    body = struct.pack("BBH", family, 0, 0) + attributes
    opened.send(struct.pack("IHHII", 16 + len(body), *request, 0, 0) + body)
    while True:
        data = opened.recv(1 << 16)
        while data:
            length, answered = struct.unpack_from("IH", data)
            content, data = data[16:length], data[(length + 3) & ~3 :]
            if answered == _ERROR and (code := -int(struct.unpack_from("i", content)[0])):
                raise OSError(code, "ctnetlink")
            if answered in (_ERROR, _DONE):
                return
            yield content


def _attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("HH", 4 + len(value), kind) + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[(max(length, 4) + 3) & ~3 :]
    return found
