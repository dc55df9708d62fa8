"""stop, kill, rm and the like; inspect, port and logs."""

import io
import json
import sys

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine, Reply, frame

WEB = {
    "Id": "a" * 64,
    "Name": "/web",
    "Config": {"Tty": False, "Labels": {"k": "v"}},
    "NetworkSettings": {
        "IPAddress": "172.17.0.2",
        "Ports": {
            "443/tcp": None,
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "9"}],
        },
    },
}


@pytest.mark.parametrize(
    ("words", "request_line", "query"),
    [
        ("stop web", "POST /containers/web/stop", {}),
        ("stop -t 3 -s INT web", "POST /containers/web/stop", {"t": "3", "signal": "INT"}),
        ("stop --time=0 web", "POST /containers/web/stop", {"t": "0"}),
        ("restart -t 1 web", "POST /containers/web/restart", {"t": "1"}),
        ("kill web", "POST /containers/web/kill", {}),
        ("kill -s HUP web", "POST /containers/web/kill", {"signal": "HUP"}),
        ("pause web", "POST /containers/web/pause", {}),
        ("unpause web", "POST /containers/web/unpause", {}),
        ("rm web", "DELETE /containers/web", {}),
        ("rm -fv web", "DELETE /containers/web", {"force": "1", "v": "1"}),
        ("container stop web", "POST /containers/web/stop", {}),
    ],
)
def test_commands_that_name_what_they_did(call: Call, engine: FakeEngine, words: str, request_line: str, query: dict[str, str]) -> None:
    engine.on_json(request_line, None, 204)
    said = call(*words.split())
    assert (said.status, said.out, said.err) == (0, "web\n", "")
    assert engine.last(request_line).query == query


@pytest.mark.parametrize("word", ["stop", "pause", "kill"])
def test_one_failure_does_not_keep_the_others(call: Call, engine: FakeEngine, word: str) -> None:
    for name in ("one", "three"):
        engine.on_json(f"POST /containers/{name}/{word}", None, 204)
    engine.refuse(f"POST /containers/two/{word}", 404, "No such container: two")
    said = call(word, "one", "two", "three")
    assert (said.status, said.out, said.err) == (1, "one\nthree\n", "Error response from daemon: No such container: two\n")


def test_forced_removal_of_what_is_gone(call: Call, engine: FakeEngine) -> None:
    engine.refuse("DELETE /containers/x", 404, "No such container: x")
    for words, status in ((["rm", "x"], 1), (["rm", "-f", "x"], 0)):
        said = call(*words)
        assert (said.status, said.err) == (status, "Error response from daemon: No such container: x\n")


def test_rename_update_wait(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /containers/a/rename", None, 204)
    engine.on_json("POST /containers/b/update", {"Warnings": ["careful"]})
    engine.on_json("POST /containers/b/wait", {"StatusCode": 7})
    assert call("rename", "a", "b").status == 0
    assert engine.asked[0].query == {"name": "b"}
    said = call("update", "--restart", "on-failure:3", "b")
    assert (said.out, said.err) == ("b\n", "careful\n")
    assert engine.last("POST /containers/b/update").json == {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}
    assert call("wait", "b").out == "7\n"
    assert call("update", "b").err == "you must provide one or more flags when using this command\n"


def test_top(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/top", {"Titles": ["UID", "PID", "CMD"], "Processes": [["root", "1", "sh -c x"]]})
    assert (
        call("top", "web", "-o", "pid").out
        == "UID                 PID                 CMD\nroot                1                   sh -c x\n"
    )
    assert engine.asked[0].query == {"ps_args": "-o pid"}


def test_prune_asks_first(call: Call, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    engine.on_json("POST /containers/prune", {"ContainersDeleted": ["a", "b"], "SpaceReclaimed": 1234})
    said = call("container", "prune")
    assert (said.status, said.out) == (
        0,
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ",
    )
    assert engine.asked == []
    assert call("container", "prune", "-f").out == "Deleted Containers:\na\nb\n\nTotal reclaimed space: 1.234kB\n"


def test_inspect(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", WEB)
    said = call("inspect", "web")
    assert said.out == json.dumps([WEB], indent=4) + "\n"
    assert call("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web", "web").out == "172.17.0.2\n172.17.0.2\n"
    assert json.loads(call("inspect", "-f", "json", "web").out) == WEB


def test_inspect_looks_for_containers_images_and_networks(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /networks/bridge", {"Name": "bridge"})
    assert json.loads(call("inspect", "bridge").out) == [{"Name": "bridge"}]
    assert engine.requests() == ["GET /containers/bridge/json", "GET /images/bridge/json", "GET /networks/bridge"]


def test_inspect_of_what_is_not_there(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", WEB)
    said = call("inspect", "nosuch", "web")
    assert (said.status, said.out, said.err) == (1, json.dumps([WEB], indent=4) + "\n", "Error: No such object: nosuch\n")
    engine.refuse("GET /containers/nosuch/json", 404, "No such container: nosuch")
    said = call("inspect", "--type", "container", "nosuch")
    assert (said.status, said.out, said.err) == (1, "[]\n", "Error response from daemon: No such container: nosuch\n")
    assert call("inspect", "--type", "volume", "x").err == 'unknown type: "volume": must be one of "container", "image", "network"\n'


def test_inspect_formats_that_are_none(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", WEB)
    said = call("inspect", "-f", "{{", "web")
    assert (said.status, said.err) == (64, "template parsing error: template: :1: unclosed action\n")
    said = call("inspect", "-f", "{{.Nope}}", "web")
    assert said.status == 1
    assert said.err == 'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"\n'


def test_port(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", WEB)
    assert call("port", "web").out == "9/udp -> 127.0.0.1:9\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    assert call("port", "web", "80").out == call("port", "web", "80/tcp").out == "0.0.0.0:8080\n[::]:8080\n"
    for wanted in ("443", "81", "80/udp"):
        said = call("port", "web", wanted)
        assert (said.status, said.err) == (1, f"Error: No public port '{wanted}' published for web\n")


def test_logs(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", WEB)
    request = f"GET /containers/{'a' * 64}/logs"
    stream = frame(1, b"one\n") + frame(2, b"two\n")
    engine.on(request, Reply(pieces=[stream[:11], stream[11:]]))
    said = call("logs", "-ft", "-n", "5", "--since", "2006-01-02T15:04:05Z", "--until", "1700000000", "web")
    assert (said.status, said.out, said.err) == (0, "one\n", "two\n")
    assert engine.last(request).query == {
        "stdout": "1",
        "stderr": "1",
        "follow": "1",
        "timestamps": "1",
        "tail": "5",
        "since": "1136214245.000000",
        "until": "1700000000",
    }
    said = call("logs", "--since", "foo", "web")
    assert (said.status, said.err) == (1, 'invalid value for "since": failed to parse value as time or duration: "foo"\n')


def test_logs_of_a_terminal_are_raw(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /containers/web/json", {**WEB, "Config": {"Tty": True}})
    engine.on(f"GET /containers/{'a' * 64}/logs", Reply(pieces=[b"plain\r\n"]))
    assert call("logs", "web").out == "plain\r\n"


def test_empty_names_are_refused_before_anything_is_asked(call: Call, engine: FakeEngine) -> None:
    for words in (["stop", ""], ["inspect", ""], ["logs", " "], ["network", "rm", ""]):
        said = call(*words)
        assert said.status == 1
        assert "name or ID: value is empty" in said.err
    assert engine.asked == []
