"""Registries: who is asked without TLS, how far a download is, what a refusal becomes."""

from pathlib import Path

import pytest

from linkspan.errors import CommandFailed, EngineError, NotFound
from linkspan.images.manifest import RemoteLayer
from linkspan.images.registry import Progress, _DownloadWatch, _refusal, is_insecure
from linkspan.images.skopeo import reason
from linkspan.model.reference import Reference

BUSYBOX = Reference.parse("busybox:1")
SMALL = RemoteLayer(digest="sha256:" + "a" * 64, size=10)
LARGE = RemoteLayer(digest="sha256:" + "b" * 64, size=1000)


@pytest.mark.parametrize(
    ("domain", "insecure"),
    [
        ("docker.io", False),
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("10.1.2.3:5000", True),
        ("10.2.2.3:5000", False),
        ("registry.lan:5000", True),
        ("registry.lan", False),
        ("other.lan", True),
        ("other.lan:443", True),
        ("localhost.example.com", False),
    ],
)
def test_only_named_and_own_registries_may_lack_tls(domain: str, insecure: bool) -> None:
    assert is_insecure(domain, ["10.1.0.0/16", "registry.lan:5000", "other.lan", "docker.io"]) is insecure


def test_a_download_is_measured_by_its_files(tmp_path: Path) -> None:
    finished, unfinished = tmp_path / "sha256", tmp_path / "layout"
    finished.mkdir()
    unfinished.mkdir()
    watch = _DownloadWatch([SMALL, LARGE, SMALL], finished, unfinished)
    assert list(watch.look()) == []

    (unfinished / "oci-put-blob1").write_bytes(b"x" * 4)
    assert list(watch.look()) == [Progress(id=SMALL.short_id, status="Downloading", current=4, total=10)]

    (unfinished / "oci-put-blob2").write_bytes(b"x" * 700)
    assert list(watch.look())[1] == Progress(id=LARGE.short_id, status="Downloading", current=700, total=1000)

    (unfinished / "oci-put-blob1").rename(finished / ("a" * 64))
    assert list(watch.look()) == [
        Progress(id=SMALL.short_id, status="Download complete"),
        Progress(id=LARGE.short_id, status="Downloading", current=700, total=1000),
    ]

    (unfinished / "oci-put-blob2").rename(finished / ("b" * 64))
    (unfinished / "oci-put-blob3").write_bytes(b"the configuration")
    assert list(watch.look()) == [Progress(id=LARGE.short_id, status="Download complete")]
    assert list(watch.look()) == []


def test_files_taken_for_the_wrong_layers_change_places(tmp_path: Path) -> None:
    watch = _DownloadWatch([SMALL, LARGE], tmp_path / "sha256", tmp_path)
    for name, size in (("oci-put-blob1", 5), ("oci-put-blob2", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert [(step.id, step.current) for step in watch.look()] == [(SMALL.short_id, 5), (LARGE.short_id, 5)]

    (tmp_path / "oci-put-blob1").write_bytes(b"x" * 11)

    assert [(step.id, step.current) for step in watch.look()] == [(LARGE.short_id, 11), (SMALL.short_id, 5)]


def test_a_configuration_that_is_larger_than_every_layer_is_none(tmp_path: Path) -> None:
    watch = _DownloadWatch([SMALL], tmp_path / "sha256", tmp_path, configuration=175)
    (tmp_path / "oci-put-blob1").write_bytes(b"x" * 175)
    assert list(watch.look()) == []
    (tmp_path / "oci-put-blob1").write_bytes(b"x" * 176)
    with pytest.raises(EngineError, match="more than the manifest says"):
        list(watch.look())


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "reading manifest 1 in docker.io/library/busybox: manifest unknown: manifest unknown",
            NotFound,
            "manifest for busybox:1 not found: manifest unknown: manifest unknown",
        ),
        (
            "reading manifest 1 in docker.io/library/busybox: requested access to the resource is denied",
            NotFound,
            "pull access denied for busybox, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
        ),
        (
            'pinging container registry x: Get "https://x/v2/": dial tcp: lookup x: no such host',
            EngineError,
            'Get "https://x/v2/": dial tcp: lookup x: no such host',
        ),
        ("open /x: permission denied", EngineError, "cannot pull busybox:1: open /x: permission denied"),
        ("write /x: no space left on device", EngineError, "cannot pull busybox:1: no space left on device"),
        ("something else", EngineError, "cannot pull busybox:1: something else"),
    ],
)
def test_refusals_speak_as_docker_does(said: str, kind: type[EngineError], words: str) -> None:
    error = _refusal(said, BUSYBOX, "pull")

    assert type(error) is kind
    assert str(error) == words


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ('time="2026-01-01T00:00:00Z" level=fatal msg="Error: \\"x\\" is wrong"\n', 'Error: "x" is wrong'),
        ('time="…" level=info msg="hello"\ntime="…" level=fatal msg="no"', "no"),
        ("plain words\n", "plain words"),
        (" • unpacking rootfs ...\n   \N{VECTOR OR CROSS PRODUCT} create rootfs: no\n", "create rootfs: no"),
        ('level=fatal msg="\\x00"', '"\\x00"'),
        ("", "it failed"),
    ],
)
def test_the_reason_is_taken_out_of_the_log_line(output: str, said: str) -> None:
    assert reason(CommandFailed("it failed", status=1, output=output)) == said
