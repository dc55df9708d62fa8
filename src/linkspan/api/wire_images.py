"""Images on the wire: lists, inspect, history, and the progress of pull and push."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from linkspan.api.times import SECOND, rfc3339
from linkspan.api.versions import Version
from linkspan.api.wire_publish import exposed_ports
from linkspan.model.image import Image, ImageConfig, Layer

if TYPE_CHECKING:
    from linkspan.images.registry import Progress

Json = dict[str, object]

NO_VIRTUAL_SIZE = Version(1, 44)
"""Since then `VirtualSize`, which equals `Size`, is gone."""
NO_PLACEHOLDERS = Version(1, 43)
"""Since then an image without names has empty lists, and not `<none>:<none>`."""
_BAR = 50
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def image_line(image: Image, version: Version) -> Json:
    """Render an image as GET /images/json lists it."""
    modern = version >= NO_PLACEHOLDERS
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags) or ([] if modern else ["<none>:<none>"]),
        "RepoDigests": list(image.digests) or ([] if modern else ["<none>@<none>"]),
        "Created": image.created // SECOND,
        "Size": image.size,
        "SharedSize": -1,
        "Labels": image.config.labels or None,
        "Containers": -1,
        **_virtual_size(image, version),
    }


def image_details(image: Image, version: Version) -> Json:
    """Render an image as GET /images/{name}/json shows it."""
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": "",
        "Comment": image.comment,
        "Created": rfc3339(image.created),
        "DockerVersion": "",
        "Author": image.author,
        "Config": _config(image.config),
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": None, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Metadata": {"LastTagTime": rfc3339(0)},
        **_virtual_size(image, version),
    }


def image_history(image: Image, layers: Sequence[Layer]) -> list[Json]:
    """Render `docker history`; only the newest step has the image's id and names."""
    return [
        {
            "Id": image.id if index == 0 else "<missing>",
            "Created": layer.created // SECOND,
            "CreatedBy": layer.created_by,
            "Tags": list(image.tags) or None if index == 0 else None,
            "Size": layer.size,
            "Comment": layer.comment,
        }
        for index, layer in enumerate(layers)
    ]


def removals(removed: Iterable[tuple[str, str]]) -> list[Json]:
    """Render what a removal did: `Untagged` or `Deleted`, and the name or id."""
    return [{what: name} for what, name in removed]


def pruned_images(names: Iterable[str]) -> list[Json]:
    """Render what a prune removed: ids are deleted, names are untagged."""
    return removals(("Deleted" if name.startswith("sha256:") else "Untagged", name) for name in names)


def progress_line(progress: "Progress") -> Json:
    """Render one message of a pull or push."""
    rendered: Json = {"status": progress.status}
    if progress.id:
        rendered["id"] = progress.id
    if progress.current or progress.total:
        rendered["progressDetail"] = {"current": progress.current, "total": progress.total}
        rendered["progress"] = _bar(progress.current, progress.total)
    elif progress.id:
        rendered["progressDetail"] = {}
    return rendered


def _bar(current: int, total: int) -> str:
    """Return Docker's progress bar, for clients that do not draw one of their own."""
    if total <= 0 or current > total:
        return _decimal(current).rjust(8)
    done = current * _BAR // total
    return f"[{'=' * done}>{' ' * (_BAR - done)}] {_decimal(current):>8}/{_decimal(total)}"


def _decimal(size: int) -> str:
    """Return go-units' HumanSize: four significant digits, decimal units."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.4g}{_UNITS[unit]}"


def _virtual_size(image: Image, version: Version) -> Json:
    return {} if version >= NO_VIRTUAL_SIZE else {"VirtualSize": image.size}


def _config(config: ImageConfig) -> Json:
    rendered: Json = {
        "User": config.user,
        "Env": list(config.env) or None,
        "Cmd": list(config.cmd) or None,
        "Entrypoint": list(config.entrypoint) or None,
        "WorkingDir": config.working_dir,
        "Labels": config.labels or None,
        "Volumes": {path: {} for path in config.volumes} or None,
        "OnBuild": None,
    }
    if config.exposed:
        rendered["ExposedPorts"] = exposed_ports(config.exposed)
    if config.stop_signal:
        rendered["StopSignal"] = config.stop_signal
    return rendered
