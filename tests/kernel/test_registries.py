"""Pulling from and pushing to a real registry, Debian's docker-registry."""

import asyncio
import contextlib
import hashlib
import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from linkspan.errors import EngineError, InvalidInput, NotFound
from linkspan.images.registry import Progress, RegistryAuth
from linkspan.images.store import ImageStore
from tests.hosts import Host
from tests.kernel.imagestores import LAYER, Store, collected, docker_archive, tar_of_files
from tests.registries import REGISTRY, Registry, lying_registry

pytestmark = pytest.mark.kernel

HTPASSWD = "user:$2b$04$dH651RBJhsNZVamH6AWLueO6XInsYGN6RJ5vyUNDI5wJe9d1nL/K6"
"""Password: secret."""


@pytest.fixture
def registry(host: Host, tmp_path: Path) -> Registry:
    return Registry(host, tmp_path / "registry")


@pytest.fixture
def pulling(host: Host, tmp_path: Path) -> Store:
    """A store on the host that the registry runs on; it starts empty."""
    store = Store(tmp_path / "pulling", host)
    store.remove("busybox")
    store.events.clear()
    return store


@pytest.fixture
def pushing(host: Host, tmp_path: Path) -> Store:
    return Store(tmp_path / "pushing", host)


def statuses(steps: Sequence[Progress], layer: str) -> list[str]:
    return list(dict.fromkeys(step.status for step in steps if step.id == layer and step.status != "Downloading"))


def test_an_image_goes_to_a_registry_and_back_and_stays_the_same(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    name = f"{REGISTRY}/team/tool:1"
    pushing.load(docker_archive([name], tar_of_files({"base": b"1" * 5000}), tar_of_files({"top": b"2" * 7000})))

    pushed = pushing.push(name)
    pulled = pulling.pull(name)

    digest = pushed[-1].status.removeprefix("1: digest: ")
    assert pushed[0].status == f"The push refers to repository [{REGISTRY}/team/tool]"
    assert pulled[0] == Progress(status="Pulling from team/tool", id="1")
    assert [step.status for step in pulled[-2:]] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}"]
    layers = [step.id for step in pulled if step.status == "Pulling fs layer"]
    assert len(layers) == 2
    for layer in layers:
        assert statuses(pulled, layer) == ["Pulling fs layer", "Download complete", "Extracting", "Pull complete"]
    assert pulling.id(name) == pushing.id(name)
    assert pulling.id(f"{REGISTRY}/team/tool@{digest}") == pushing.id(name)
    assert (pulling.rootfs(name) / "top").read_bytes() == b"2" * 7000
    assert pulling.events == [("pull", f"{REGISTRY}/team/tool")]


def test_what_is_there_is_not_fetched_again(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    base = tar_of_files({"base": b"1" * 5000})
    pushing.load(docker_archive([f"{REGISTRY}/a:1"], base))
    pushing.load(docker_archive([f"{REGISTRY}/b:1"], base, tar_of_files({"top": b"2"})))
    pushing.push(f"{REGISTRY}/a:1")
    pushing.push(f"{REGISTRY}/b:1")
    pulling.pull(f"{REGISTRY}/a:1")

    shared = pulling.pull(f"{REGISTRY}/b:1")
    again = pulling.pull(f"{REGISTRY}/b:1")

    assert [step.status for step in shared if step.status in ("Already exists", "Pulling fs layer")] == [
        "Already exists",
        "Pulling fs layer",
    ]
    assert again[-1].status == f"Status: Image is up to date for {REGISTRY}/b:1"
    assert [step.status for step in again[1:-2]] == ["Already exists", "Already exists"]


def test_an_image_that_was_loaded_is_not_fetched(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    archive = docker_archive([f"{REGISTRY}/a:1"], LAYER)
    pushing.load(archive)
    pushing.push(f"{REGISTRY}/a:1")
    pulling.load(archive)
    pulling.remove(f"{REGISTRY}/a:1", users=[], force=False)
    pulling.load(archive.replace(b"/a:1", b"/z:1"))

    steps = pulling.pull(f"{REGISTRY}/a:1")

    assert [step.status for step in steps[1:-2]] == ["Already exists"]
    assert pulling.id(f"{REGISTRY}/a:1") == pulling.id(f"{REGISTRY}/z:1")


def test_a_saved_pull_is_plain(registry: Registry, pushing: Store, pulling: Store, tmp_path: Path) -> None:
    registry.start()
    name = f"{REGISTRY}/a:1"
    pushing.load(docker_archive([name], LAYER))
    pushing.push(name)
    pulling.pull(name)

    assert pulling.save(name) == pushing.save(name)


def test_the_platform_is_chosen_from_a_list(registry: Registry, pushing: Store, pulling: Store, host: Host) -> None:
    registry.start()
    pushing.load(docker_archive([f"{REGISTRY}/many:amd64"], tar_of_files({"amd64": b""})))
    pushing.load(docker_archive([f"{REGISTRY}/many:arm64"], tar_of_files({"arm64": b""})))
    entries = []
    for architecture in ("arm64", "amd64"):
        steps = pushing.push(f"{REGISTRY}/many:{architecture}")
        raw = host.sh("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{REGISTRY}/many:{architecture}")
        entries.append(
            {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "digest": steps[-1].status.partition("digest: ")[2],
                "size": len(raw),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
    url = f"http://{REGISTRY}/v2/many/manifests/latest"
    request = urllib.request.Request(url, body.encode(), {"Content-Type": kind}, method="PUT")
    host.run(lambda: urllib.request.urlopen(request).close())
    name = f"{REGISTRY}/many"

    steps = pulling.do(lambda store: collected(store.pull(name, platform="linux/arm64")))
    assert steps[-2].status == f"Digest: sha256:{hashlib.sha256(body.encode()).hexdigest()}"
    assert (pulling.rootfs(name) / "arm64").exists()

    pulling.do(lambda store: collected(store.pull(name, platform="linux/amd64")))
    assert (pulling.rootfs(name) / "amd64").exists()
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        pulling.do(lambda store: collected(store.pull(name, platform="linux/s390x")))


def test_what_a_registry_does_not_have_is_not_found(registry: Registry, pulling: Store) -> None:
    registry.start()
    with pytest.raises(NotFound, match=f"^manifest for {REGISTRY}/no:1 not found: manifest unknown: manifest unknown$"):
        pulling.pull(f"{REGISTRY}/no:1")

    assert pulling.files() == set()


def test_a_registry_that_does_not_answer_is_named(pulling: Store) -> None:
    with pytest.raises(EngineError, match=r'^Get "http://127\.0\.0\.1:5000/v2/": dial tcp 127\.0\.0\.1:5000: connect: connection refused$'):
        pulling.pull(f"{REGISTRY}/a:1")

    assert pulling.files() == set()


def test_a_private_registry_wants_a_password(registry: Registry, pushing: Store, pulling: Store, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    registry.start(f"auth: {{htpasswd: {{realm: test, path: {tmp_path / 'htpasswd'}}}}}\n")
    name = f"{REGISTRY}/private:1"
    right, wrong = RegistryAuth(username="user", password="secret"), RegistryAuth(username="user", password="guess")
    pushing.load(docker_archive([name], LAYER))

    with pytest.raises(NotFound, match=f"^push access denied for {REGISTRY}/private"):
        pushing.push(name)
    pushing.push(name, right)
    for auth in (None, wrong):
        with pytest.raises(NotFound, match=f"^pull access denied for {REGISTRY}/private"):
            pulling.pull(name, auth)
    pulling.pull(name, right)

    assert pulling.tags() == [name]
    assert not list(pulling.root.rglob("auth*"))


def test_a_damaged_layer_from_a_registry_leaves_nothing(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    name = f"{REGISTRY}/a:1"
    pushing.load(docker_archive([name], LAYER))
    pushing.push(name)
    largest = max(registry.folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))

    with pytest.raises(EngineError, match=f"^cannot pull {name}: "):
        pulling.pull(name)

    assert pulling.state() == ([], set())


def test_a_layer_that_never_ends_is_given_up(pulling: Store, host: Host) -> None:
    before = pulling.state()
    with lying_registry(host, said=100_000) as name, pytest.raises(EngineError, match="the registry sends more than the manifest says"):
        pulling.pull(name)
    assert pulling.state() == before


def test_a_layer_that_cannot_fit_is_not_fetched(pulling: Store, host: Host) -> None:
    before = pulling.state()
    with lying_registry(host, said=1 << 60) as name, pytest.raises(EngineError, match=r"(?i)no space left on device"):
        pulling.pull(name)
    assert pulling.state() == before


def test_two_pulls_of_the_same_image_at_once_both_succeed(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    name = f"{REGISTRY}/a:1"
    pushing.load(docker_archive([name], LAYER))
    pushing.push(name)

    async def both(store: ImageStore) -> list[list[Progress]]:
        return list(await asyncio.gather(collected(store.pull(name)), collected(store.pull(name))))

    ends = [steps[-1].status for steps in pulling.do(both)]

    assert ends == [f"Status: Downloaded newer image for {name}", f"Status: Image is up to date for {name}"]


def test_a_pull_that_nobody_waits_for_ends_and_leaves_nothing(registry: Registry, pushing: Store, pulling: Store) -> None:
    registry.start()
    name = f"{REGISTRY}/a:1"
    pushing.load(docker_archive([name], LAYER))
    pushing.push(name)

    async def hang_up(store: ImageStore) -> None:
        async with contextlib.aclosing(store.pull(name)) as steps:
            async for step in steps:
                if step.status == "Download complete":
                    return

    pulling.do(hang_up)

    assert pulling.state() == ([], set())
    assert pulling.pull(name)[-1].status == f"Status: Downloaded newer image for {name}"


def test_pushing_what_is_not_there_is_refused(pushing: Store) -> None:
    with pytest.raises(NotFound, match=f"^An image does not exist locally with the tag: {REGISTRY}/no$"):
        pushing.push(f"{REGISTRY}/no")


def test_a_digest_cannot_be_pushed(pushing: Store) -> None:
    with pytest.raises(InvalidInput, match=r"^cannot push a digest reference$"):
        pushing.push("busybox@sha256:" + "0" * 64)
