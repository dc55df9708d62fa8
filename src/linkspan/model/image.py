"""Images, as the engine needs them."""

from dataclasses import dataclass, field

from linkspan.model.publish import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The part of the OCI image configuration that a container inherits (OCI image-spec, config.md)."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    exposed: tuple[Port, ...] = ()
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One line of `docker history`."""

    created: int
    """Nanoseconds since the epoch."""
    created_by: str
    size: int
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the store. `id` is `sha256:` and 64 hex digits; `tags` are normalised, e.g. `busybox:latest`."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: int
    """Nanoseconds since the epoch."""
    size: int
    """Bytes of the unpacked layers."""
    architecture: str
    os: str
    config: ImageConfig
    layers: tuple[str, ...] = ()
    """DiffIDs, base first."""
    history: tuple[Layer, ...] = ()
    author: str = ""
    comment: str = ""
