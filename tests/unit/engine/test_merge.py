"""What a container runs: the request merged with the image (Docker's rules)."""

import pytest

from linkspan.engine.merge import merged_env, merged_spec
from linkspan.engine.requests import CreateRequest
from linkspan.errors import InvalidInput
from linkspan.model.container import NetworkConfig, NetworkMode
from linkspan.model.image import Image, ImageConfig
from linkspan.model.publish import Port

NETWORK = NetworkConfig(mode=NetworkMode.parse("bridge"), exposed=(Port(443),))


def image(**config: object) -> Image:
    made = ImageConfig(**config)  # type: ignore[arg-type]  # fields of ImageConfig
    return Image(id="sha256:1", tags=(), digests=(), created=0, size=0, architecture="amd64", os="linux", config=made)


@pytest.mark.parametrize(
    ("image_entry", "image_cmd", "entry", "cmd", "args"),
    [
        ((), ("sh",), None, None, ("sh",)),
        ((), ("sh",), None, ("ls",), ("ls",)),
        (("tini", "--"), ("sh",), None, None, ("tini", "--", "sh")),
        (("tini", "--"), ("sh",), None, ("ls",), ("tini", "--", "ls")),
        (("tini",), ("sh",), ("bash",), None, ("bash",)),
        (("tini",), ("sh",), ("bash",), ("-c", "x"), ("bash", "-c", "x")),
        (("tini",), ("sh",), ("",), ("ls",), ("ls",)),
    ],
)
def test_command(
    image_entry: tuple[str, ...],
    image_cmd: tuple[str, ...],
    entry: tuple[str, ...] | None,
    cmd: tuple[str, ...] | None,
    args: tuple[str, ...],
) -> None:
    request = CreateRequest(image="x", network=NETWORK, entrypoint=entry, cmd=cmd)
    assert merged_spec(request, image(entrypoint=image_entry, cmd=image_cmd)).process.args == args


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no command specified"):
        merged_spec(CreateRequest(image="x", network=NETWORK), image())


def test_the_request_goes_before_the_image() -> None:
    config = {"cmd": ("sh",), "env": ("A=1", "B=2", "C=3"), "user": "www", "working_dir": "/srv", "labels": {"a": "image", "b": "image"}}
    request = CreateRequest(image="x", network=NETWORK, env=("B=two", "C", "D=4"), labels={"a": "mine"}, working_dir="/tmp")
    spec = merged_spec(request, image(**config, exposed=(Port(80),), stop_signal="SIGQUIT"))
    assert spec.process.env == ("A=1", "B=two", "D=4")
    assert (spec.process.user, spec.process.working_dir) == ("www", "/tmp")
    assert spec.labels == {"a": "mine", "b": "image"}
    assert spec.network.exposed == (Port(80), Port(443))
    assert spec.stop_signal == "SIGQUIT"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("working_dir", "relative", "needs to be an absolute path"), ("stop_signal", "SIGNOPE", "Invalid signal: SIGNOPE")],
)
def test_wrong_values(field: str, value: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        merged_spec(CreateRequest(image="x", network=NETWORK, **{field: value}), image(cmd=("sh",)))  # type: ignore[arg-type]  # texts


def test_an_empty_value_is_a_value() -> None:
    assert merged_env(("A=1",), ("A=",)) == ("A=",)
