"""What a network's options say about whom its containers ask. They are our own; Docker has none of the kind."""

import ipaddress
from collections.abc import Mapping

from linkspan.errors import InvalidInput

SERVERS = "linkspan.dns.servers"
"""Who is asked in place of the host's servers: addresses, comma-separated."""
ROUTES = "linkspan.dns.routes"
"""DOMAIN=ADDRESS, comma-separated: who is asked for a domain. A domain may come several times."""


def servers(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the servers; raises InvalidInput."""
    return tuple(_address(SERVERS, entry) for entry in _entries(options, SERVERS))


def routes(options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (domain, server) pairs; raises InvalidInput."""
    pairs = []
    for entry in _entries(options, ROUTES):
        domain, found, server = entry.partition("=")
        if not found or not domain.strip("."):
            raise InvalidInput(f"invalid option {ROUTES}: {entry!r} is not DOMAIN=ADDRESS")
        pairs.append((domain.strip(".").lower(), _address(ROUTES, server)))
    return tuple(pairs)


def check(options: Mapping[str, str]) -> None:
    """Raise InvalidInput if these options cannot be carried out."""
    servers(options)
    routes(options)


def _entries(options: Mapping[str, str], option: str) -> list[str]:
    return [entry.strip() for entry in options.get(option, "").split(",") if entry.strip()]


def _address(option: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as error:
        raise InvalidInput(f"invalid option {option}: {text!r} is not an IP address") from error
