"""Docker's filters of `ps` and of prunes: values of one key are alternatives, different keys must all fit."""

import re
from collections.abc import Mapping, Sequence

from linkspan.engine.views import ContainerView
from linkspan.errors import InvalidInput
from linkspan.model.publish import Port

KEYS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network", "publish", "since",
    "status", "volume",
)  # fmt: skip
STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


def check_keys(filters: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    """Raise InvalidInput for a key that the list does not have."""
    for key in filters:
        if key not in known:
            raise InvalidInput(f"invalid filter '{key}'")


def label_matches(labels: Mapping[str, str], wanted: str) -> bool:
    """Whether the labels have `NAME`, or `NAME=value`."""
    name, given, value = wanted.partition("=")
    return name in labels and (not given or labels[name] == value)


def passes(view: ContainerView, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether a container passes every filter; raises InvalidInput for those that Docker refuses."""
    check_keys(filters, KEYS)
    every = ("label",)  # labels must all be there
    return all(
        (all if key in every else any)(_passes_one(view, key, wanted) for wanted in values) for key, values in filters.items() if values
    )


def _passes_one(view: ContainerView, key: str, wanted: str) -> bool:
    container = view.container
    match key:
        case "id":
            return container.id.startswith(wanted)
        case "name":
            return _found(wanted, container.name)
        case "label":
            return label_matches(container.spec.labels, wanted)
        case "status":
            return container.state.status == _status(wanted)
        case "exited":
            return container.state.status == "exited" and container.state.exit_code == _number(wanted)
        case "ancestor":
            return _descends(view, wanted)
        case "network":
            return view.network is not None and (view.network.name == wanted or view.network.id.startswith(wanted))
        case "volume":
            return any(wanted in (mount.source, mount.target) for mount in container.spec.mounts)
        case "publish":
            return any(publish.port in _ports(wanted) or publish.host_port == _ports(wanted)[0].number for publish in container.publishes)
        case "expose":
            return any(port in _ports(wanted) for port in container.spec.network.exposed)
        case "health":
            return wanted == "none"
        case "is-task":
            return wanted in ("false", "0")
    return True  # since and before are bounds of the list


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None or re.search(pattern, f"/{name}") is not None
    except re.error:
        return pattern in name


def _status(text: str) -> str:
    if text not in STATUSES:
        raise InvalidInput(f"invalid filter 'status={text}'")
    return text


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"invalid filter 'exited={text}'") from None


def _ports(text: str) -> list[Port]:
    """Parse `80`, `80/udp`, `8000-8010/tcp`."""
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise InvalidInput(f"invalid port '{text}' in filter")
    return [Port(number, protocol or "tcp") for number in range(int(first), int(last or first) + 1)]


def _descends(view: ContainerView, wanted: str) -> bool:
    spec = view.container.spec
    names = {spec.image_name, spec.image, spec.image.removeprefix("sha256:"), *(view.image.tags if view.image else ())}
    names |= {name.removesuffix(":latest") for name in names}
    return wanted in names or (len(wanted) >= 12 and spec.image.removeprefix("sha256:").startswith(wanted))
