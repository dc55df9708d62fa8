"""`linkspan network ls|create|rm|connect|disconnect|prune` (inspect is with the other inspects)."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from linkspan.cli.client import Client, encode_filters, quote
from linkspan.cli.commands import Command
from linkspan.cli.containers import PRUNE_FLAGS
from linkspan.cli.create_values import LINKS
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.listing import FORMAT
from linkspan.cli.options import BOOL, FILTER, INT, LABELS, LIST, MAP, STRING, Flag, Given, Kind
from linkspan.cli.output import complain, confirm, for_each, labels_text, print_rows, short_id

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


def _path(name: str, action: str = "") -> str:
    if not name.strip():
        raise CommandError("invalid network name or ID: value is empty")
    return f"/networks/{quote(name)}{'/' if action else ''}{action}"


def _ls(client: Client, given: Given) -> int:
    found = client.get("/networks", filters=encode_filters(given.many("filter")))
    rows = [_row(network, whole=given.switch("no-trunc")) for network in sorted(found, key=lambda network: _natural(network["Name"]))]
    if given.switch("quiet") and given.text("format") in ("", "table"):
        for row in rows:
            print(row["ID"])
        return 0
    print_rows(rows, given.text("format"), _HEADERS, ("ID", "Name", "Driver", "Scope"))
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


def _create(client: Client, given: Given) -> int:
    body: dict[str, Any] = {
        "Name": given.arguments[0],
        "Driver": given.text("driver"),
        "Scope": given.text("scope"),
        "Internal": given.switch("internal"),
        "Attachable": given.switch("attachable"),
        "Options": _pairs(given.many("opt")),
        "Labels": _pairs(given.many("label")),
        "IPAM": {"Driver": given.text("ipam-driver"), "Options": _pairs(given.many("ipam-opt")), "Config": _pools(given)},
    }
    for flag, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if given.has(flag):
            body[field] = given.switch(flag)
    answer = client.post("/networks/create", body)
    if warning := answer.get("Warning"):
        complain(f"WARNING: {warning}")
    print(answer["Id"])
    return 0


def _pools(given: Given) -> list[dict[str, Any]]:
    """Give each subnet the range, the gateway and the auxiliary addresses that lie in it.

    Raises CommandError in Docker's words.
    """
    subnets = [subnet for texts in given.many("subnet") for subnet in texts]
    ranges = [(text, text.partition("/")[0]) for texts in given.many("ip-range") for text in texts]
    gateways = [(text, text) for texts in given.many("gateway") for text in texts]
    if max(len(ranges), len(gateways)) > len(subnets):
        raise CommandError("every ip-range or gateway must have a corresponding subnet")
    pools: dict[str, dict[str, Any]] = {}
    for subnet in subnets:
        if any(_overlap(subnet, other) for other in pools):
            raise CommandError("multiple overlapping subnet configuration is not supported")
        pools[subnet] = {"Subnet": subnet}
    auxiliary = [(f"{name}={address}", address) for name, address in _pairs(given.many("aux-address")).items()]
    for field, title, entries in (("IPRange", "range", ranges), ("Gateway", "gateway", gateways), ("AuxAddress", "aux-address", auxiliary)):
        for text, address in entries:
            _assign(pools, field, title, (text, address))
    return list(pools.values())


def _overlap(one: str, other: str) -> bool:
    """Whether two subnets overlap; what is no subnet overlaps nothing, and the engine will say so."""
    try:
        return ipaddress.ip_network(one, strict=False).overlaps(ipaddress.ip_network(other, strict=False))
    except (ValueError, TypeError):
        return False


def _assign(pools: Mapping[str, dict[str, Any]], field: str, title: str, entry: tuple[str, str]) -> None:
    text, address = entry
    try:
        inside = [pool for subnet, pool in pools.items() if ipaddress.ip_address(address) in ipaddress.ip_network(subnet, strict=False)]
    except ValueError as error:
        raise CommandError(f"invalid {title} {text}") from error
    if not inside:
        raise CommandError(f"no matching subnet for {title} {text}")
    if field == "AuxAddress":
        inside[0].setdefault("AuxiliaryAddresses", {})[text.partition("=")[0]] = address
        return
    if field in inside[0]:
        raise CommandError(f"cannot configure multiple {title}s ({text}, {inside[0][field]}) on the same subnet ({inside[0]['Subnet']})")
    inside[0][field] = text


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
    return _pairs(entries)


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


def _pairs(entries: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


_STRINGS = Kind("strings", lambda text: text.split(","), many=True)
_CREATE_FLAGS = (
    Flag("attachable", "Enable manual container attachment"),
    Flag("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver", MAP),
    Flag("driver", "Driver to manage the Network", STRING, "d", "bridge"),
    Flag("gateway", "IPv4 or IPv6 Gateway for the master subnet", _STRINGS),
    Flag("internal", "Restrict external access to the network"),
    Flag("ip-range", "Allocate container ip from a sub-range", _STRINGS),
    Flag("ipam-driver", "IP Address Management Driver", STRING, default="default"),
    Flag("ipam-opt", "Set IPAM driver specific options", MAP),
    Flag("ipv4", "Enable or disable IPv4 address assignment", BOOL, default="true"),
    Flag("ipv6", "Enable or disable IPv6 address assignment"),
    Flag("label", "Set metadata on a network", LABELS),
    Flag("opt", "Set driver specific options", MAP, "o"),
    Flag("scope", "Control the network's scope", STRING),
    Flag("subnet", "Subnet in CIDR format that represents a network segment", _STRINGS),
)
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
)
_FORCE_REMOVE = Flag("force", "Do not error if the network does not exist", BOOL, "f")
_FORCE_DISCONNECT = Flag("force", "Force the container to disconnect from a network", BOOL, "f")
_PAIR = "[OPTIONS] NETWORK CONTAINER"

COMMANDS = {
    command.path: command
    for command in (
        Command("network ls", "[OPTIONS]", _ls, _LS_FLAGS),
        Command("network create", "[OPTIONS] NETWORK", _create, _CREATE_FLAGS, 1, 1),
        Command("network rm", "NETWORK [NETWORK...]", _rm, (_FORCE_REMOVE,), 1, None, completes="networks"),
        Command("network connect", _PAIR, _connect, _CONNECT_FLAGS, 2, 2, completes="networks"),
        Command("network disconnect", _PAIR, _disconnect, (_FORCE_DISCONNECT,), 2, 2, completes="networks"),
        Command("network prune", "[OPTIONS]", _prune, PRUNE_FLAGS),
    )
}
