"""`linkspan network ls|rm|connect|disconnect|prune` (inspect is with the other inspects, create and update have their own module)."""

import re
from collections.abc import Mapping
from typing import Any

from linkspan.cli.client import Client, encode_filters, quote
from linkspan.cli.commands import Command
from linkspan.cli.containers import PRUNE_FLAGS
from linkspan.cli.create_values import LINKS
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.listing import FORMAT
from linkspan.cli.network_create import pairs
from linkspan.cli.options import BOOL, FILTER, INT, LIST, STRING, Flag, Given
from linkspan.cli.output import confirm, for_each, labels_text, print_rows, short_id

_HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_USAGE_HEADERS = {"Name": "NAME", "Subnet": "SUBNET", "InUse": "IN USE", "Free": "FREE"}


def _path(name: str, action: str = "") -> str:
    if not name.strip():
        raise CommandError("invalid network name or ID: value is empty")
    return f"/networks/{quote(name)}{'/' if action else ''}{action}"


def _ls(client: Client, given: Given) -> int:
    found = client.get("/networks", filters=encode_filters(given.many("filter")))
    found = sorted(found, key=lambda network: _natural(network["Name"]))
    if given.switch("usage"):
        return _usage(client, [network["Id"] for network in found], given)
    rows = [_row(network, whole=given.switch("no-trunc")) for network in found]
    if given.switch("quiet") and given.text("format") in ("", "table"):
        for row in rows:
            print(row["ID"])
        return 0
    print_rows(rows, given.text("format"), _HEADERS, ("ID", "Name", "Driver", "Scope"))
    return 0


def _usage(client: Client, ids: list[str], given: Given) -> int:
    """Print how much of each pool is given out."""
    rows = []
    for network in (client.get(_path(network_id)) for network_id in ids):
        pools = network.get("Status", {}).get("IPAM", {}).get("Subnets", {})
        for subnet, pool in pools.items():
            rows.append({"Name": network["Name"], "Subnet": subnet, "InUse": pool["IPsInUse"], "Free": pool["DynamicIPsAvailable"]})
    print_rows(rows, given.text("format"), _USAGE_HEADERS, tuple(_USAGE_HEADERS))
    return 0


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort `net2` before `net10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _row(network: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    labels = network.get("Labels") or {}
    return {
        "CreatedAt": _created(str(network.get("Created", ""))),
        "Driver": network["Driver"],
        "ID": network["Id"] if whole else short_id(network["Id"]),
        "IPv4": str(network.get("EnableIPv4", True)).lower(),
        "IPv6": str(network.get("EnableIPv6", False)).lower(),
        "Internal": str(network.get("Internal", False)).lower(),
        "Label": lambda name: labels.get(name, ""),
        "Labels": labels_text(labels),
        "Name": network["Name"],
        "Scope": network.get("Scope", ""),
    }


def _created(text: str) -> str:
    """Turn RFC 3339 in UTC into what Go prints: `2026-11-24 01:00:00.123 +0000 UTC`."""
    return f"{text.removesuffix('Z').replace('T', ' ')} +0000 UTC" if text.endswith("Z") else text


def _rm(client: Client, given: Given) -> int:
    force = given.switch("force")

    def remove(name: str) -> str | None:
        try:
            client.delete(_path(name))
        except ApiError as error:
            if force and error.code == 404:
                return None
            raise
        return name

    return for_each(given.arguments, remove)


def _connect(client: Client, given: Given) -> int:
    network, container = given.arguments
    addresses = {"IPv4Address": given.text("ip"), "IPv6Address": given.text("ip6"), "LinkLocalIPs": given.many("link-local-ip")}
    endpoint = {
        "Aliases": given.many("alias"),
        "DriverOpts": _driver_options(given.many("driver-opt")),
        "GwPriority": given.number("gw-priority"),
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Links": given.many("link"),
    }
    present = {key: value for key, value in endpoint.items() if value}
    client.post(_path(network, "connect"), {"Container": container, "EndpointConfig": present})
    return 0


def _driver_options(entries: list[str]) -> dict[str, str]:
    if any("=" not in entry for entry in entries):
        raise CommandError("invalid key/value pair format in driver options")
    return pairs(entries)


def _disconnect(client: Client, given: Given) -> int:
    network, container = given.arguments
    client.post(_path(network, "disconnect"), {"Container": container, "Force": given.switch("force")})
    return 0


def _prune(client: Client, given: Given) -> int:
    if not given.switch("force"):
        confirm("WARNING! This will remove all custom networks not used by at least one container.")
    removed = client.post("/networks/prune", filters=encode_filters(given.many("filter"))).get("NetworksDeleted")
    if removed:
        print("Deleted Networks:", *removed, "", sep="\n")
    return 0


_CONNECT_FLAGS = (
    Flag("alias", "Add network-scoped alias for the container", LIST),
    Flag("driver-opt", "driver options for the network", LIST),
    Flag("gw-priority", "Highest gw-priority provides the default gateway", INT),
    Flag("ip", "IPv4 address (e.g., 172.30.100.104)", STRING),
    Flag("ip6", "IPv6 address (e.g., 2001:db8::33)", STRING),
    Flag("link", "Add link to another container", LINKS),
    Flag("link-local-ip", "Add a link-local address for the container", LIST),
)
_LS_FLAGS = (
    Flag("filter", 'Provide filter values (e.g. "driver=bridge")', FILTER, "f"),
    FORMAT,
    Flag("no-trunc", "Do not truncate the output"),
    Flag("quiet", "Only display network IDs", BOOL, "q"),
    Flag("usage", "Show how much of each subnet is given out"),
)
_FORCE_REMOVE = Flag("force", "Do not error if the network does not exist", BOOL, "f")
_FORCE_DISCONNECT = Flag("force", "Force the container to disconnect from a network", BOOL, "f")
_PAIR = "[OPTIONS] NETWORK CONTAINER"

COMMANDS = {
    command.path: command
    for command in (
        Command("network ls", "[OPTIONS]", _ls, _LS_FLAGS),
        Command("network rm", "NETWORK [NETWORK...]", _rm, (_FORCE_REMOVE,), 1, None, completes="networks"),
        Command("network connect", _PAIR, _connect, _CONNECT_FLAGS, 2, 2, completes="networks"),
        Command("network disconnect", _PAIR, _disconnect, (_FORCE_DISCONNECT,), 2, 2, completes="networks"),
        Command("network prune", "[OPTIONS]", _prune, PRUNE_FLAGS),
    )
}
