"""Who is on which network, and Docker's filters of `network ls` and `network prune`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from linkspan.engine.filters import check_keys, label_matches, made_before
from linkspan.engine.views import NetworkView
from linkspan.errors import InvalidInput
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import PREDEFINED, Network
from linkspan.model.pattern import search
from linkspan.plan.usage import usage
from linkspan.store.base import Store

PRUNE_FILTERS = ("until", "label", "label!")


def view(store: Store, network: Network) -> NetworkView:
    """Return a network with the running containers on it."""
    return NetworkView(network=network, members=tuple(_members(store, network)))


def in_full(store: Store, network: Network) -> NetworkView:
    """Return a network with who is on it, and how much of its pools is given out."""
    held = [int(address) for address, released in store.taken(network.id).items() if released is None]
    pools = () if network.config_only else network.subnets
    return replace(view(store, network), usage=tuple(usage(pool, held) for pool in pools))


def _members(store: Store, network: Network) -> Iterator[tuple[Container, Endpoint | None]]:
    if network.driver in ("host", "null"):
        for container in store.containers():
            if container.state.running and any(attachment.network == network.id for attachment in container.attachments):
                yield container, None
        return
    for endpoint in store.endpoints_on(network.id):
        owner = store.container(endpoint.sandbox)
        if endpoint.attached and owner is not None and owner.state.running:
            yield owner, endpoint


def passes(seen: NetworkView, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether a network passes every filter of `ls`; raises InvalidInput for those that Docker refuses."""
    check_keys(filters, tuple(TESTS))
    if len(filters.get("dangling", ())) > 1:
        raise InvalidInput('got more than one value for filter key "dangling"')
    every = ("label",)  # labels must all be there
    return all((all if key in every else any)(TESTS[key](seen, wanted) for wanted in values) for key, values in filters.items() if values)


def prunable(seen: NetworkView, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether a prune takes a network that nobody uses; raises InvalidInput for filters that Docker refuses."""
    check_keys(filters, PRUNE_FILTERS)
    network, before = seen.network, made_before(filters)
    return (
        network.user_defined
        and not network.config_only
        and not seen.members
        and (before is None or network.created < before)
        and all(label_matches(network.labels, wanted) for wanted in filters.get("label", ()))
        and not any(label_matches(network.labels, wanted) for wanted in filters.get("label!", ()))
    )


def _dangling(seen: NetworkView, wanted: str) -> bool:
    if wanted not in ("true", "1", "false", "0"):
        raise InvalidInput('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
    return (wanted in ("true", "1")) == (seen.network.user_defined and not seen.members)


def _type_matches(network: Network, wanted: str) -> bool:
    if wanted not in ("builtin", "custom"):
        raise InvalidInput(f"invalid filter: 'type'='{wanted}'")
    return (wanted == "builtin") == (network.name in PREDEFINED)


TESTS: Mapping[str, Callable[[NetworkView, str], bool]] = {
    "dangling": _dangling,
    "driver": lambda seen, wanted: seen.network.driver == wanted,
    "id": lambda seen, wanted: wanted == seen.network.id or search(wanted, seen.network.id),
    "label": lambda seen, wanted: label_matches(seen.network.labels, wanted),
    "name": lambda seen, wanted: wanted == seen.network.name or search(wanted, seen.network.name),
    "scope": lambda _, wanted: wanted == "local",
    "type": lambda seen, wanted: _type_matches(seen.network, wanted),
}
