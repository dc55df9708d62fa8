"""Images: lists, names, and what moves them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from linkspan.cli import progress, reference
from linkspan.cli.failures import CommandError
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine, Reply

BUSYBOX: dict[str, Any] = {
    "Id": "sha256:" + "c" * 64,
    "RepoTags": ["busybox:latest", "host:5000/my:1.2"],
    "RepoDigests": ["busybox@sha256:" + "9" * 64],
    "Created": 1,
    "Size": 4260000,
}
DANGLING: dict[str, Any] = {"Id": "sha256:" + "f" * 64, "RepoTags": [], "RepoDigests": [], "Created": 1, "Size": 1234567890}


def messages(*parts: dict[str, Any]) -> Reply:
    return Reply(pieces=[json.dumps(part).encode() + b"\r\n" for part in parts])


def test_images(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /images/json", [BUSYBOX, DANGLING])
    lines = call("images", "busybox", "-f", "dangling=false").out.splitlines()
    assert lines[0] == "REPOSITORY     TAG       IMAGE ID       CREATED        SIZE"
    assert [line.split()[:3] for line in lines[1:]] == [
        ["busybox", "latest", "c" * 12],
        ["host:5000/my", "1.2", "c" * 12],
        ["<none>", "<none>", "f" * 12],
    ]
    assert engine.asked[0].query == {"filters": '{"dangling": {"false": true}, "reference": {"busybox": true}}'}
    assert call("image", "ls", "-q").out == f"{'c' * 12}\n{'c' * 12}\n{'f' * 12}\n"
    assert call("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}").out.splitlines()[0] == "busybox:latest 4.26MB"
    digests = [line.split()[2] for line in call("images", "--digests").out.splitlines()]
    assert digests == ["DIGEST", "sha256:" + "9" * 64, "<none>", "<none>"]


def test_history(call: Call, engine: FakeEngine) -> None:
    layer = {"Id": "<missing>", "Created": 1690000000, "CreatedBy": "x" * 60, "Size": 4260000, "Comment": "why"}
    engine.on_json("GET /images/busybox/history", [{**layer, "Id": BUSYBOX["Id"]}, layer])
    first = call("history", "-H=false", "busybox").out.splitlines()[1]
    assert first == f"{'c' * 12}   2023-07-22T04:26:40Z   {'x' * 44}…   4260000   why"
    assert call("history", "-q", "--no-trunc", "busybox").out == f"sha256:{'c' * 64}\n<missing>\n"


def test_rmi(call: Call, engine: FakeEngine) -> None:
    engine.on_json("DELETE /images/host:5000/my:1.2", [{"Untagged": "host:5000/my:1.2"}, {"Deleted": "sha256:1"}])
    engine.refuse("DELETE /images/nosuch", 404, "No such image: nosuch:latest")
    said = call("rmi", "host:5000/my:1.2", "nosuch")
    assert (said.status, said.out) == (1, "Untagged: host:5000/my:1.2\nDeleted: sha256:1\n")
    assert said.err == "Error response from daemon: No such image: nosuch:latest\n"
    assert call("rmi", "-f", "nosuch").status == 0


def test_tag_and_prune(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /images/busybox/tag", None, 201)
    engine.on_json("POST /images/prune", {"ImagesDeleted": [{"Untagged": "x"}, {"Deleted": "y"}], "SpaceReclaimed": 5})
    assert call("tag", "busybox", "my/app:2").status == 0
    assert engine.asked[0].query == {"repo": "docker.io/my/app", "tag": "2"}
    assert call("image", "prune", "-af").out == "Deleted Images:\nuntagged: x\ndeleted: y\n\nTotal reclaimed space: 5B\n"
    assert engine.asked[1].query == {"filters": '{"dangling": {"false": true}}'}


def test_pull(call: Call, engine: FakeEngine) -> None:
    engine.on(
        "POST /images/create",
        messages(
            {"status": "Pulling from library/busybox", "id": "latest"},
            {"status": "Downloading", "progressDetail": {"current": 1, "total": 2}, "id": "aaa"},
            {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
            {"status": "Status: Downloaded newer image for busybox:latest"},
        ),
    )
    said = call("pull", "busybox")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "Using default tag: latest",
        "latest: Pulling from library/busybox",
        "aaa: Pull complete",
        "Status: Downloaded newer image for busybox:latest",
        "docker.io/library/busybox:latest",
    ]
    assert call("pull", "-q", "quay.io/x/y:1").out == "quay.io/x/y:1\n"
    assert engine.asked[1].query == {"fromImage": "quay.io/x/y", "tag": "1"}


def test_pull_that_breaks_off(call: Call, engine: FakeEngine) -> None:
    engine.on("POST /images/create", messages({"status": "Pulling"}, {"error": "disk full", "errorDetail": {"message": "disk full"}}))
    said = call("pull", "busybox:1")
    assert (said.status, said.out, said.err) == (1, "Pulling\n", "disk full\n")


def test_load_and_save(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    archive, saved = tmp_path / "a.tar", tmp_path / "b.tar"
    archive.write_bytes(b"tar" * 100_000)
    engine.on("POST /images/load", messages({"stream": "Loaded image: busybox:latest\n"}))
    engine.on("GET /images/get", Reply(pieces=[b"tar", b"tar"]))
    assert call("load", "-i", str(archive)).out == "Loaded image: busybox:latest\n"
    assert engine.asked[0].body == b"tar" * 100_000
    assert call("save", "-o", str(saved), "busybox").status == 0
    assert saved.read_bytes() == b"tartar"
    assert call("save", "busybox").out == "tartar"
    assert engine.asked[1].query == {"names": "busybox"}


def test_files_that_cannot_be_used(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    engine.on("GET /images/get", Reply(pieces=[b"tar"]))
    said = call("load", "-i", f"{tmp_path}/none")
    assert (said.status, said.err) == (1, f"open {tmp_path}/none: no such file or directory\n")
    said = call("save", "-o", f"{tmp_path}/none/x", "busybox")
    assert (said.status, said.err) == (1, f"failed to save image: No such file or directory: {tmp_path}/none/x\n")
    assert list(tmp_path.iterdir()) == []


def test_save_that_breaks_off_leaves_no_file(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    engine.refuse("GET /images/get", 404, "No such image: x")
    assert call("save", "-o", str(tmp_path / "x.tar"), "x").status == 1
    assert list(tmp_path.iterdir()) == []


def test_import(call: Call, engine: FakeEngine, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(b"tar")
    engine.on("POST /images/create", messages({"status": "sha256:1"}))
    assert call("import", "-c", "CMD x", "-m", "why", str(archive), "my:1").out == "sha256:1\n"
    asked = engine.asked[0]
    assert (asked.body, asked.query) == (b"tar", {"fromSrc": "-", "repo": "my:1", "message": "why", "changes": "CMD x"})
    call("import", "http://x/y.tar")
    assert engine.asked[1].query == {"fromSrc": "http://x/y.tar"}


@pytest.mark.parametrize(
    ("name", "familiar", "full"),
    [
        ("busybox", "busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.2", "busybox", "docker.io/library/busybox:1.2"),
        ("a/b", "a/b", "docker.io/a/b:latest"),
        ("docker.io/library/busybox", "busybox", "docker.io/library/busybox:latest"),
        ("localhost/x", "localhost/x", "localhost/x:latest"),
        ("host:5000/a/b:c", "host:5000/a/b", "host:5000/a/b:c"),
        ("quay.io/x@sha256:" + "a" * 64, "quay.io/x", "quay.io/x@sha256:" + "a" * 64),
    ],
)
def test_names(name: str, familiar: str, full: str) -> None:
    parsed = reference.parse(name)
    assert (parsed.short_name, parsed.or_latest().full) == (familiar, full)


@pytest.mark.parametrize("name", ["", "b::", "a b", "-x", "x:", "x:-t", "a//b", "x@sha256:123", "../x", "x/", "a" + ":" + "t" * 200])
def test_no_names(name: str) -> None:
    with pytest.raises(CommandError, match=r"^invalid reference format$"):
        reference.parse(name)


def test_capitals_are_named_as_the_reason() -> None:
    with pytest.raises(CommandError, match=r"^invalid reference format: repository name \(library/UPPER\) must be lowercase$"):
        reference.parse("UPPER")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_redraws_the_layers_line() -> None:
    screen = Screen()
    parts: list[dict[str, Any]] = [
        {"status": "Pulling", "id": "latest"},
        {"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}, "id": "aaa"},
        {"status": "Waiting", "progressDetail": {}, "id": "bbb"},
        {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
        {"status": "Status: done"},
    ]
    progress.show(parts, screen)
    half = "=" * 25 + ">" + " " * 24
    assert screen.getvalue() == (
        "latest: Pulling\n"
        f"\n\x1b[1A\x1b[2K\raaa: Downloading [{half}]     500B/1kB\r\x1b[1B"
        "\n\x1b[1A\x1b[2K\rbbb: Waiting\r\x1b[1B"
        "\x1b[2A\x1b[2K\raaa: Pull complete\r\x1b[2B"
        "Status: done\n"
    )
