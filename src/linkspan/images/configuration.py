"""The OCI image configuration (image-spec, config.md): the JSON whose digest is the image's id."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from linkspan.errors import InvalidInput
from linkspan.images.document import Document
from linkspan.images.layers import LayerBlob
from linkspan.model.image import Image, ImageConfig, Layer
from linkspan.model.publish import Port

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def image_of(configuration: bytes, layers: Sequence[LayerBlob]) -> Image:
    """Make an image, without names yet, out of its configuration and layers; raises InvalidInput if they are no pair or malformed."""
    document = Document.parse(configuration, "the image's configuration")
    diff_ids = document.child("rootfs").texts("diff_ids")
    if diff_ids != tuple(layer.diff_id for layer in layers):
        raise InvalidInput("the image is damaged: its layers are not those that its configuration names")
    return Image(
        id=f"sha256:{hashlib.sha256(configuration).hexdigest()}",
        tags=(),
        digests=(),
        created=nanoseconds(document.text("created")),
        size=sum(layer.content_size for layer in layers),
        architecture=document.text("architecture"),
        os=document.text("os"),
        config=_inherited(document.child("config")),
        layers=diff_ids,
        history=tuple(_history(document, layers)),
        author=document.text("author"),
        comment=document.text("comment"),
    )


def configuration_of(
    config: Mapping[str, object], layers: Sequence[LayerBlob], *, created: str, architecture: str, comment: str = "", created_by: str = ""
) -> bytes:
    """Write the configuration of an image made here, the same bytes for the same arguments."""
    return json.dumps(
        {
            "architecture": architecture,
            "comment": comment,
            "config": config,
            "created": created,
            "history": [{"created": created, "created_by": created_by, "comment": comment}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        },
        sort_keys=True,
    ).encode()


def nanoseconds(text: str) -> int:
    """Return an RFC 3339 time as nanoseconds since the epoch, 0 for none; raises InvalidInput if it is no such time."""
    if not text:
        return 0
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError("no RFC 3339 time")
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidInput(f"the image's configuration is malformed: time {text!r}: {error}") from error
    age = moment - _EPOCH
    seconds = age.days * 86400 + age.seconds
    return max(0, seconds * 1_000_000_000 + int((match[2] or "").ljust(9, "0")))


def timestamp(moment: int) -> str:
    """Return nanoseconds since the epoch as an RFC 3339 time."""
    seconds, fraction = divmod(moment, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _inherited(config: Document) -> ImageConfig:
    return ImageConfig(
        user=config.text("User"),
        env=config.texts("Env"),
        entrypoint=config.texts("Entrypoint"),
        cmd=config.texts("Cmd"),
        working_dir=config.text("WorkingDir"),
        labels=config.pairs("Labels"),
        exposed=tuple(sorted(Port.parse(key) for key in config.keys("ExposedPorts"))),
        stop_signal=config.text("StopSignal"),
        volumes=tuple(sorted(config.keys("Volumes"))),
    )


def _history(document: Document, layers: Sequence[LayerBlob]) -> Iterator[Layer]:
    """One line per step, base first. A step that is not marked as empty made the next layer; layers without a step get a bare line."""
    remaining = iter(layers)
    for step in document.children("history"):
        layer = None if step.flag("empty_layer") else next(remaining, None)
        yield Layer(
            created=nanoseconds(step.text("created")),
            created_by=step.text("created_by"),
            size=layer.content_size if layer else 0,
            comment=step.text("comment"),
        )
    for layer in remaining:
        yield Layer(created=nanoseconds(document.text("created")), created_by="", size=layer.content_size)
