"""run, start, attach and exec: conversations on a hijacked connection."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from linkspan.cli.streams import Demultiplexer
from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import CONTAINER, ID, FakeEngine, Reply, frame, read_all, says, when_asked

Type = Callable[[bytes], None]


def echo(sock: socket.socket) -> None:
    """A container that is `cat`: it answers while it is still being talked to."""
    while data := sock.recv(4096):
        sock.sendall(frame(1, data))


@pytest.fixture
def typing(capfd: pytest.CaptureFixture[str]) -> Iterator[Type]:
    """Put bytes, and then the end, on this process's standard input."""
    saved = os.dup(0)
    threads: list[threading.Thread] = []

    def type_in(data: bytes) -> None:
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)

        def write() -> None:
            with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb", buffering=0) as file:
                for start in range(0, len(data), 1 << 16):
                    file.write(data[start : start + (1 << 16)])

        threads.append(threading.Thread(target=write))
        threads[-1].start()

    yield type_in
    os.dup2(saved, 0)
    os.close(saved)
    for thread in threads:
        thread.join()


def test_run_shows_both_streams_and_returns_the_exit_code(call: Call, container: FakeEngine) -> None:
    said = call("run", "busybox", "ls")
    assert (said.status, said.out, said.err) == (3, "hello\n", "oh\n")
    assert [line.removeprefix(f"POST {CONTAINER}") for line in container.requests()] == [
        "POST /containers/create",
        "/attach",
        "/wait",
        "/start",
    ]
    assert container.last(f"POST {CONTAINER}/attach").query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert container.last(f"POST {CONTAINER}/wait").query == {"condition": "next-exit"}


def test_run_rm_waits_for_the_removal(call: Call, container: FakeEngine) -> None:
    assert call("run", "--rm", "busybox").status == 3
    assert container.last(f"POST {CONTAINER}/wait").query == {"condition": "removed"}


def test_input_is_passed_on_and_ended(call: Call, container: FakeEngine, typing: Type) -> None:
    heard: list[bytes] = []

    def listen(sock: socket.socket) -> None:
        heard.append(read_all(sock))
        sock.sendall(frame(1, b"got it\n"))

    container.on(f"POST {CONTAINER}/attach", Reply(talk=listen))
    typing(b"one\ntwo\n")
    assert call("run", "-i", "busybox", "cat").out == "got it\n"
    assert heard == [b"one\ntwo\n"]
    body = container.last("POST /containers/create").json
    assert (body["OpenStdin"], body["StdinOnce"], body["AttachStdin"]) == (True, True, True)


def test_much_input_and_output_at_once(call: Call, container: FakeEngine, typing: Type) -> None:
    container.on(f"POST {CONTAINER}/attach", Reply(talk=echo))
    data = b"0123456789abcdef" * (1 << 17)
    typing(data)
    assert call("run", "-i", "busybox", "cat").out == data.decode()


def test_input_that_nobody_reads_is_no_error(call: Call, container: FakeEngine, typing: Type) -> None:
    def deaf(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_RD)
        sock.sendall(frame(1, b"bye\n"))

    container.on(f"POST {CONTAINER}/attach", Reply(talk=deaf))
    typing(b"x" * (1 << 20))
    said = call("run", "-i", "busybox", "true")
    assert (said.status, said.out) == (3, "bye\n")


def test_signals_are_passed_on(call: Call, container: FakeEngine) -> None:
    killed = threading.Event()

    def talk(sock: socket.socket) -> None:
        killed.wait()
        sock.sendall(frame(1, b"terminated\n"))

    container.on(f"POST {CONTAINER}/attach", Reply(talk=talk))
    container.on(f"POST {CONTAINER}/start", Reply(pieces=when_asked(lambda: os.kill(os.getpid(), signal.SIGTERM))))
    container.on(f"POST {CONTAINER}/kill", Reply(pieces=when_asked(killed.set)))
    assert call("run", "busybox").out == "terminated\n"
    assert container.last(f"POST {CONTAINER}/kill").query == {"signal": "SIGTERM"}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_signals_are_passed_on_while_only_the_exit_code_is_awaited(call: Call, container: FakeEngine) -> None:
    killed = threading.Event()

    def wait() -> Iterator[bytes]:
        killed.wait()
        yield b'{"StatusCode": 130}'

    container.on(f"POST {CONTAINER}/start", Reply(pieces=when_asked(lambda: os.kill(os.getpid(), signal.SIGINT))))
    container.on(f"POST {CONTAINER}/wait", Reply(pieces=wait()))
    container.on(f"POST {CONTAINER}/kill", Reply(pieces=when_asked(killed.set)))
    assert call("run", "busybox").status == 130


def test_interrupt_without_proxy_ends_the_command_alone(call: Call, container: FakeEngine) -> None:
    ended = threading.Event()

    def talk(_sock: socket.socket) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait()

    container.on(f"POST {CONTAINER}/attach", Reply(talk=talk))
    assert call("run", "--sig-proxy=false", "busybox").status == 130
    ended.set()
    assert container.requests(f"POST {CONTAINER}/kill") == []


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ('exec: "nosuch": executable file not found in $PATH', 127),
        ("stat /x: no such file or directory", 127),
        ("exec /etc/passwd: permission denied", 126),
        ("exec /etc: is a directory", 126),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", 125),
    ],
)
def test_container_that_does_not_start(call: Call, container: FakeEngine, message: str, status: int) -> None:
    container.refuse(f"POST {CONTAINER}/start", 500, message)
    for words in (["run"], ["run", "-d"], ["run", "--rm"]):
        said = call(*words, "busybox")
        assert said.status == status
        assert said.err == f"linkspan: Error response from daemon: {message}\n\nRun 'linkspan run --help' for more information\n"


def test_missing_image_is_pulled(call: Call, container: FakeEngine) -> None:
    missing = Reply(status=404, value={"message": "No such image: busybox:latest"})
    container.on("POST /containers/create", missing, Reply(status=201, value={"Id": ID, "Warnings": None}))
    container.on("POST /images/create", Reply(pieces=[b'{"status":"Pulling","id":"latest"}\n{"status":"Status: done"}\n']))
    said = call("run", "busybox")
    assert said.status == 3
    assert said.err == "Unable to find image 'busybox:latest' locally\nlatest: Pulling\nStatus: done\noh\n"
    assert container.last("POST /images/create").query == {"fromImage": "docker.io/library/busybox", "tag": "latest"}


def test_pull_that_fails(call: Call, container: FakeEngine) -> None:
    container.refuse("POST /containers/create", 404, "No such image: nosuch:1")
    container.on("POST /images/create", Reply(pieces=[b'{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}']))
    said = call("run", "nosuch:1")
    assert said.status == 125
    assert said.err.splitlines()[:2] == ["Unable to find image 'nosuch:1' locally", "linkspan: manifest unknown"]


def test_failed_wait(call: Call, container: FakeEngine) -> None:
    container.on(f"POST {CONTAINER}/wait", Reply(pieces=[b'{"StatusCode":-1,"Error":{"Message":"lost it"}}']))
    said = call("run", "busybox")
    assert (said.status, said.err.splitlines()[1]) == (125, "linkspan: Error waiting for container: lost it")


def test_exec(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /containers/web/exec", {"Id": "e1"}, 201)
    engine.on("POST /exec/e1/start", Reply(talk=says(frame(1, b"out\n"), frame(2, b"err\n"))))
    engine.on_json("GET /exec/e1/json", {"ExitCode": 5})
    said = call("exec", "-u", "1", "-w", "/x", "-e", "A=1", "--privileged", "web", "ls", "-l")
    assert (said.status, said.out, said.err) == (5, "out\n", "err\n")
    body = engine.asked[0].json
    assert body["Cmd"] == ["ls", "-l"]
    assert (body["User"], body["WorkingDir"], body["Env"], body["Privileged"]) == ("1", "/x", ["A=1"], True)
    assert (body["AttachStdin"], body["AttachStdout"], body["AttachStderr"], body["Tty"]) == (False, True, True, False)
    assert engine.last("POST /exec/e1/start").json == {"Detach": False, "Tty": False}


def test_detached_exec(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /containers/web/exec", {"Id": "e1"}, 201)
    engine.on_json("POST /exec/e1/start", None, 200)
    said = call("exec", "-d", "web", "sleep", "5")
    assert (said.status, said.out, said.err) == (0, "", "")
    assert engine.last("POST /exec/e1/start").json == {"Detach": True, "Tty": False}


def test_exec_of_what_is_not_there(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /containers/web/exec", {"Id": "e1"}, 201)
    engine.refuse("POST /exec/e1/start", 400, 'exec: "nosuch": executable file not found in $PATH')
    assert call("exec", "web", "nosuch").status == 127
    engine.refuse("POST /containers/web/exec", 409, "container web is not running")
    said = call("exec", "web", "ls")
    assert (said.status, said.err) == (1, "Error response from daemon: container web is not running\n")


def test_terminal_is_refused_without_one(call: Call, engine: FakeEngine) -> None:
    for words in (["run", "-it", "busybox"], ["exec", "-it", "web", "sh"]):
        said = call(*words)
        assert (said.status, said.err) == (1, "the input device is not a TTY\n")
    assert engine.asked == []


def test_start(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /containers/a/start", None, 204)
    engine.refuse("POST /containers/b/start", 404, "No such container: b")
    said = call("start", "a", "b")
    assert (said.status, said.out) == (1, "a\n")
    assert said.err == "Error response from daemon: No such container: b\nError: failed to start containers: b\n"


def test_start_attached(call: Call, container: FakeEngine) -> None:
    container.on_json("GET /containers/web/json", {"Id": ID, "Config": {"OpenStdin": True}, "HostConfig": {"AutoRemove": True}})
    said = call("start", "-a", "web")
    assert (said.status, said.out, said.err) == (3, "hello\n", "oh\n")
    assert container.last(f"POST {CONTAINER}/wait").query == {"condition": "removed"}
    assert "stdin" not in container.last(f"POST {CONTAINER}/attach").query
    assert call("start", "-a", "web", "db").err == "you cannot start and attach multiple containers at once\n"


def test_attach(call: Call, container: FakeEngine) -> None:
    container.on_json("GET /containers/web/json", {"Id": ID, "State": {"Running": True}, "Config": {}})
    said = call("attach", "web")
    assert (said.status, said.out, said.err) == (3, "hello\n", "oh\n")
    assert container.requests(f"POST {CONTAINER}/start") == []


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"Running": False}, "You cannot attach to a stopped container, start it first"),
        ({"Running": True, "Paused": True}, "You cannot attach to a paused container, unpause it first"),
        ({"Running": True, "Restarting": True}, "You cannot attach to a restarting container, wait until it is running"),
    ],
)
def test_attach_to_what_does_not_run(call: Call, engine: FakeEngine, state: dict[str, bool], sentence: str) -> None:
    engine.on_json("GET /containers/web/json", {"Id": ID, "State": state, "Config": {}})
    said = call("attach", "web")
    assert (said.status, said.err) == (1, sentence + "\n")


@pytest.mark.parametrize("size", [1, 3, 7, 8, 1000])
def test_frames_in_pieces_of_any_size(size: int) -> None:
    stream = frame(1, b"one") + frame(2, b"") + frame(2, b"two") + frame(1, b"three")
    demultiplexer = Demultiplexer()
    got = {1: b"", 2: b""}
    for start in range(0, len(stream), size):
        for descriptor, piece in demultiplexer.feed(stream[start : start + size]):
            got[descriptor] += piece
    assert got == {1: b"onethree", 2: b"two"}


def test_streams_that_are_none(call: Call, container: FakeEngine) -> None:
    container.on(f"POST {CONTAINER}/attach", Reply(talk=says(frame(3, b"broken pipe of ours"))))
    assert "error from daemon in stream: broken pipe of ours" in call("run", "busybox").err
    container.on(f"POST {CONTAINER}/attach", Reply(talk=says(b"plain text, no frame")))
    assert "Unrecognized input header: 112" in call("run", "busybox").err
