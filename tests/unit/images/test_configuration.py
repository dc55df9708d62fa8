"""Image configurations that other tools wrote."""

import json

import pytest

from linkspan.errors import InvalidInput
from linkspan.images.configuration import configuration_of, image_of, nanoseconds, timestamp
from linkspan.images.layers import LayerBlob
from linkspan.model.image import ImageConfig
from linkspan.model.publish import Port
from tests.unit.images.samples import configuration

BASE = LayerBlob(digest="sha256:b", size=5, compressed=True, diff_id="sha256:base", tar_size=10240, content_size=100)
TOP = LayerBlob(digest="sha256:t", size=5, compressed=False, diff_id="sha256:top", tar_size=10240, content_size=7)


def test_what_a_container_inherits_is_read() -> None:
    config: dict[str, object] = {
        "User": "web",
        "Env": ["A=1"],
        "Entrypoint": ["/init"],
        "Cmd": None,
        "WorkingDir": "/srv",
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "StopSignal": "SIGINT",
        "Volumes": {"/data": {}},
        "SomethingNew": [1, 2],
    }

    image = image_of(configuration([BASE, TOP], config=config, author="me", comment="hm"), [BASE, TOP])

    assert image.config == ImageConfig(
        user="web",
        env=("A=1",),
        entrypoint=("/init",),
        working_dir="/srv",
        labels={"a": "b"},
        exposed=(Port(53, "udp"), Port(80)),
        stop_signal="SIGINT",
        volumes=("/data",),
    )
    assert (image.size, image.layers, image.author, image.comment) == (107, ("sha256:base", "sha256:top"), "me", "hm")


def test_steps_without_a_layer_have_no_size() -> None:
    steps = [{"created_by": "COPY"}, {"created_by": "ENV", "empty_layer": True}]

    image = image_of(configuration([BASE, TOP], history=steps, created="2024-01-01T00:00:00Z"), [BASE, TOP])

    assert [(line.created_by, line.size) for line in image.history] == [("COPY", 100), ("ENV", 0), ("", 7)]


def test_the_id_is_the_digest_of_the_very_bytes() -> None:
    spaced = json.dumps(json.loads(configuration([BASE])), indent=3).encode()

    assert image_of(spaced, [BASE]).id != image_of(configuration([BASE]), [BASE]).id


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{",
        b"[" * 100_000,
        configuration([BASE], config={"Env": "A=1"}),
        configuration([BASE], config={"Env": [1]}),
        configuration([BASE], config={"Cmd": ["a\0b"]}),
        configuration([BASE], config=[]),
        configuration([BASE], config={"Labels": {"a": 1}}),
        configuration([BASE], config={"ExposedPorts": {"http": {}}}),
        configuration([BASE], created="yesterday"),
        configuration([BASE], created="2024-13-01T00:00:00Z"),
        configuration([BASE], history=["x"]),
        configuration([TOP]),
        configuration([]),
    ],
)
def test_malformed_configurations_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        image_of(raw, [BASE])


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = configuration_of({"Cmd": ["sh"]}, [BASE], created="1970-01-01T00:00:00Z", architecture="amd64")

    assert first == configuration_of({"Cmd": ["sh"]}, [BASE], created="1970-01-01T00:00:00Z", architecture="amd64")
    assert image_of(first, [BASE]).config.cmd == ("sh",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_nanoseconds(text: str, value: int) -> None:
    assert nanoseconds(text) == value


def test_a_time_survives_the_round_trip() -> None:
    assert nanoseconds(timestamp(1_700_000_000_123_456_789)) == 1_700_000_000_123_456_789
