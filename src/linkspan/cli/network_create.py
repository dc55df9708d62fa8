"""`linkspan network create` and `linkspan network update`."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from linkspan.cli.client import Client, quote
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import BOOL, INT, LABELS, LIST, MAP, STRING, Flag, Given, Kind
from linkspan.cli.output import complain


def pairs(entries: list[str]) -> dict[str, str]:
    """Return NAME=VALUE entries as a mapping; NAME alone has no value."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _create(client: Client, given: Given) -> int:
    body: dict[str, Any] = {
        "Name": given.arguments[0],
        "Driver": given.text("driver"),
        "Scope": given.text("scope"),
        "Internal": given.switch("internal"),
        "Attachable": given.switch("attachable"),
        "Ingress": given.switch("ingress"),
        "ConfigOnly": given.switch("config-only"),
        "Options": pairs(given.many("opt")),
        "Labels": pairs(given.many("label")),
        "IPAM": {"Driver": given.text("ipam-driver"), "Options": pairs(given.many("ipam-opt")), "Config": _pools(given)},
    }
    if given.text("config-from"):
        body["ConfigFrom"] = {"Network": given.text("config-from")}
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
    auxiliary = [(f"{name}={address}", address) for name, address in pairs(given.many("aux-address")).items()]
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
        raise CommandError(f"no matching subnet for {title} {address if field == 'AuxAddress' else text}")
    if field == "AuxAddress":
        inside[0].setdefault("AuxiliaryAddresses", {})[text.partition("=")[0]] = address
        return
    if field in inside[0]:
        where = "for" if field == "Gateway" else "on"
        subnet = inside[0]["Subnet"]
        raise CommandError(f"cannot configure multiple {title}s ({text}, {inside[0][field]}) {where} the same subnet ({subnet})")
    inside[0][field] = text


def _update(client: Client, given: Given) -> int:
    body: dict[str, Any] = {"Labels": pairs(given.many("label")), "RemoveLabels": given.many("label-rm")}
    values = {
        "Dns": ("dns", [server for server in given.many("dns") if server]),
        "Mtu": ("mtu", given.number("mtu")),
        "Icc": ("icc", given.switch("icc")),
        "Subnet": ("subnet", given.text("subnet")),
    }
    body |= {field: value for field, (flag, value) in values.items() if given.has(flag)}
    for name in given.arguments:
        client.post(f"/networks/{quote(name)}/update", body)
        print(name)
    return 0


_STRINGS = Kind("strings", lambda text: text.split(","), many=True)
_CREATE_FLAGS = (
    Flag("attachable", "Enable manual container attachment"),
    Flag("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver", MAP),
    Flag("config-from", "The network from which to copy the configuration", STRING),
    Flag("config-only", "Create a configuration only network"),
    Flag("driver", "Driver to manage the Network", STRING, "d", "bridge"),
    Flag("gateway", "IPv4 or IPv6 Gateway for the master subnet", _STRINGS),
    Flag("ingress", "Create swarm routing-mesh network"),
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
_UPDATE_FLAGS = (
    Flag("dns", 'Set the name servers of its containers ("": those of the host)', LIST),
    Flag("icc", "Let its containers reach each other", BOOL),
    Flag("label", "Add or change a label", LABELS),
    Flag("label-rm", "Remove a label", LIST),
    Flag("mtu", "Set the MTU (0: the smallest of the host's ways out)", INT),
    Flag("subnet", "Set a larger subnet, which the old one is in", STRING),
)

COMMANDS = {
    command.path: command
    for command in (
        Command("network create", "[OPTIONS] NETWORK", _create, _CREATE_FLAGS, 1, 1),
        Command("network update", "[OPTIONS] NETWORK [NETWORK...]", _update, _UPDATE_FLAGS, 1, None, completes="networks"),
    )
}
