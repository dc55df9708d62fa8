"""Small images for tests."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from linkspan.images.layers import LayerBlob, examine
from linkspan.model.image import Image, ImageConfig

ID = "sha256:" + "ab" * 32
OTHER_ID = "sha256:" + "cd" * 32
DIGEST = "sha256:" + "12" * 32


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def layer_file(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, LayerBlob]:
    """A layer as a file in `folder`, examined."""
    data = tar_of(files)
    path = folder / f"layer-{hashlib.sha256(data).hexdigest()}"
    path.write_bytes(data)
    return path, examine(path)


def configuration(layers: Sequence[LayerBlob], **more: object) -> bytes:
    """An image configuration, as some other tool would write it."""
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
    return json.dumps({**document, **more}).encode()


def image(image_id: str = ID, *, tags: Sequence[str] = (), digests: Sequence[str] = (), layers: Sequence[str] = ()) -> Image:
    """An image value."""
    return Image(
        id=image_id,
        tags=tuple(tags),
        digests=tuple(digests),
        created=0,
        size=0,
        architecture="amd64",
        os="linux",
        config=ImageConfig(),
        layers=tuple(layers),
    )
