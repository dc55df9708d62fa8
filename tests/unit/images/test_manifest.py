"""Manifests and platforms."""

import json

import pytest

from linkspan.errors import InvalidInput, NotFound, Unsupported
from linkspan.images.manifest import Platform, instance_digest, parse_manifest

AMD64 = "sha256:" + "a" * 64
ARM6 = "sha256:" + "6" * 64
ARM7 = "sha256:" + "7" * 64
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def listing(*entries: tuple[str, str, str, str]) -> bytes:
    manifests = [
        {"digest": digest, "platform": {"os": os, "architecture": architecture, "variant": variant}}
        for digest, os, architecture, variant in entries
    ]
    return json.dumps({"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}).encode()


LIST = listing(
    ("sha256:" + "0" * 64, "unknown", "unknown", ""),
    (AMD64, "linux", "amd64", ""),
    (ARM6, "linux", "arm", "v6"),
    (ARM7, "linux", "arm", "v7"),
)


@pytest.mark.parametrize(
    ("platform", "digest"),
    [
        ("linux/amd64", AMD64),
        ("linux/x86_64", AMD64),
        ("amd64", AMD64),
        ("linux/arm/v7", ARM7),
        ("linux/arm/v6", ARM6),
        ("linux/arm", ARM6),
    ],
)
def test_the_manifest_of_the_platform_is_chosen(platform: str, digest: str) -> None:
    assert instance_digest(LIST, Platform.parse(platform)) == digest


def test_a_platform_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        instance_digest(LIST, Platform.parse("linux/s390x"))


def test_a_single_manifest_is_taken_as_it_is() -> None:
    assert instance_digest(b'{"schemaVersion": 2, "config": {}, "layers": []}', Platform.here()) == ""


@pytest.mark.parametrize("text", ["linux/", "/amd64", "linux/arm/v7/x", "//"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Platform.parse(text)


def test_no_platform_means_this_machine() -> None:
    assert Platform.parse("") == Platform.parse("linux") == Platform.here()


def test_a_manifest_names_configuration_and_layers() -> None:
    data = {"schemaVersion": 2, "config": {"digest": AMD64}, "layers": [{"mediaType": LAYER, "digest": ARM6, "size": 12}]}

    manifest = parse_manifest(json.dumps(data).encode())

    assert manifest.configuration == AMD64
    assert [(layer.digest, layer.size, layer.short_id) for layer in manifest.layers] == [(ARM6, 12, "6" * 12)]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        ({"mediaType": LAYER, "digest": "sha256:../../etc/passwd"}, InvalidInput),
        ({"mediaType": LAYER, "digest": ARM6, "size": -1}, InvalidInput),
        ({"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": ARM6}, Unsupported),
        ({"mediaType": "application/vnd.cncf.helm.chart.content", "digest": ARM6}, Unsupported),
    ],
)
def test_layers_that_cannot_be_used_are_refused(layer: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        parse_manifest(json.dumps({"schemaVersion": 2, "config": {"digest": AMD64}, "layers": [layer]}).encode())


@pytest.mark.parametrize("data", [b'{"schemaVersion": 2}', b'{"schemaVersion": 2, "config": {"digest": 3}}', b"[]", b"html"])
def test_a_malformed_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_manifest(data)


def test_schema_1_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="schema 1"):
        parse_manifest(b'{"schemaVersion": 1}')
