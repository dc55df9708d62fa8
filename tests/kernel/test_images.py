"""The image store with the real skopeo, umoci and registry."""

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import socket
import subprocess
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from tests.hosts import Host, until

from linkspan.errors import Conflict, EngineError, InvalidInput, NotFound
from linkspan.images.registry import Progress, RegistryAuth
from linkspan.images.removal import ImageUser
from linkspan.images.store import ImageStore
from linkspan.kernel import process

pytestmark = pytest.mark.kernel

T = TypeVar("T")

REGISTRY = "127.0.0.1:5000"
STOPPED = ImageUser(id="c0ffee" * 10, running=False)
HTPASSWD = "user:$2b$04$dH651RBJhsNZVamH6AWLueO6XInsYGN6RJ5vyUNDI5wJe9d1nL/K6"
"""Password: secret."""


@dataclass
class Store:
    """A store for the tests. Each call opens it anew, as a restarted engine does."""

    root: Path
    host: Host | None = None
    events: list[tuple[str, str]] = field(default_factory=list)

    def do(self, action: Callable[[ImageStore], Awaitable[T]]) -> T:
        async def main() -> T:
            process.watch_children()
            store = ImageStore(self.root, events=lambda action, _, attributes: self.events.append((action, attributes["name"])))
            await store.open()
            return await action(store)

        return self.host.run(lambda: asyncio.run(main())) if self.host else asyncio.run(main())

    def load(self, data: bytes) -> list[str]:
        return self.do(lambda store: collected(store.load(streamed(data))))

    def import_root(self, data: bytes, ref: str = "", changes: Sequence[str] = ()) -> str:
        return self.do(lambda store: store.import_root(streamed(data), ref, changes=changes))

    def save(self, *refs: str) -> bytes:
        return b"".join(self.do(lambda store: collected(store.save(refs))))

    def pull(self, ref: str, auth: RegistryAuth | None = None) -> list[Progress]:
        return self.do(lambda store: collected(store.pull(ref, auth=auth)))

    def push(self, ref: str, auth: RegistryAuth | None = None) -> list[Progress]:
        return self.do(lambda store: collected(store.push(ref, auth=auth)))

    def remove(self, ref: str, *, force: bool = False, users: Sequence[ImageUser] = ()) -> list[tuple[str, str]]:
        return self.do(lambda store: store.remove(ref, force=force, in_use=lambda _: users))

    def tag(self, ref: str, name: str) -> None:
        self.do(lambda store: store.tag(ref, name))

    def id(self, ref: str) -> str:
        return self.do(lambda store: answered(store.find(ref).id))

    def tags(self) -> list[str]:
        return self.do(lambda store: answered(sorted(tag for image in store.list() for tag in image.tags)))

    def rootfs(self, ref: str) -> Path:
        return self.do(lambda store: store.rootfs(store.find(ref).id))

    def state(self) -> tuple[list[str], set[str]]:
        """The names and the files; what a refused operation must leave as it was."""
        return self.tags(), self.files()

    def files(self) -> set[str]:
        """Every file of the store but the index, every root and every work in progress."""
        patterns = ("oci/blobs/sha256/*", "roots/*", "tmp/*")
        return {str(path.relative_to(self.root)) for pattern in patterns for path in self.root.glob(pattern)}


async def streamed(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 50_000):
        yield data[start : start + 50_000]


async def collected(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def answered(value: T) -> T:
    return value


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    result = tarfile.TarInfo(name)
    result.type = kind
    result.linkname = link
    return result


def tar_of(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_of_files(files: Mapping[str, bytes]) -> bytes:
    return tar_of((member(name), data) for name, data in files.items())


def docker_archive(tags: Sequence[str], *layers: bytes, history: Sequence[Mapping[str, object]] = ()) -> bytes:
    """An archive as `docker save` of old wrote it."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    # Fields of Docker's own: an image that went through a conversion to OCI would lose them, and have another id.
    config = {"architecture": "amd64", "os": "linux", "docker_version": "20.10", "container": "0123", "config": {"Cmd": ["sh"]}}
    data = json.dumps({**config, "history": history, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    listing = [{"Config": name, "RepoTags": tags, "Layers": [f"{number}/layer.tar" for number in range(len(layers))]}]
    files = {
        name: data,
        **{f"{number}/layer.tar": layer for number, layer in enumerate(layers)},
        "manifest.json": json.dumps(listing).encode(),
    }
    return tar_of_files(files)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


# The built-in image


def test_the_first_start_makes_a_busybox_that_runs(store: Store) -> None:
    root = store.rootfs("busybox")

    said = subprocess.run(
        ["chroot", root, "/usr/bin/env", "sh", "-c", "id -un; cat /etc/group | wc -l; [ -w /tmp ]"], capture_output=True, check=True
    )

    assert said.stdout.split() == [b"root", b"11"]
    assert store.tags() == ["busybox:latest"]


def test_the_same_busybox_has_the_same_id_everywhere(store: Store, tmp_path: Path) -> None:
    assert store.id("busybox") == Store(tmp_path / "other").id("busybox")


def test_a_busybox_that_was_removed_stays_removed(store: Store) -> None:
    image_id = store.id("busybox")

    lines = store.remove("busybox")

    assert lines[:2] == [("Untagged", "busybox:latest"), ("Deleted", image_id)]
    assert store.tags() == []
    assert store.files() == set()
    assert store.events == [("untag", "busybox:latest"), ("delete", image_id)]


# Archives


def test_a_saved_image_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    store.tag("busybox", "team/tool:1")
    other.remove("busybox")

    assert other.load(store.save("busybox", "team/tool")) == ["Loaded image: busybox:latest", "Loaded image: team/tool:1"]

    assert other.id("team/tool:1") == store.id("busybox")
    assert other.files() == store.files()
    assert (other.rootfs("busybox") / "bin" / "sh").is_symlink()


def test_an_image_saved_by_its_id_has_no_name(store: Store) -> None:
    image_id = store.id("busybox")
    saved = store.save(image_id)
    store.remove("busybox")

    assert store.load(gzip.compress(saved)) == [f"Loaded image ID: {image_id}"]
    assert store.tags() == []


def test_an_archive_of_several_images_brings_them_all(store: Store, tmp_path: Path) -> None:
    store.import_root(tar_of_files({"one": b"1"}), "one")
    saved = store.save("one", "busybox")
    other = Store(tmp_path / "other")

    other.load(saved)

    assert other.tags() == ["busybox:latest", "one:latest"]
    assert other.save("one", "busybox") == saved


def test_other_tools_read_what_is_saved(store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(store.save("busybox"))

    inspected = subprocess.run(["skopeo", "inspect", "--raw", f"docker-archive:{archive}"], capture_output=True, check=True)

    assert json.loads(inspected.stdout)["config"]["digest"] == store.id("busybox")


def test_an_oci_archive_is_loaded(store: Store, tmp_path: Path) -> None:
    docker, oci = tmp_path / "docker.tar", tmp_path / "oci.tar"
    docker.write_bytes(store.save("busybox"))
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{docker}", f"oci-archive:{oci}:localhost/b:2"], check=True
    )

    assert store.load(oci.read_bytes()) == ["Loaded image: localhost/b:2"]
    assert (store.rootfs("localhost/b:2") / "bin" / "sh").is_symlink()


def test_a_name_that_moves_is_told(store: Store) -> None:
    old = store.id("busybox")

    lines = store.load(docker_archive(["busybox:latest"], tar_of_files({"x": b""})))

    assert lines == [
        f"The image busybox:latest already exists, renaming the old one with ID {old} to empty string",
        "Loaded image: busybox:latest",
    ]
    assert store.id(old) == old


def test_upper_layers_delete_and_replace(store: Store) -> None:
    base = tar_of_files({"dir/gone": b"1", "dir/kept": b"2", "opaque/below": b"3", "replaced": b"4"})
    top = tar_of_files({"dir/.wh.gone": b"", "opaque/.wh..wh..opq": b"", "opaque/above": b"5", "replaced": b"6"})

    store.load(docker_archive(["two:1"], base, top, history=[{"created_by": "base"}, {"created_by": "top", "comment": "c"}]))
    root = store.rootfs("two:1")

    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["dir", "dir/kept", "opaque", "opaque/above", "replaced"]
    assert (root / "replaced").read_bytes() == b"6"
    steps = store.do(lambda opened: answered(opened.history("two:1")))
    assert [(step.created_by, step.size, step.comment) for step in steps] == [("top", 2, "c"), ("base", 4, "")]


LAYER = tar_of_files({"x": b"data" * 10_000})
GOOD = docker_archive(["good:1"], LAYER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive" * 1000,
        GOOD[: len(GOOD) // 2],
        GOOD.replace(b"data" * 10, b"DATA" * 10),
        gzip.compress(GOOD)[:200],
        gzip.compress(GOOD)[:-1],
        tar_of_files({"manifest.json": b'[{"Config": "missing.json", "RepoTags": ["a:1"], "Layers": ["missing"]}]'}),
        tar_of_files({"manifest.json": b'[{"Config": "../../etc/passwd", "RepoTags": ["a:1"], "Layers": []}]'}),
        docker_archive(["a:1"], b"this layer is no tar" * 100),
        docker_archive(["NOT A NAME"], LAYER),
        LAYER,
    ],
    ids=["empty", "text", "truncated", "changed", "gzip-cut", "gzip-unfinished", "no-files", "outside", "no-layer", "bad-name", "root"],
)
def test_a_damaged_archive_is_refused_and_leaves_nothing(store: Store, data: bytes) -> None:
    before = store.state()

    with pytest.raises(InvalidInput) as refused:
        store.load(data)

    assert store.state() == before
    assert str(store.root) not in str(refused.value), "where the store works is not the user's business"


def test_an_upload_that_breaks_off_leaves_nothing(store: Store) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield GOOD[:1000]
        raise ConnectionResetError

    before = store.state()

    with pytest.raises(ConnectionResetError):
        store.do(lambda opened: collected(opened.load(broken())))

    assert store.state() == before


# Imports


def test_an_imported_root_is_an_image(store: Store) -> None:
    image_id = store.import_root(gzip.compress(tar_of_files({"etc/motd": b"hello"})), "my/root", ['CMD ["sh"]', "ENV A=1", "EXPOSE 80"])

    image = store.do(lambda opened: answered(opened.find("my/root")))

    assert (image.id, image.tags, image.size) == (image_id, ("my/root:latest",), 5)
    assert (image.config.cmd, image.config.env, [str(port) for port in image.config.exposed]) == (("sh",), ("A=1",), ["80/tcp"])
    assert (store.rootfs("my/root") / "etc" / "motd").read_text() == "hello"
    assert store.events == [("import", "my/root:latest")]


@pytest.mark.parametrize("data", [b"", b"no tar" * 1000, tar_of_files({"x": b"y" * 2000})[:1800]], ids=["empty", "text", "truncated"])
def test_a_damaged_root_is_refused_and_leaves_nothing(store: Store, data: bytes) -> None:
    before = store.state()

    with pytest.raises(InvalidInput, match="is damaged"):
        store.import_root(data, "a")

    assert store.state() == before


@pytest.mark.parametrize(("ref", "change"), [("UPPER", ""), ("a@sha256:" + "0" * 64, ""), ("a", "RUN ls")])
def test_a_wrong_name_or_change_is_refused_before_anything_is_done(store: Store, ref: str, change: str) -> None:
    with pytest.raises(InvalidInput):
        store.import_root(tar_of_files({"x": b""}), ref, [change] if change else [])

    assert store.tags() == ["busybox:latest"]


def test_an_archive_cannot_write_outside_its_root(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    evil = tar_of(
        [
            (member("../../../../../evil"), b"1"),
            (member(f"{outside}/absolute"), b"2"),
            (member("way-out", tarfile.SYMTYPE, str(outside)), b""),
            (member("way-out/through"), b"3"),
            (member("up", tarfile.SYMTYPE, "../../../../.."), b""),
            (member("up/evil"), b"4"),
            (member("hard", tarfile.LNKTYPE, "../../../../../../../../etc/passwd"), b""),
        ]
    )
    with contextlib.suppress(EngineError):  # refusing is as good as taming
        store.import_root(evil, "evil")

    assert list(outside.iterdir()) == []
    written = [path for path in tmp_path.rglob("evil") if store.root / "roots" not in path.parents]
    assert written == []
    assert not any(path.samefile("/etc/passwd") for path in store.root.rglob("hard"))


# Names and removal


def test_a_removed_image_leaves_nothing_but_what_others_share(store: Store) -> None:
    before = store.state()
    store.load(GOOD)
    store.tag("good:1", "again")

    assert store.remove("good:1") == [("Untagged", "good:1")]
    gone = store.id("again")
    assert [kind for kind, _ in store.remove("again")] == ["Untagged", "Deleted", "Deleted"]

    assert store.state() == before
    with pytest.raises(NotFound, match=f"^No such image: {gone}$"):
        store.id(gone)


def test_a_refused_removal_changes_nothing(store: Store) -> None:
    before = store.state()

    with pytest.raises(Conflict, match="must force"):
        store.remove("busybox", users=[STOPPED])

    assert store.state() == before


def test_a_container_keeps_the_root_of_its_image(store: Store) -> None:
    image_id = store.id("busybox")
    root = store.rootfs("busybox")

    store.remove("busybox", force=True, users=[STOPPED])
    store.do(lambda opened: opened.discard_unused_roots(lambda _: [STOPPED]))
    assert store.do(lambda opened: opened.rootfs(image_id)) == root
    assert (root / "bin" / "busybox").exists()

    store.do(lambda opened: opened.discard_unused_roots(lambda _: []))
    assert store.files() == set()
    with pytest.raises(NotFound):
        store.do(lambda opened: opened.rootfs(image_id))


def test_prune_removes_what_nobody_uses(store: Store) -> None:
    unnamed = store.import_root(tar_of_files({"x": b"12345"}))
    store.load(GOOD)

    lines, space = store.do(lambda opened: opened.prune(dangling_only=True, in_use=lambda _: []))
    assert lines[0] == ("Deleted", unnamed)
    assert space == 5
    assert store.tags() == ["busybox:latest", "good:1"]

    used = store.id("busybox")
    store.do(lambda opened: opened.prune(dangling_only=False, in_use=lambda image_id: [STOPPED] if image_id == used else []))
    assert store.tags() == ["busybox:latest"]


def test_a_root_that_was_lost_is_unpacked_again_once_for_all_who_ask(store: Store) -> None:
    root = store.rootfs("busybox")
    subprocess.run(["rm", "-r", root.parent], check=True)

    async def many(opened: ImageStore) -> set[Path]:
        image_id = opened.find("busybox").id
        return set(await asyncio.gather(*(opened.rootfs(image_id) for _ in range(5))))

    assert store.do(many) == {root}
    assert (root / "bin" / "busybox").exists()


# Trouble


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", small], check=True)
    try:
        store = Store(small / "images")
        before = store.state()
        for size in (3, 20):  # too large to unpack, too large to receive
            with pytest.raises(EngineError, match=r"(?i)no space left on device"):
                store.import_root(tar_of_files({"big": bytes(size << 20)}), "big")
            assert store.state() == before
        store.import_root(tar_of_files({"small": b""}), "fits")
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_store_whose_path_has_a_colon_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="colon"):
        Store(tmp_path / "a:b").tags()


# Registries


@dataclass
class Registry:
    """Debian's docker-registry on the host's 127.0.0.1:5000."""

    host: Host
    folder: Path

    def start(self, more: str = "") -> None:
        self.folder.mkdir()
        settings = self.folder / "config.yml"
        settings.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http: {{addr: '{REGISTRY}'}}\n{more}"
        )
        with (self.folder / "log").open("wb") as log:
            self.host.spawn("docker-registry", "serve", settings, stdout=log, stderr=log)
        until(lambda: self.host.run(self._listens), what="the registry listens")

    def stored(self, *parts: str) -> set[str]:
        return {path.name for path in self.folder.joinpath("data/docker/registry/v2", *parts).glob("*")}

    @staticmethod
    def _listens() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", 5000), timeout=1):
            return True
        return False


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
    host.sh("curl", "--fail", "-sS", "-X", "PUT", "-H", f"Content-Type: {kind}", "--data-binary", "@-", url, stdin=body)
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
