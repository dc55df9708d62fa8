"""`linkspan ps`."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from linkspan.cli.client import Client, encode_filters
from linkspan.cli.commands import Command
from linkspan.cli.options import BOOL, FILTER, INT, STRING, Flag, Given
from linkspan.cli.output import labels_text, print_rows, short_id, shorten
from linkspan.cli.units import decimal_size, moment_text, since_text

_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def _ps(client: Client, given: Given) -> int:
    last = 1 if given.switch("latest") and not given.has("last") else given.number("last")
    form = given.text("format")
    size = given.switch("size") or ".Size" in form
    found = client.get(
        "/containers/json",
        all=given.switch("all") or last > 0,
        limit=last if last > 0 else None,
        size=size,
        filters=encode_filters(given.many("filter")),
    )
    whole, now = given.switch("no-trunc"), time.time()
    rows = [container_row(item, now, whole=whole) for item in found]
    if given.switch("quiet") and form in ("", "table"):
        for row in rows:
            print(row["ID"])
        return 0
    print_rows(rows, form, _HEADERS, (*_COLUMNS, "Size") if given.switch("size") else _COLUMNS)
    return 0


def container_row(item: Mapping[str, Any], now: float, *, whole: bool = False) -> dict[str, Any]:
    """Return the fields of one container that `--format` can name; `whole` cuts nothing off."""
    labels = item.get("Labels") or {}
    command = '"' + str(item.get("Command", "")).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {
        "Command": command if whole else f'"{shorten(command[1:-1], 20)}"',
        "CreatedAt": moment_text(item.get("Created", 0)),
        "ID": item["Id"] if whole else short_id(item["Id"]),
        "Image": item["Image"] if whole else _image(item),
        "Label": lambda name: labels.get(name, ""),
        "Labels": labels_text(labels),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or ())),
        "Mounts": ",".join(_mounts(item.get("Mounts") or (), whole=whole)),
        "Names": ",".join(_names(item.get("Names") or (), whole=whole)),
        "Networks": ",".join(((item.get("NetworkSettings") or {}).get("Networks") or {}).keys()),
        "Platform": None,
        "Ports": ports_text(item.get("Ports") or ()),
        "RunningFor": since_text(item.get("Created", 0), now),
        "Size": _size(item),
        "State": item.get("State", ""),
        "Status": item.get("Status", ""),
    }


def _image(item: Mapping[str, Any]) -> str:
    image = str(item["Image"]) or "<no image>"
    if short_id(image) == short_id(item.get("ImageID", "")) and len(image) > 12:
        return short_id(image)
    name, at, _ = image.partition("@")
    return name if at else image


def _names(names: Iterable[str], *, whole: bool) -> list[str]:
    """A name with a second slash is a link's alias: docker shows those only in full output."""
    bare = [name.removeprefix("/") for name in names]
    return bare if whole else [name for name in bare if "/" not in name]


def _mounts(mounts: Iterable[Mapping[str, Any]], *, whole: bool) -> Iterator[str]:
    for mount in mounts:
        name = mount.get("Name") or mount.get("Source") or ""
        yield name if whole else shorten(name, 15)


def _size(item: Mapping[str, Any]) -> str:
    own = decimal_size(item.get("SizeRw") or 0, 3)
    return f"{own} (virtual {decimal_size(item['SizeRootFs'], 3)})" if item.get("SizeRootFs") else own


def ports_text(ports: Iterable[Mapping[str, Any]]) -> str:
    """Return the PORTS column, in the order of docker's DisplayablePorts: runs of ports first, then those with another host port."""
    runs: dict[tuple[str, str], _Run] = {}
    done: list[str] = []
    mapped: list[str] = []
    for port in sorted(ports, key=_port_order):
        address, number, protocol = port.get("IP") or "", port["PrivatePort"], port["Type"]
        if address and port.get("PublicPort") != number:
            mapped.append(f"{_bracketed(address)}:{port.get('PublicPort')}->{number}/{protocol}")
            continue
        run = runs.get((address, protocol))
        if run is not None and run.last + 1 == number:
            run.last = number
            continue
        if run is not None:
            done.append(str(run))
        runs[address, protocol] = _Run(address, protocol, number)
    return ", ".join([*done, *map(str, runs.values()), *mapped])


class _Run:
    """Consecutive ports of one address, published under their own numbers, or of no address."""

    def __init__(self, address: str, protocol: str, first: int) -> None:
        self.address = address
        self.protocol = protocol
        self.first = self.last = first

    def __str__(self) -> str:
        numbers = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        front = f"{_bracketed(self.address)}:{numbers}->" if self.address else ""
        return f"{front}{numbers}/{self.protocol}"


def _port_order(port: Mapping[str, Any]) -> tuple[Any, ...]:
    return port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_FORMAT_HELP = "Format output: 'table' (default), 'table TEMPLATE', 'json' or a Go template, e.g. '{{.Names}}: {{.Ports}}'"
FORMAT = Flag("format", _FORMAT_HELP, STRING)

COMMANDS = {
    "ps": Command(
        "ps",
        "[OPTIONS]",
        _ps,
        (
            Flag("all", "Show all containers (default shows just running)", BOOL, "a"),
            Flag("filter", "Filter output based on conditions provided", FILTER, "f"),
            FORMAT,
            Flag("last", "Show n last created containers (includes all states)", INT, "n", "-1"),
            Flag("latest", "Show the latest created container (includes all states)", BOOL, "l"),
            Flag("no-trunc", "Don't truncate output"),
            Flag("quiet", "Only display container IDs", BOOL, "q"),
            Flag("size", "Display total file sizes", BOOL, "s"),
        ),
    )
}
