"""Mounts on the wire: `Binds`, `Mounts` and `Tmpfs` of a create (moby: daemon/volume/mounts), and how inspect shows them."""

import posixpath
from collections.abc import Sequence

from linkspan.api.fields import Fields
from linkspan.errors import InvalidInput, Unsupported
from linkspan.model.container import Mount, Spec

Json = dict[str, object]

NAMED_VOLUMES = "named volumes are not supported: give a host path"
ROOT = "invalid specification: destination can't be '/'"

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_MODES = (
    ("ro", "rw"),
    ("z", "Z"),
    _PROPAGATIONS,
    ("nocopy",),
    ("consistent", "cached", "delegated", "default"),
)
"""Docker's classes of options of `-v`; at most one of each."""
_FOREIGN_FIELDS = {"bind": ("VolumeOptions", "TmpfsOptions"), "tmpfs": ("Source", "BindOptions", "VolumeOptions")}
"""Fields of an entry of Mounts that another type of mount has."""


def parse_mounts(body: Fields) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    """Parse every mount of a create; returns them and the binds as given. Raises InvalidInput, Unsupported for volumes."""
    host = body.child("HostConfig")
    binds = host.texts("Binds")
    mounts = [_bind(text) for text in binds]
    mounts += [_mount(given) for given in host.children("Mounts")]
    mounts += [_tmpfs(target, options) for target, options in host.mapping("Tmpfs").items()]
    if body.child_map("Volumes") or host.has("VolumesFrom"):
        raise Unsupported(f"volumes are not supported: {NAMED_VOLUMES.partition(': ')[2]} with -v HOST_PATH:PATH")
    seen: set[str] = set()
    for mount in mounts:
        target = posixpath.normpath(mount.target)
        if target in seen:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        seen.add(target)
    return tuple(mounts), binds


def _bind(text: str) -> Mount:
    """Parse `SOURCE:TARGET[:OPTIONS]`."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        raise Unsupported(f"{parts[0]}: {NAMED_VOLUMES}")
    source, target, *modes = parts
    if not modes and not target.startswith("/") and _valid_mode(target):
        raise InvalidInput(f"invalid volume specification: '{text}'")  # a target and options: Docker has no such form
    if modes and not _valid_mode(modes[0]):
        raise InvalidInput(f"invalid mode: {modes[0]}")
    _check_target(target, f"invalid volume specification: '{text}': ")
    if not source.startswith("/"):
        raise Unsupported(f"{source}: {NAMED_VOLUMES}")
    return Mount(kind="bind", source=source, target=target, options=tuple(modes[0].split(",")) if modes else ())


def _valid_mode(mode: str) -> bool:
    options = mode.split(",")
    known = all(any(option in group for group in _MODES) for option in options)
    return known and all(sum(option in group for option in options) <= 1 for group in _MODES)


def _mount(given: Fields) -> Mount:
    """Parse an entry of HostConfig.Mounts (`--mount`)."""
    kind = given.text("Type")
    if kind in ("volume", "image", "cluster"):
        raise Unsupported(f"mounts of type {kind} are not supported: use a bind mount of a host path, or a tmpfs")
    try:
        return _typed_mount(kind, given)
    except InvalidInput as error:
        raise InvalidInput(f'invalid mount config for type "{kind}": {error}') from None


def _typed_mount(kind: str, given: Fields) -> Mount:
    source, target = given.text("Source"), given.text("Target")
    if kind not in _FOREIGN_FIELDS:
        raise InvalidInput("mount type unknown")
    if not target:
        raise InvalidInput("field Target must not be empty")
    _check_target(target)
    for field in _FOREIGN_FIELDS[kind]:
        if given.has(field):
            raise InvalidInput(f"field {field} must not be specified")
    access = ["ro"] if given.boolean("ReadOnly") else []
    if kind == "tmpfs":
        return Mount(kind=kind, target=target, options=(*access, *_tmpfs_options(given.child("TmpfsOptions"))))
    if not source:
        raise InvalidInput("field Source must not be empty")
    _check_absolute(source)
    return Mount(kind=kind, source=source, target=target, options=(*access, *_bind_options(given.child("BindOptions"))))


def _bind_options(options: Fields) -> list[str]:
    propagation = options.text("Propagation")
    if propagation and propagation not in _PROPAGATIONS:
        raise InvalidInput(f"invalid propagation mode: {propagation}")
    return [propagation] if propagation else []


def _tmpfs_options(options: Fields) -> list[str]:
    size, mode = options.integer("SizeBytes"), options.integer("Mode")
    if size < 0:
        raise InvalidInput(f"invalid tmpfs size: {size}")
    return ([f"size={size}"] if size else []) + ([f"mode={mode:o}"] if mode > 0 else [])


def _tmpfs(target: str, options: str) -> Mount:
    """Parse an entry of HostConfig.Tmpfs (`--tmpfs`)."""
    _check_target(target)
    return Mount(kind="tmpfs", target=target, options=tuple(filter(None, options.split(","))))


def _check_target(target: str, prefix: str = "") -> None:
    _check_absolute(target, prefix)
    if posixpath.normpath(target).strip("/") == "":
        raise InvalidInput(prefix + ROOT)


def _check_absolute(path: str, prefix: str = "") -> None:
    if not path.startswith("/"):
        raise InvalidInput(f"{prefix}invalid mount path: '{path}' mount path must be absolute")


def mount_points(spec: Spec) -> list[Json]:
    """Render the `Mounts` of inspect and ps: what of the host the container sees."""
    return [
        {
            "Type": "bind",
            "Source": mount.source,
            "Destination": mount.target,
            "Mode": ",".join(mount.options),
            "RW": not mount.read_only,
            "Propagation": _propagation(mount.options),
        }
        for mount in spec.mounts
        if mount.kind == "bind"
    ]


def mounts_of_host_config(spec: Spec) -> Json:
    """Render HostConfig's Binds, Mounts and Tmpfs: a tmpfs is always shown as `--tmpfs` would have it."""
    bound = {tuple(text.split(":")[:2]) for text in spec.binds}
    mounts = [
        {"Type": "bind", "Source": mount.source, "Target": mount.target, **({"ReadOnly": True} if mount.read_only else {})}
        for mount in spec.mounts
        if mount.kind == "bind" and (mount.source, mount.target) not in bound
    ]
    temporary = {mount.target: ",".join(mount.options) for mount in spec.mounts if mount.kind == "tmpfs"}
    rendered: Json = {"Binds": list(spec.binds) or None}
    if mounts:
        rendered["Mounts"] = mounts
    if temporary:
        rendered["Tmpfs"] = temporary
    return rendered


def _propagation(options: Sequence[str]) -> str:
    return next((option for option in options if option in _PROPAGATIONS), "rprivate")
