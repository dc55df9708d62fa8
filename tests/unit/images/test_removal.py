"""What `docker rmi` does, in moby's words."""

import pytest

from linkspan.errors import Conflict
from linkspan.images.removal import ImageUser, decide, vanished_layers
from tests.unit.images.samples import DIGEST, ID, OTHER_ID, image

SHORT = "abababababab"
STOPPED = ImageUser(id="c0ffee" * 10, running=False)
RUNNING = ImageUser(id="beef" * 16, running=True)


def test_the_last_name_takes_the_image_along() -> None:
    removal = decide(image(tags=["busybox:latest"]), "busybox", [], force=False)

    assert removal.untagged == ("busybox:latest",)
    assert removal.deleted


def test_one_of_two_names_leaves_the_image() -> None:
    removal = decide(image(tags=["busybox:1", "busybox:latest"]), "busybox:1", [RUNNING], force=False)

    assert removal.untagged == ("busybox:1",)
    assert not removal.deleted


def test_the_last_tag_takes_the_digests_of_its_repository_along() -> None:
    twice = image(tags=["a:1", "b:1"], digests=[f"a@{DIGEST}", f"b@{DIGEST}"])

    removal = decide(twice, "a:1", [], force=False)

    assert removal.untagged == ("a:1", f"a@{DIGEST}")
    assert not removal.deleted


def test_a_digest_goes_alone() -> None:
    removal = decide(image(tags=["a:1"], digests=[f"a@{DIGEST}"]), f"a@{DIGEST}", [], force=False)

    assert removal.untagged == (f"a@{DIGEST}",)
    assert not removal.deleted


@pytest.mark.parametrize("asked", [ID, ID.removeprefix("sha256:"), SHORT, f"sha256:{SHORT}"])
def test_an_id_takes_the_only_repository_along(asked: str) -> None:
    removal = decide(image(tags=["a:1"], digests=[f"a@{DIGEST}"]), asked, [], force=False)

    assert removal.untagged == ("a:1", f"a@{DIGEST}")
    assert removal.deleted


def test_an_image_without_a_name_goes_by_its_id() -> None:
    removal = decide(image(), SHORT, [], force=False)

    assert removal.untagged == ()
    assert removal.deleted


@pytest.mark.parametrize("user", [STOPPED, RUNNING])
def test_the_only_name_of_a_used_image_must_be_forced(user: ImageUser) -> None:
    with pytest.raises(Conflict) as refused:
        decide(image(tags=["busybox:latest"]), "busybox", [user], force=False)

    assert str(refused.value) == (
        f'conflict: unable to remove repository reference "busybox" (must force) - '
        f"container {user.id[:12]} is using its referenced image {SHORT}"
    )


def test_force_removes_the_name_of_an_image_that_runs_but_not_the_image() -> None:
    removal = decide(image(tags=["busybox:latest"]), "busybox", [RUNNING], force=True)

    assert removal.untagged == ("busybox:latest",)
    assert not removal.deleted


def test_force_removes_an_image_that_only_stopped_containers_use() -> None:
    assert decide(image(tags=["busybox:latest"]), "busybox", [STOPPED], force=True).deleted
    assert decide(image(tags=["busybox:latest"]), SHORT, [STOPPED], force=True).deleted


@pytest.mark.parametrize(
    ("tags", "users", "force", "words"),
    [
        (["a:1"], [STOPPED], False, f"(must be forced) - image is being used by stopped container {STOPPED.id[:12]}"),
        (["a:1"], [STOPPED, RUNNING], False, f"(cannot be forced) - image is being used by running container {RUNNING.id[:12]}"),
        (["a:1"], [RUNNING], True, f"(cannot be forced) - image is being used by running container {RUNNING.id[:12]}"),
        (["a:1", "b:1"], [], False, "(must be forced) - image is referenced in multiple repositories"),
        (["a:1", "a:2"], [], False, "(must be forced) - image is referenced in multiple repositories"),
    ],
)
def test_removal_by_id_is_refused(tags: list[str], users: list[ImageUser], force: bool, words: str) -> None:
    with pytest.raises(Conflict) as refused:
        decide(image(tags=tags), SHORT, users, force=force)

    assert str(refused.value) == f"conflict: unable to delete {SHORT} {words}"


def test_force_removes_every_name_by_id() -> None:
    removal = decide(image(tags=["a:1", "b:1"]), SHORT, [], force=True)

    assert removal.untagged == ("a:1", "b:1")
    assert removal.deleted


def test_layers_that_another_image_has_do_not_vanish() -> None:
    gone = vanished_layers(image(layers=["sha256:base", "sha256:top"]), [image(OTHER_ID, layers=["sha256:base"])])

    assert len(gone) == 1
    assert vanished_layers(image(layers=["sha256:base"]), []) == ["sha256:base"]
