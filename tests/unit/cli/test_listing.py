"""`ps`, and the tables that all lists share."""

import json
from typing import Any

import pytest

from linkspan.cli.listing import container_row, ports_text
from linkspan.cli.output import table
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine

IMAGE = "sha256:" + "c" * 64
WEB: dict[str, Any] = {
    "Id": "a" * 64,
    "Names": ["/web", "/other/alias"],
    "Image": "busybox",
    "ImageID": IMAGE,
    "Command": "httpd -f -h /www -p 80 and more",
    "Created": 1,
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
    "Labels": {"b": "2", "a": "1"},
    "State": "running",
    "Status": "Up 3 minutes",
    "NetworkSettings": {"Networks": {"bridge": {}}},
    "Mounts": [{"Type": "bind", "Source": "/very/long/path/to/something"}],
    "SizeRw": 12345,
    "SizeRootFs": 4260000,
}
DB: dict[str, Any] = {
    **WEB,
    "Id": "d" * 64,
    "Names": ["/db"],
    "Image": IMAGE,
    "Command": "sh",
    "Ports": [],
    "Status": "Created",
    "Mounts": [],
}


@pytest.fixture(autouse=True)
def two_containers(engine: FakeEngine) -> None:
    engine.on_json("GET /containers/json", [WEB, DB])


def test_table(call: Call, engine: FakeEngine) -> None:
    said = call("ps", "-a")
    first, second, third = said.out.splitlines()
    assert first == "CONTAINER ID   IMAGE          COMMAND                  CREATED        STATUS         PORTS                  NAMES"
    assert second.startswith('aaaaaaaaaaaa   busybox        "httpd -f -h /www -p…"   ')
    assert second.endswith(" years ago   Up 3 minutes   0.0.0.0:8080->80/tcp   web")
    assert third.startswith('dddddddddddd   cccccccccccc   "sh"                     ')
    assert third.endswith(" years ago   Created                               db")
    assert engine.asked[0].query == {"all": "1"}


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ([], {}),
        (["-l"], {"all": "1", "limit": "1"}),
        (["-n", "3"], {"all": "1", "limit": "3"}),
        (["-s"], {"size": "1"}),
        (["--format", "{{.Size}}"], {"size": "1"}),
        (["-f", "status=exited", "-f", "status=created"], {"filters": '{"status": {"exited": true, "created": true}}'}),
    ],
)
def test_what_is_asked_for(call: Call, engine: FakeEngine, words: list[str], query: dict[str, str]) -> None:
    assert call("ps", *words).status == 0
    assert engine.asked[0].query == query


def test_quiet(call: Call) -> None:
    assert call("ps", "-aq").out == "aaaaaaaaaaaa\ndddddddddddd\n"
    assert call("ps", "-aq", "--no-trunc").out == f"{'a' * 64}\n{'d' * 64}\n"


def test_everything_in_full(call: Call) -> None:
    said = call("ps", "--no-trunc", "-s")
    assert f"{'a' * 64}   busybox" in said.out
    assert '"httpd -f -h /www -p 80 and more"' in said.out
    assert "web,other/alias   12.3kB (virtual 4.26MB)\n" in said.out
    assert f"{'d' * 64}   {IMAGE}" in said.out


def test_formats(call: Call) -> None:
    assert call("ps", "--format", "{{.Names}}: {{.Ports}}").out == "web: 0.0.0.0:8080->80/tcp\ndb: \n"
    assert call("ps", "--format", 'table {{.Names}}\\t{{.Label "a"}}\\t{{.Mounts}}').out == (
        "NAMES     a         MOUNTS\nweb       1         /very/long/pat…\ndb        1         \n"
    )
    first, _ = call("ps", "--format", "json").out.splitlines()
    assert json.loads(first)["Labels"] == "a=1,b=2"
    assert (
        list(json.loads(first))
        == ("Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Platform Ports RunningFor Size State Status").split()
    )


def test_wrong_formats(call: Call) -> None:
    assert call("ps", "--format", "{{.ID").err == "failed to parse template: template: :1: unclosed action\n"
    said = call("ps", "--format", "{{.Foo}}")
    assert (said.status, said.err) == (
        1,
        'failed to execute template: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"\n',
    )


def test_nothing_to_list(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/json", [])
    assert call("ps").out == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def port(private: int, public: int = 0, address: str = "", protocol: str = "tcp") -> dict[str, Any]:
    shown: dict[str, Any] = {"PrivatePort": private, "Type": protocol}
    return {**shown, "PublicPort": public, "IP": address} if public else shown


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(81), port(80), port(82), port(90)], "80-82/tcp, 90/tcp"),
        ([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([port(n, n, "0.0.0.0", "udp") for n in (7000, 7001, 7003)], "0.0.0.0:7000-7001->7000-7001/udp, 0.0.0.0:7003->7003/udp"),
        ([port(80, 80, "127.0.0.1"), port(81, 81, "0.0.0.0")], "127.0.0.1:80->80/tcp, 0.0.0.0:81->81/tcp"),
        ([port(443), port(80, 8080, "0.0.0.0"), port(53, 53, "::")], "[::]:53->53/tcp, 443/tcp, 0.0.0.0:8080->80/tcp"),
        ([port(53), port(53, protocol="udp"), port(54), port(54, protocol="udp")], "53-54/tcp, 53-54/udp"),
    ],
)
def test_ports_column(ports: list[dict[str, Any]], text: str) -> None:
    assert ports_text(ports) == text


def test_quotes_in_a_command_are_shown() -> None:
    row = container_row({**WEB, "Command": 'sh -c "a\\b"'}, 0, whole=True)
    assert row["Command"] == '"sh -c \\"a\\\\b\\""'


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([["A", "B", "C"], ["äöü" * 4, "", "x"]]) == "A              B         C\n" + "äöü" * 4 + "   " + " " * 10 + "x\n"
    assert table([["UID", "PID"], ["root", "1"]], narrowest=20) == "UID                 PID\nroot                1\n"
    assert table([]) == ""
