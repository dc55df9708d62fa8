"""The network part of a create request: `--network` in both forms, and the older flags that apply to the first network."""

import re
from typing import Any

from linkspan.cli.failures import CommandError
from linkspan.cli.options import Given

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
# What a network may say for itself, the flag that says it too, and how a clash of the two is called.
_CLASHES = (
    ("alias", "network-alias", "--network-alias and per-network alias"),
    ("link", "link", "--link and per-network links"),
    ("ip", "ip", "--ip and per-network IPv4 address"),
    ("ip6", "ip6", "--ip6 and per-network IPv6 address"),
    ("mac-address", "mac-address", "--mac-address and per-network MAC address"),
    ("link-local-ip", "link-local-ip", "--link-local-ip and per-network link-local IP addresses"),
)
_MANY = frozenset(("alias", "link", "link-local-ip"))


def network_mode(given: Given) -> str:
    """Return HostConfig.NetworkMode."""
    networks = given.many("network")
    return networks[0]["name"] if networks else "default"


def endpoints(given: Given) -> dict[str, dict[str, Any]]:
    """Return NetworkingConfig.EndpointsConfig.

    Raises CommandError in Docker's words (semantics 3.2.4).
    """
    asked = given.many("network")
    networks = [dict(network) for network in asked] or [{"name": "default"}]
    _apply_flags(networks[0], given)
    found: dict[str, dict[str, Any]] = {}
    for network in networks:
        name = network["name"]
        endpoint = _endpoint(network)
        if name in found:
            raise CommandError(f'network "{name}" is specified multiple times')
        found[name] = endpoint
    if len({user_defined(name) for name in found}) > 1:
        raise CommandError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    # As docker: a single network without options of its own is said by NetworkMode alone.
    return {} if len(asked) == 1 and not any(found.values()) else found


def user_defined(name: str) -> bool:
    """Whether the mode names a network that a user made."""
    return name not in ("default", "bridge", "host", "none") and name != "container" and not name.startswith("container:")


def _apply_flags(network: dict[str, Any], given: Given) -> None:
    for key, flag, clash in _CLASHES:
        value = given.many(flag) if key in _MANY else given.text(flag)
        if not value:
            continue
        if network.get(key):
            raise CommandError(f"conflicting options: cannot specify both {clash}")
        if key != "link" or user_defined(network["name"]):  # elsewhere --link is the default bridge's legacy link
            network[key] = value


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    name = network["name"]
    if not name.strip():
        raise CommandError("no name set for network")
    if not user_defined(name) and network.get("alias"):
        raise CommandError("network-scoped aliases are only supported for user-defined networks")
    if not user_defined(name) and network.get("link"):
        raise CommandError("links are only supported for user-defined networks")
    addresses = {"IPv4Address": network.get("ip"), "IPv6Address": network.get("ip6"), "LinkLocalIPs": network.get("link-local-ip")}
    mac = network.get("mac-address", "")
    if mac and not _MAC.fullmatch(mac):
        raise CommandError(f"{mac} is not a valid mac address")
    endpoint = {
        "Aliases": network.get("alias"),
        "DriverOpts": network.get("driver-opt"),
        "GwPriority": network.get("gw-priority"),
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Links": network.get("link"),
        "MacAddress": mac,
    }
    return {key: value for key, value in endpoint.items() if value}
