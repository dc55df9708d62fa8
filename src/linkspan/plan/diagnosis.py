"""What a difference between store and kernel means for the user, and what he can do."""

from collections.abc import Mapping

from linkspan.model.finding import Finding, Level
from linkspan.plan.converge import Difference, Kind, Mend

REPAIR = "linkspan doctor --repair"

_CUT_OFF = "the container has no network until it is back"
_NOBODYS = "nobody uses it, and it stays until the engine starts anew"
_WHY: Mapping[Kind, str] = {
    Kind.BRIDGE_GONE: "its containers are cut off from each other, from the host and from outside",
    Kind.BRIDGE_FOREIGN: "the network's containers are cut off; what has the name now belongs to somebody else",
    Kind.BRIDGE_DOWN: "its containers are cut off from each other, from the host and from outside",
    Kind.BRIDGE_ADDRESS: "it is the containers' way out, and published ports answer by it",
    Kind.BRIDGE_ROUTE: "the host, and who comes by a published port, does not find the containers",
    Kind.BRIDGE_MTU: "larger packets than the network was made for may get lost on their way",
    Kind.NETWORK_MTU: "packets get lost on their way, or are smaller than they could be",
    Kind.NAMESPACE_GONE: "what runs in it goes on, but nothing can join it, and it ends with its last process",
    Kind.INTERFACE_GONE: _CUT_OFF,
    Kind.PORT_LOOSE: _CUT_OFF,
    Kind.PORT_DOWN: _CUT_OFF,
    Kind.PORT_MODE: "containers may not reach published ports of their own network, or reach each other although icc is off",
    Kind.INSIDE_GONE: _CUT_OFF,
    Kind.INSIDE_DOWN: _CUT_OFF,
    Kind.INSIDE_ADDRESS: "nobody reaches the container, published ports included",
    Kind.INSIDE_ROUTE: "the container reaches its own network only",
    Kind.RULES: "published ports, the way out of containers and what keeps them apart depend on it",
    Kind.MONITOR_GONE: "nobody keeps its log, its exit code and its ports",
    Kind.STRAY_PROCESS: "it runs, and nobody knows of it",
    Kind.STRAY_LINK: _NOBODYS,
    Kind.STRAY_NAMESPACE: _NOBODYS,
    Kind.STRAY_MOUNT: _NOBODYS,
    Kind.STRAY_FOLDER: _NOBODYS,
    Kind.STRAY_ADDRESS: _NOBODYS,
}
_SETTINGS = {
    "ip_forward": "nothing is routed between containers and other networks: they do not get out, and published ports do not answer others",
    "forwarding": "nothing of IPv6 is routed between containers and other networks",
    "route_localnet": "ports published on 127.0.0.1 do not answer the host",
}


def finding(difference: Difference, *, own_master: bool = False) -> Finding:
    """Say what a difference means. `own_master`: the container may change its network itself, so that it is no fault."""
    changed_itself = own_master and difference.kind in (Kind.INSIDE_DOWN, Kind.INSIDE_ADDRESS, Kind.INSIDE_ROUTE)
    return Finding(
        kind=difference.kind.value,
        what=difference.sentence if not difference.kind.value.startswith("stray") else f"{difference.sentence} is left over",
        why=_why(difference),
        remedy=_remedy(difference),
        level=Level.NOTE if changed_itself else Level.PROBLEM,
        repairable=difference.mend not in (Mend.RESTART, Mend.ADMIN) and not changed_itself,
    )


def _why(difference: Difference) -> str:
    if difference.kind is not Kind.SETTING:
        return _WHY[difference.kind]
    return _SETTINGS.get(difference.subject.rpartition("/")[2], "the containers' networks need it")


def _remedy(difference: Difference) -> str:
    if difference.mend is Mend.RESTART:
        return f"docker restart {difference.subject[:12]}"
    if difference.mend is Mend.ADMIN:
        return "make the bridge again, or restart the engine: it then chooses another one"
    return REPAIR
