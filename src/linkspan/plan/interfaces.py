"""The interfaces of a container on several networks: their names, and which of them the default routes go by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from linkspan.errors import InvalidInput
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network

IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"
"""Options of an endpoint."""

_FAMILIES = ("ipv4", "ipv6", "mpls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An endpoint that the default routes of its container may go by."""

    endpoint: Endpoint
    network: Network
    priority: int = 0


def leading(candidates: Iterable[Candidate]) -> dict[int, str]:
    """Return by family, 4 or 6, the id of the endpoint that the default route goes by; none for a family without a gateway."""
    found: dict[int, str] = {}
    for candidate in preferred(candidates):
        for version in _gateway_families(candidate.endpoint):
            found.setdefault(version, candidate.endpoint.id)
    return found


def preferred(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates in the order of preference, in which names are looked up too.

    The highest priority wins; then networks with a way out, gateways of both families, and the first name (moby: Endpoint.Less).
    """
    return sorted(candidates, key=_rank)


def _rank(candidate: Candidate) -> tuple[int, bool, int, str]:
    return (-candidate.priority, candidate.network.internal, -len(_gateway_families(candidate.endpoint)), candidate.network.name)


def _gateway_families(endpoint: Endpoint) -> tuple[int, ...]:
    gateways = ((4, endpoint.gateway), (6, endpoint.gateway6))
    return tuple(version for version, gateway in gateways if gateway is not None)


def interface_names(wanted: Sequence[tuple[str, str]], taken: Iterable[str] = ()) -> list[str]:
    """Return a name for each of (prefix, name that was asked for): the prefix with the lowest free number where none was."""
    used = {*taken, *(name for _, name in wanted if name)}
    names = []
    for prefix, asked in wanted:
        name = asked or next(name for number in range(len(used) + 1) if (name := f"{prefix}{number}") not in used)
        used.add(name)
        names.append(name)
    return names


def endpoint_sysctls(text: str) -> dict[str, str]:
    """Parse `net.ipv4.conf.IFNAME.log_martians=1,…` into settings by key, with slashes; raises InvalidInput in Docker's words."""
    settings: dict[str, str] = {}
    for entry in filter(None, text.split(",")):
        key, equals, value = entry.partition("=")
        parts = key.strip().split(".", 4)
        well_formed = len(parts) == 5 and parts[0] == "net" and parts[1] in _FAMILIES and parts[3] in ("IFNAME", "ifname") and equals
        if not well_formed or any(not part or "/" in part for part in parts) or ".." in key:
            raise InvalidInput(
                f"unrecognised network interface sysctl '{entry}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "
                "'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        settings["/".join((*parts[:3], "IFNAME", parts[4].replace(".", "/")))] = value.strip()
    return settings
