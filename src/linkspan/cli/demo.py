"""`linkspan demo`: the four network modes, each with the commands to type and what a container sees, every shown fact checked."""

import os
import re
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from linkspan.cli.client import Client
from linkspan.cli.commands import Command
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.main import main
from linkspan.cli.options import Given

_PREFIX = "linkspan-demo-"
_WEB, _RIVAL, _PEER, _GUEST, _HOST, _NONE = (_PREFIX + name for name in ("web", "rival", "peer", "guest", "host", "none"))
_FIRST_PORT = 8080
_TRIES = 100
_PAUSE = 0.05
_LINK = re.compile(r"^\d+: ([^:@\s]+)", re.MULTILINE)
_SERVE = "mkdir /www && hostname > /www/index.html && exec httpd -f -h /www"


class _Result(NamedTuple):
    status: int
    output: str


class _Stage:
    """Runs commands and shows them, and counts which facts held."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.held = 0
        self.failed: list[str] = []

    def heading(self, title: str, text: str) -> None:
        bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
        print(f"\n{bold}== {title} =={plain}\n{text}", flush=True)

    def run(self, *words: str) -> _Result:
        """Run `linkspan WORDS…` and show it with what it said."""
        print(f"\n$ linkspan {shlex.join(words)}", flush=True)
        result = _captured("-H", self.client.host, *words)
        self.show(result.output)
        return result

    def must(self, *words: str) -> str:
        """As `run`; raises CommandError if it fails, because nothing that follows could be shown."""
        result = self.run(*words)
        if result.status:
            raise CommandError(f"linkspan demo: that should have worked (exit status {result.status})")
        return result.output

    def show(self, text: str) -> None:
        print("".join(f"    {line}\n" for line in text.splitlines()), end="", flush=True)

    def check(self, fact: str, holds: bool) -> None:  # noqa: FBT001 - check("it is so", so) reads as a sentence
        print(f"  {'ok ' if holds else 'NOT'} {fact}", flush=True)
        if holds:
            self.held += 1
        else:
            self.failed.append(fact)

    def clear(self) -> None:
        """Remove whatever of the demo is there, also what an earlier one left."""
        for name in (_RIVAL, _PEER, _GUEST, _HOST, _NONE, _WEB):
            try:
                self.client.delete(f"/containers/{name}", force=True, v=True)
            except ApiError as error:
                if error.code != 404:
                    raise


def _demo(client: Client, _given: Given) -> int:
    stage = _Stage(client)
    stage.clear()
    try:
        seen = _show_bridge(stage)
        _show_container(stage, seen)
        _show_host(stage, seen)
        _show_none(stage)
    finally:
        stage.clear()
    print(f"\n{stage.held} facts held, {len(stage.failed)} did not; the containers are removed.")
    for fact in stage.failed:
        print(f"  NOT {fact}")
    return 1 if stage.failed else 0


class _Seen(NamedTuple):
    """What is known of the first container."""

    address: str
    gateway: str
    page: str
    links: str


def _show_bridge(stage: _Stage) -> _Seen:
    stage.heading("bridge", "The default: a namespace of its own, a cable to the bridge docker0, an address of its subnet, NAT.")
    port = _free_port()
    identity = stage.must("run", "-d", "--name", _WEB, "-p", f"{port}:80", "busybox", "sh", "-c", _SERVE).strip()
    network = stage.client.get(f"/containers/{_WEB}/json")["NetworkSettings"]["Networks"]["bridge"]
    address, gateway = str(network["IPAddress"]), str(network["Gateway"])
    links = stage.must("exec", _WEB, "ip", "addr")
    stage.check("it has lo and eth0, and nothing else", set(_LINK.findall(links)) == {"lo", "eth0"})
    stage.check(f"eth0 has the address that `linkspan inspect` shows, {address}", bool(address) and f"inet {address}/" in links)
    routes = stage.must("exec", _WEB, "ip", "route")
    stage.check(f"its way out is the bridge, {gateway}", bool(gateway) and f"default via {gateway} " in routes)
    name = stage.must("exec", _WEB, "hostname").strip()
    stage.check("its host name is the beginning of its id", name == identity[:12])

    print(f"\nGET http://127.0.0.1:{port}/ from this host:")
    page = _fetch(port)
    stage.show(page)
    stage.check(f"the published port {port} leads into the container", page.strip() == name)
    answer = stage.run("run", "--rm", "--name", _PEER, "busybox", "wget", "-qO-", f"http://{address}/")
    stage.check("another container reaches it over the bridge", answer == _Result(0, page))
    rival = stage.run("run", "-d", "--name", _RIVAL, "-p", f"{port}:80", "busybox", "httpd", "-f")
    refused = rival.status == 125 and ("already allocated" in rival.output or "already in use" in rival.output)
    stage.check(f"nobody else gets the host's port {port}", refused)
    return _Seen(address, gateway, page, links)


def _show_container(stage: _Stage, seen: _Seen) -> None:
    stage.heading("container", f"In the namespace of {_WEB}: the same interfaces, address and localhost; processes and files of its own.")
    mode = f"--network=container:{_WEB}"
    links = stage.must("run", "--rm", "--name", _GUEST, mode, "busybox", "ip", "addr")
    stage.check("it sees the other's interfaces and addresses", _addresses(links) == _addresses(seen.links))
    answer = stage.run("run", "--rm", "--name", _GUEST, mode, "busybox", "wget", "-qO-", "http://127.0.0.1/")
    stage.check("the other's server is at its localhost", answer == _Result(0, seen.page))
    processes = stage.must("run", "--rm", "--name", _GUEST, mode, "busybox", "ps")
    stage.check("it does not see the other's processes", "httpd" not in processes)
    files = stage.run("run", "--rm", "--name", _GUEST, mode, "busybox", "ls", "/www")
    stage.check("it does not see the other's files", files.status == 1)


def _show_host(stage: _Stage, seen: _Seen) -> None:
    stage.heading("host", "No namespace of its own: the host's interfaces, addresses, ports and name.")
    links = stage.must("run", "--rm", "--name", _HOST, "--network=host", "busybox", "ip", "addr")
    # Cables of other containers come and go while this looks.
    own = {name for _, name in socket.if_nameindex() if not name.startswith("veth")}
    stage.check("it sees the host's interfaces", own <= set(_LINK.findall(links)))
    stage.check(f"the bridge with {seen.gateway} is one of them", f"inet {seen.gateway}/" in links)
    name = stage.must("run", "--rm", "--name", _HOST, "--network=host", "busybox", "hostname").strip()
    stage.check("its host name is the host's", name == os.uname().nodename)


def _show_none(stage: _Stage) -> None:
    stage.heading("none", "A namespace with lo, and no way out.")
    links = stage.must("run", "--rm", "--name", _NONE, "--network=none", "busybox", "ip", "addr")
    stage.check("it has lo alone", set(_LINK.findall(links)) == {"lo"})
    stage.check("lo is up", "inet 127.0.0.1/8" in links)
    routes = stage.run("run", "--rm", "--name", _NONE, "--network=none", "busybox", "ip", "route")
    stage.check("it has no route", routes == _Result(0, ""))


def _addresses(links: str) -> list[str]:
    return re.findall(r"inet6? \S+|link/ether \S+", links)


def _captured(*argv: str) -> _Result:
    """Run a command in this process with descriptors 1 and 2 turned into a file."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [os.dup(descriptor) for descriptor in (1, 2)]
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            status = main(argv)
            sys.stderr.flush()
        finally:
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
        file.seek(0)
        return _Result(status, file.read().decode(errors="replace"))


def _free_port() -> int:
    """Return the first port from 8080 on that nobody has."""
    for port in range(_FIRST_PORT, _FIRST_PORT + 100):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - a container's port is published on every address
            except OSError:
                continue
            return port
    raise CommandError(f"linkspan demo: no port from {_FIRST_PORT} on is free")


def _fetch(port: int) -> str:
    """Return the page at 127.0.0.1:PORT; the server may need a moment to listen."""
    for _ in range(_TRIES):
        page = b"".join(_answer(port))
        head, separator, body = page.partition(b"\r\n\r\n")
        if separator and head.split()[1:2] == [b"200"]:
            return body.decode(errors="replace")
        time.sleep(_PAUSE)
    return ""


def _answer(port: int) -> Iterator[bytes]:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            while piece := sock.recv(4096):
                yield piece
    except OSError:
        return


COMMANDS = {"demo": Command("demo", "", _demo)}
