"""What names mean."""

import pytest

from linkspan.errors import InvalidInput, NotFound
from linkspan.images.index import Index, StoredImage
from linkspan.model.image import Image
from tests.unit.images.samples import DIGEST, ID, OTHER_ID, image


def stored(value: Image) -> StoredImage:
    return StoredImage(image=value, manifest="sha256:m", manifest_size=1, layers=())


INDEX = (
    Index()
    .with_image(stored(image(ID, tags=["busybox:1", "busybox:latest"], digests=[f"busybox@{DIGEST}"])))
    .with_image(stored(image(OTHER_ID, tags=["localhost:5000/app:2"])))
)


@pytest.mark.parametrize(
    "ref",
    [
        "busybox",
        "busybox:1",
        "docker.io/library/busybox",
        f"busybox@{DIGEST}",
        f"busybox:7@{DIGEST}",
        ID,
        ID.removeprefix("sha256:"),
        ID[:19],
        "abab",
    ],
)
def test_an_image_is_found(ref: str) -> None:
    assert INDEX.find(ref).image.id == ID


@pytest.mark.parametrize(
    ("ref", "named"),
    [
        ("alpine", "alpine:latest"),
        ("busybox:2", "busybox:2"),
        (f"alpine@{DIGEST}", f"alpine@{DIGEST}"),
        ("abc", "abc:latest"),
        ("12" * 32, "12" * 32),
        (DIGEST, DIGEST),
        ("localhost:5000/app", "localhost:5000/app:latest"),
    ],
)
def test_an_image_that_is_not_there_is_named_in_full(ref: str, named: str) -> None:
    with pytest.raises(NotFound) as refused:
        INDEX.find(ref)

    assert str(refused.value) == f"No such image: {named}"


def test_a_beginning_that_two_images_share_means_none() -> None:
    twin = ID[:-1] + "0"

    with pytest.raises(NotFound):
        INDEX.with_image(stored(image(twin))).find("abab")


@pytest.mark.parametrize("ref", ["", "a b", "UPPER", "../x"])
def test_what_is_no_reference_is_refused(ref: str) -> None:
    with pytest.raises(InvalidInput):
        INDEX.find(ref)


def test_a_name_moves_from_one_image_to_the_other() -> None:
    index = INDEX.named(OTHER_ID, tags=["busybox:latest"])

    assert index.find("busybox").image.id == OTHER_ID
    assert index.find(ID).image.tags == ("busybox:1",)
    assert INDEX.find("busybox").image.id == ID


def test_an_image_that_is_gone_gets_no_name() -> None:
    with pytest.raises(NotFound):
        INDEX.without(ID).named(ID, tags=["x:1"])


def test_names_are_taken_only_from_the_image_meant() -> None:
    index = INDEX.unnamed(OTHER_ID, ["busybox:1", "localhost:5000/app:2"])

    assert index.find(ID).image.tags == ("busybox:1", "busybox:latest")
    assert index.find(OTHER_ID).image.tags == ()


def test_a_name_without_a_tag_means_all_its_tags_to_save() -> None:
    assert INDEX.meant(["busybox"])[ID][1] == {"busybox:1", "busybox:latest"}
    assert INDEX.meant(["busybox:1"])[ID][1] == {"busybox:1"}
    assert INDEX.meant([ID])[ID][1] == set()
    assert set(INDEX.meant(["busybox:1", ID[:19], OTHER_ID])) == {ID, OTHER_ID}
