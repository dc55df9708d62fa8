"""The grammar of `-p` and `--expose`, with Docker's error texts.

    spec   := [ [ ip ":" ] [ hport ] ":" ] cport [ "/" proto ]
    hport  := N | N "-" M          cport := N | N "-" M
    ip     := IPv4 | "[" IPv6 "]"  | bare IPv6 (all but the last two ":" fields)

or `target=80,published=8080,protocol=udp`. Source: nat.ParsePortSpec of docker/go-connections, opts/port.go of docker/cli.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

_PROTOCOLS = ("tcp", "udp", "sctp")
_LONG_KEY = re.compile(r"(target|published|protocol|mode|host_ip|name|app_protocol)\s*=", re.IGNORECASE)


class Binding(NamedTuple):
    """One container port and where it is to be published; `host_port` is empty for any, or a range as text."""

    port: str
    """`80/tcp`."""
    host_ip: str = ""
    host_port: str = ""


class _Range(NamedTuple):
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


def parse_publish(spec: str) -> list[Binding]:
    """Parse one value of `-p`.

    Raises ValueError in Docker's words.
    """
    raw = _from_long(spec) if _LONG_KEY.match(spec) else spec
    ip, host, container, protocol = _split(raw)
    if not container:
        raise ValueError(f"no port specified: {raw}<empty>")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    address = _address(ip)
    inside = _range(container, "containerPort")
    if not host:
        return [Binding(f"{number}/{protocol}", address) for number in range(inside.first, inside.last + 1)]
    outside = _range(host, "hostPort")
    if inside.size == 1:
        return [Binding(f"{inside.first}/{protocol}", address, host if outside.size > 1 else str(outside.first))]
    if inside.size != outside.size:
        raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
    return [Binding(f"{inside.first + step}/{protocol}", address, str(outside.first + step)) for step in range(inside.size)]


def parse_expose(spec: str) -> list[str]:
    """Parse one value of `--expose` into `80/tcp`, ….

    Raises ValueError in Docker's words.
    """
    if ":" in spec:
        raise ValueError(f"invalid port format for --expose: {spec}")
    ports, _, protocol = spec.partition("/")
    try:
        first, last = _port_range(ports)
    except ValueError as error:
        raise ValueError(f"invalid range format for --expose: {ports}, error: {error}") from error
    protocol = (protocol or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    return [f"{number}/{protocol}" for number in range(first, last + 1)]


def bindings_by_port(bindings: Iterable[Binding]) -> dict[str, list[dict[str, str]]]:
    """Return HostConfig.PortBindings."""
    ports: dict[str, list[dict[str, str]]] = {}
    for binding in bindings:
        ports.setdefault(binding.port, []).append({"HostIp": binding.host_ip, "HostPort": binding.host_port})
    return ports


def _from_long(spec: str) -> str:
    values = {"protocol": "tcp", "published": "", "target": ""}
    for field in spec.split(","):
        name, equals, value = field.partition("=")
        if not equals or not value:
            raise ValueError(f"invalid publish opts format (should be name=value but got '{field}')")
        values[name.strip().lower()] = value
    return f"{values['published']}:{values['target']}/{values['protocol']}"


def _split(raw: str) -> tuple[str, str, str, str]:
    """Return ip, host port, container port and protocol as text."""
    body, *protocol = raw.split("/")
    *front, container = body.split(":")
    host = front.pop() if front else ""
    return ":".join(front), host, container, (protocol[0] if protocol and protocol[0] else "tcp").lower()


def _address(text: str) -> str:
    if not text:
        return ""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if "%" in bare:
            raise ValueError("a zone")
        ipaddress.ip_address(bare)
    except ValueError as error:
        raise ValueError(f"invalid IP address: {text}") from error
    return bare


def _range(text: str, name: str) -> _Range:
    try:
        first, last = _port_range(text)
    except ValueError as error:
        raise ValueError(f"invalid {name}: {text}") from error
    return _Range(first, last)


def _port_range(text: str) -> tuple[int, int]:
    if not text:
        raise ValueError("empty string specified for ports")
    start, dash, end = text.partition("-")
    first = _port(start)
    last = _port(end) if dash else first
    if last < first:
        raise ValueError(f"invalid range specified for port: {text}")
    return first, last


def _port(text: str) -> int:
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
