"""Ports of the host: holding them against other processes, and finding who holds one."""

import contextlib
import ctypes
import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import Unsupported
from linkspan.kernel import sysctl
from linkspan.model.network import IPAddress

_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_SO_ATTACH_FILTER = 26
_BPF_RET = 0x06
_LISTENING = "0A"


def reserve(host_ip: IPAddress, port: int, protocol: str) -> int:
    """Take a port away from everybody else for as long as the returned file descriptor, or a copy of it, is open.

    Nobody can connect to it: a filter drops what arrives. Equivalent to a server that is bound and never answers.
    Of one family only: [::] is not 0.0.0.0. Raises OSError (EADDRINUSE, EADDRNOTAVAIL, EACCES), Unsupported if the kernel does not
    have the protocol.
    """
    kind, number = _KINDS[protocol]
    family = socket.AF_INET6 if host_ip.version == 6 else socket.AF_INET
    try:
        holder = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            raise Unsupported(f"port {port}/{protocol}: the kernel of this host has no {protocol}") from error
        raise
    with holder:
        _drop_everything(holder)
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of a former server that linger in TIME_WAIT don't matter. Not for UDP: two could then hold one port.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((str(host_ip), port))
        if kind == socket.SOCK_STREAM:
            holder.listen(0)  # with SO_REUSEADDR, only a listening socket keeps others from the port
        return holder.detach()


def has_ipv6() -> bool:
    """Whether this host can listen on [::]; equivalent to `test -e /proc/net/if_inet6`."""
    return socket.has_ipv6 and Path("/proc/thread-self/net/if_inet6").exists()


def holder(host_ip: IPAddress, port: int, protocol: str) -> str:
    """Return who holds a port, e.g. `nginx (pid 123)`, empty if nobody is found; equivalent to `ss -lnp sport = :PORT`."""
    inodes = {entry.inode for entry in _sockets(protocol) if entry.port == port and _overlap(entry.address, host_ip)}
    for process in Path("/proc").glob("[0-9]*"):
        if any(_inode(link) in inodes for link in _descriptors(process)):
            try:
                return f"{_printable((process / 'comm').read_text(errors='replace').strip())} (pid {process.name})"
            except OSError:
                continue  # it has just ended
    return ""


def ephemeral_range() -> tuple[int, int]:
    """Return the first and the last port for automatic choice; equivalent to `sysctl net.ipv4.ip_local_port_range`."""
    low, high = sysctl.get("net.ipv4.ip_local_port_range").split()
    return int(low), int(high)


def reserved() -> frozenset[int]:
    """Return the ports that are not for automatic choice; equivalent to `sysctl net.ipv4.ip_local_reserved_ports`."""
    ranges = (part.partition("-") for part in sysctl.get("net.ipv4.ip_local_reserved_ports").split(",") if part)
    return frozenset(port for low, _, high in ranges for port in range(int(low), int(high or low) + 1))


@dataclass(frozen=True, slots=True)
class _Socket:
    address: IPAddress
    port: int
    inode: int


def _drop_everything(holder: socket.socket) -> None:
    """Attach the program `return 0`, see socket(7); before bind(), so that not one packet comes through."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RET, 0, 0, 0))
    holder.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(instruction)))


def _sockets(protocol: str) -> Iterator[_Socket]:
    """Yield the sockets of the calling thread's namespace that can receive from anybody."""
    for table in (protocol, f"{protocol}6"):
        path = Path("/proc/thread-self/net", table)
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        yield from _entries(lines, protocol)


def _entries(lines: Iterable[str], protocol: str) -> Iterator[_Socket]:
    """Read lines of a table of /proc/net; those that are none are left out."""
    for fields in map(str.split, lines):
        with contextlib.suppress(ValueError, IndexError, OverflowError):
            if protocol == "udp" or fields[3] == _LISTENING:
                address, _, port = fields[1].partition(":")
                yield _Socket(_address(address), int(port, 16), int(fields[9]))


def _address(digits: str) -> IPAddress:
    """Read an address as /proc/net prints it: words of 32 bits in the machine's byte order."""
    words = [int(digits[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(digits), 8)]
    return ipaddress.ip_address(b"".join(words))


def _overlap(held: IPAddress, wanted: IPAddress) -> bool:
    """Whether a socket bound to `held` takes what comes to `wanted`; one on [::] is taken for one of both families."""
    if isinstance(held, ipaddress.IPv6Address):
        if held.is_unspecified:
            return True
        held = held.ipv4_mapped or held
    return held.version == wanted.version and (held.is_unspecified or wanted.is_unspecified or held == wanted)


def _descriptors(process: Path) -> Iterator[str]:
    try:
        entries = os.listdir(process / "fd")  # noqa: PTH208  tens of thousands of them: no Path for each
    except OSError:
        return  # it has just ended
    for entry in entries:
        try:
            yield os.readlink(f"{process}/fd/{entry}")  # noqa: PTH115  as above
        except OSError:
            continue


def _printable(name: str) -> str:
    """A process chooses its name itself: it must not write into a log or onto a terminal more than that."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def _inode(link: str) -> int:
    return int(link[8:-1]) if link.startswith("socket:[") else 0
