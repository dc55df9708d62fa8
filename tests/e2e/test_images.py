"""Images, by the docker command: the built-in one, archives, and a real registry."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import Engine
from tests.registries import REGISTRY, Registry

pytestmark = pytest.mark.kernel


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """The address of a registry on the engine's host."""
    server = Registry(engine.host, tmp_path / "registry")
    server.start()
    yield REGISTRY
    server.stop()


@pytest.fixture
def names(engine: Engine) -> Iterator[None]:
    """Whatever images the test leaves, only busybox stays."""
    yield
    engine.remove_containers()
    for image in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if image != "busybox:latest":
            engine.docker("rmi", "-f", image)
    engine.docker("image", "prune", "-f")


def image_id(engine: Engine, name: str) -> str:
    return engine.docker("inspect", "--type", "image", "--format", "{{.Id}}", name)


def test_busybox_is_built_in(engine: Engine) -> None:
    assert engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}") == "busybox:latest"
    assert engine.docker("inspect", "--type", "image", "--format", "{{json .Config.Cmd}}", "busybox") == '["sh"]'
    assert engine.docker("history", "--format", "{{.Size}}", "busybox") != ""


@pytest.mark.usefixtures("names")
def test_push_and_pull_with_progress(engine: Engine, registry: str) -> None:
    original = image_id(engine, "busybox")
    engine.docker("tag", "busybox", f"{registry}/tools/box:1")
    assert "digest: sha256:" in engine.docker("push", f"{registry}/tools/box:1")
    engine.docker("rmi", f"{registry}/tools/box:1")
    assert "No such image" in engine.refused("inspect", "--type", "image", f"{registry}/tools/box:1")
    engine.docker("tag", "busybox", "keep")
    engine.docker("rmi", "busybox", "keep")
    pulled = engine.docker("pull", f"{registry}/tools/box:1")
    assert "1: Pulling from tools/box" in pulled
    assert "Pull complete" in pulled
    assert "Digest: sha256:" in pulled
    assert f"Status: Downloaded newer image for {registry}/tools/box:1" in pulled
    assert "Image is up to date" in engine.docker("pull", f"{registry}/tools/box:1")
    assert image_id(engine, f"{registry}/tools/box:1") == original
    assert engine.docker("run", "--rm", f"{registry}/tools/box:1", "echo", "pulled") == "pulled"
    engine.docker("tag", f"{registry}/tools/box:1", "busybox")


@pytest.mark.usefixtures("names")
def test_run_pulls_what_is_missing(engine: Engine, registry: str) -> None:
    engine.docker("tag", "busybox", f"{registry}/box")
    engine.docker("push", f"{registry}/box")
    engine.docker("rmi", f"{registry}/box")
    done = engine.try_docker("run", "--rm", f"{registry}/box", "echo", "hello")
    assert (done.status, done.out) == (0, "hello\n")
    assert f"Unable to find image '{registry}/box:latest' locally" in done.err
    engine.docker("rmi", f"{registry}/box")
    done = engine.try_linkspan("run", "--rm", f"{registry}/box", "echo", "hello")
    assert (done.status, done.out) == (0, "hello\n")


def test_what_a_registry_lacks(engine: Engine, registry: str) -> None:
    assert "manifest" in engine.refused("pull", f"{registry}/nope:1")
    assert "connection refused" in engine.refused("pull", "127.0.0.1:5999/nope:1")


@pytest.mark.usefixtures("names")
def test_save_and_load(engine: Engine, tmp_path: Path) -> None:
    original, archive = image_id(engine, "busybox"), tmp_path / "box.tar"
    engine.docker("tag", "busybox", "other:2")
    engine.docker("save", "-o", archive, "busybox", "other:2")
    engine.docker("rmi", "busybox", "other:2")
    assert engine.docker("images", "-q") == ""
    loaded = engine.docker("load", "-i", archive)
    assert "Loaded image: busybox:latest" in loaded
    assert "Loaded image: other:2" in loaded
    assert image_id(engine, "busybox") == image_id(engine, "other:2") == original
    assert engine.docker("run", "--rm", "busybox", "echo", "loaded") == "loaded"


@pytest.mark.usefixtures("names")
def test_import(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name, text in (("greeting", b"hello\n"),):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    engine.docker("import", "-c", 'ENTRYPOINT ["/bin/busybox"]', "-c", "EXPOSE 80", archive, "mine:1")
    assert engine.docker("run", "--rm", "mine:1", "cat", "/greeting") == "hello"
    engine.docker("run", "-d", "--name", "box", "-P", "mine:1", "sleep", "100")
    assert engine.docker("port", "box").startswith("80/tcp -> 0.0.0.0:")


@pytest.mark.usefixtures("names")
def test_an_image_in_use_is_kept(engine: Engine) -> None:
    engine.docker("tag", "busybox", "mine")
    engine.docker("run", "-d", "--name", "box", "mine", "sleep", "100")
    engine.docker("rmi", "mine")
    assert "image is being used by running container" in engine.refused("rmi", "-f", image_id(engine, "busybox"))
    assert "unable to remove repository reference" in engine.refused("rmi", "busybox")


def test_archives_that_are_none(engine: Engine, tmp_path: Path) -> None:
    junk = tmp_path / "junk.tar"
    junk.write_bytes(b"junk" * 1000)
    assert engine.refused("load", "-i", junk)
    before = engine.docker("images", "-a", "--format", "{{.ID}}")
    assert engine.refused("import", junk, "x")
    assert engine.docker("images", "-a", "--format", "{{.ID}}") == before


def test_an_archive_cannot_write_outside(engine: Engine, tmp_path: Path) -> None:
    archive, target = tmp_path / "evil.tar", tmp_path / "stolen"
    with tarfile.open(archive, "w") as tar:
        for name in (f"../../../../../../../../../..{target}", "escape/owned"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            if name == "escape/owned":
                link = tarfile.TarInfo("escape")
                link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
                tar.addfile(link)
            tar.addfile(entry, io.BytesIO(b"evil"))
    engine.try_docker("import", archive, "evil")
    assert not target.exists()
    assert not (tmp_path / "owned").exists()
    engine.try_docker("rmi", "evil")
