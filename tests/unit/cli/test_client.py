"""The HTTP client, on a real socket."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linkspan.cli.client import Client, container_path, encode_filters, quote
from linkspan.cli.failures import ApiError, CommandError, Unreachable
from tests.unit.cli.fake_engine import FakeEngine, Reply

Serve = Callable[[bytes], Client]


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Serve]:
    """Serve one connection: whatever is asked, these bytes are the answer."""
    path = tmp_path / "raw"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve(answer: bytes) -> Client:
        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=once, daemon=True).start()
        return Client(f"unix://{path}")

    yield serve
    listener.close()


def test_get_sends_what_was_asked_for(engine: FakeEngine) -> None:
    engine.on_json("GET /containers/json", [])
    found = Client(engine.host).get("/containers/json", all=True, size=False, limit=None, filters='{"a b": "ü&="}', names=["x", "y/z"])
    assert found == []
    assert engine.asked[0].query == {"all": "1", "filters": '{"a b": "ü&="}', "names": "y/z"}


def test_post_sends_json(engine: FakeEngine) -> None:
    engine.on_json("POST /x", None, 204)
    assert Client(engine.host).post("/x", {"a": "ü"}) is None
    assert engine.asked[0].json == {"a": "ü"}


def test_chunks_arrive_one_by_one(engine: FakeEngine) -> None:
    engine.on("GET /events", Reply(pieces=[b'{"a": 1}\n{"b"', b": 2}\n", b'{"c": 3}']))
    with Client(engine.host).stream("GET", "/events") as answer:
        assert list(answer.messages()) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_stream_that_is_no_json(engine: FakeEngine) -> None:
    engine.on("GET /events", Reply(pieces=[b'{"a": 1}\n', b"oops\n"]))
    with Client(engine.host).stream("GET", "/events") as answer, pytest.raises(CommandError, match="not JSON"):
        list(answer.messages())


def test_long_body_is_sent_in_chunks(engine: FakeEngine) -> None:
    engine.on_json("POST /images/load", {"stream": "done"})
    pieces = [b"a" * 100_000, b"", b"b" * 100_000]
    with Client(engine.host).stream("POST", "/images/load", body=pieces) as answer:
        assert answer.json() == {"stream": "done"}
    assert engine.asked[0].body == b"a" * 100_000 + b"b" * 100_000


def test_refusal_in_the_middle_of_a_long_body_is_read(raw: Serve) -> None:
    content = b'{"message": "no space left on device"}'
    client = raw(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
    with pytest.raises(ApiError, match="no space left on device"):
        client.stream("POST", "/images/load", body=(bytes(1 << 20) for _ in range(64)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"message": "No such container: x"}', "No such container: x"),
        (b"plain words", "plain words"),
        (b"[1]", "[1]"),
        (b"", "status 404"),
    ],
)
def test_refusals_carry_the_engines_words(raw: Serve, content: bytes, message: str) -> None:
    client = raw(b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n%s" % (len(content), content))
    with pytest.raises(ApiError) as caught:
        client.get("/x")
    assert (str(caught.value), caught.value.code) == (f"Error response from daemon: {message}", 404)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
        (b"\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{oops", "not JSON"),
    ],
)
def test_broken_answers(raw: Serve, answer: bytes, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        raw(answer).get("/x")


def test_body_without_a_length_ends_with_the_connection(raw: Serve) -> None:
    assert raw(b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}').get("/x") == {"a": 1}


def test_hijacked_connection_keeps_what_came_with_the_headers(raw: Serve) -> None:
    connection = raw(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly").hijack("/containers/x/attach")
    with connection.sock:
        assert connection.early == b"early"


def test_refused_hijack(engine: FakeEngine) -> None:
    engine.refuse("POST /containers/x/attach", 409, "container x is paused")
    with pytest.raises(ApiError, match="container x is paused"):
        Client(engine.host).hijack("/containers/x/attach")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        Client(f"unix://{tmp_path}/none").get("/info")
    assert str(caught.value) == (
        f"Cannot connect to the linkspan engine at unix://{tmp_path}/none. Is it running? Start it with: sudo linkspan up"
    )


def test_wake_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def wake() -> bool:
        asked.append("wake")
        return True

    with pytest.raises(Unreachable):
        Client(f"unix://{tmp_path}/none", wake).get("/info")
    assert asked == ["wake"]


@pytest.mark.parametrize("host", ["tcp://nowhere", "fd://", "x"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(CommandError, match="unable to parse the host"):
        Client(host).get("/info")


def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=once, daemon=True)
        thread.start()
        assert Client(f"tcp://127.0.0.1:{port}").get("/info") == {}
        thread.join()


def test_paths_cannot_be_led_astray() -> None:
    assert container_path("../x?y#z\n", "json") == "/containers/..%2Fx%3Fy%23z%0A/json"
    assert quote("host:5000/a b") == "host:5000/a%20b"
    with pytest.raises(CommandError, match="invalid container name or ID: value is empty"):
        container_path(" ")


def test_filters_are_sets_of_values() -> None:
    assert json.loads(encode_filters([("status", "exited"), ("status", "created"), ("label", "a=b")])) == {
        "status": {"exited": True, "created": True},
        "label": {"a=b": True},
    }
    assert encode_filters([]) == ""
