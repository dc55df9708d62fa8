"""Docker's filters of `ps` and of prunes: values of one key are alternatives, different keys must all fit."""

import re
import time
from collections.abc import Callable, Mapping, Sequence

from linkspan.engine.views import ContainerView
from linkspan.errors import InvalidInput
from linkspan.model.moment import parse_moment
from linkspan.model.pattern import search
from linkspan.model.publish import Port

_EXIT_CODE = re.compile(r"-?[0-9]{1,9}")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([a-z]+))?")
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


def made_before(filters: Mapping[str, Sequence[str]]) -> int | None:
    """Return what the filter `until` says, in nanoseconds since the epoch, None without it; raises InvalidInput."""
    texts = filters.get("until", ())
    if len(texts) > 1:
        raise InvalidInput("more than one until filter specified")
    return parse_moment(texts[0], time.time_ns()) if texts else None


def passes(view: ContainerView, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether a container passes every filter; raises InvalidInput for those that Docker refuses."""
    check_keys(filters, tuple(_TESTS))
    every = ("label",)  # labels must all be there
    return all((all if key in every else any)(_TESTS[key](view, wanted) for wanted in values) for key, values in filters.items() if values)


def _found(pattern: str, name: str) -> bool:
    return search(pattern, name) or search(pattern, f"/{name}")


def _status(text: str) -> str:
    if text not in STATUSES:
        raise InvalidInput(f"invalid filter 'status={text}'")
    return text


def _number(text: str) -> int:
    if not _EXIT_CODE.fullmatch(text):
        raise InvalidInput(f"invalid filter 'exited={text}'")
    return int(text)


def _ports(text: str) -> list[Port]:
    """Parse `80`, `80/udp`, `8000-8010/tcp`."""
    match = _PORTS.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
        raise InvalidInput(f"invalid port '{text}' in filter")
    return [Port(number, match[3] or "tcp") for number in range(int(match[1]), int(match[2] or match[1]) + 1)]


def _descends(view: ContainerView, wanted: str) -> bool:
    spec = view.container.spec
    names = {spec.image_name, spec.image, spec.image.removeprefix("sha256:"), *(view.image.tags if view.image else ())}
    names |= {name.removesuffix(":latest") for name in names}
    return wanted in names or (len(wanted) >= 12 and spec.image.removeprefix("sha256:").startswith(wanted))


def _published(view: ContainerView, wanted: str) -> bool:
    ports = _ports(wanted)
    return any(publish.port in ports or publish.host_port == ports[0].number for publish in view.container.publishes)


def _networked(view: ContainerView, wanted: str) -> bool:
    return any(seat.network and (seat.network.name == wanted or seat.network.id.startswith(wanted)) for seat in view.seats)


def _true(_view: ContainerView, _wanted: str) -> bool:
    return True


_TESTS: Mapping[str, Callable[[ContainerView, str], bool]] = {
    "ancestor": _descends,
    "before": _true,  # a bound of the whole list, as `since` is
    "exited": lambda view, wanted: view.container.state.status == "exited" and view.container.state.exit_code == _number(wanted),
    "expose": lambda view, wanted: any(port in _ports(wanted) for port in view.container.spec.network.exposed),
    "health": lambda _, wanted: wanted == "none",
    "id": lambda view, wanted: view.container.id.startswith(wanted),
    "is-task": lambda _, wanted: wanted in ("false", "0"),
    "isolation": _true,
    "label": lambda view, wanted: label_matches(view.container.spec.labels, wanted),
    "name": lambda view, wanted: _found(wanted, view.container.name),
    "network": _networked,
    "publish": _published,
    "since": _true,
    "status": lambda view, wanted: view.container.state.status == _status(wanted),
    "volume": lambda view, wanted: any(wanted in (mount.source, mount.target) for mount in view.container.spec.mounts),
}
