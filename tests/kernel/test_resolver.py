"""The resolver's process on real sockets: names of the networks, and what the engine tells it."""

import contextlib
import os
import socket
from pathlib import Path

import pytest
from dnslib import DNSRecord

from linkspan.kernel import nameservice
from linkspan.plan.nameservice import SERVER, ruleset
from linkspan.resolver.link import Link
from linkspan.resolver.messages import ResolverError
from linkspan.resolver.units import Member, Network, Sandbox, Unit
from tests.hosts import Host, until
from tests.kernel.resolvers import Resolver, open_asking
from tests.nameservers import ask, ask_here, question

pytestmark = pytest.mark.kernel


def test_names_by_udp_and_tcp(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2", "fd00::2", aliases=["www"])
    resolver.know("web2", "172.18.0.3", aliases=["www"])
    for tcp in (False, True):
        assert ask(container, "WeB", tcp=tcp).addresses == ["172.18.0.2"]
        assert ask(container, "web.net", "AAAA", tcp=tcp).addresses == ["fd00::2"]
        assert ask(container, "www", tcp=tcp).addresses == ["172.18.0.2", "172.18.0.3"]
        missing = ask(container, "web2", "AAAA", tcp=tcp)
        assert (missing.code, missing.texts) == ("NOERROR", [])
        assert ask(container, "3.0.18.172.in-addr.arpa", "PTR", tcp=tcp).texts == ["web2.net."]
    assert {record.ttl for record in ask(container, "web").message.rr} == {600}


def test_shared_names_come_in_any_order(resolver: Resolver, container: Host) -> None:
    for number in range(1, 5):
        resolver.know(f"web{number}", f"172.18.0.{number}", aliases=["www"])
    firsts = {ask(container, "www").texts[0] for _ in range(100)}
    assert len(firsts) == 4, "one of four is missing by chance in one of 10^12 runs"


def test_a_rename_holds_for_the_next_question(resolver: Resolver, container: Host) -> None:
    for number in range(20):
        resolver.know("x", f"172.18.0.{number + 1}", aliases=[f"name{number}"])
        assert ask(container, f"name{number}").addresses == [f"172.18.0.{number + 1}"]
        assert ask(container, "x").addresses == [f"172.18.0.{number + 1}"]


def test_many_addresses_are_cut_off_on_udp_and_whole_on_tcp(resolver: Resolver, container: Host) -> None:
    for number in range(100):
        resolver.know(f"web{number}", f"172.18.0.{number + 1}", aliases=["all"])
    plain, edns = ask(container, "all"), ask(container, "all", size=1232)
    assert len(plain.data) <= 512
    assert len(edns.data) <= 1232
    assert plain.message.header.tc
    assert edns.message.header.tc
    assert len(plain.addresses) < len(edns.addresses) < 100
    whole = ask(container, "all", tcp=True)
    assert len(set(whole.addresses)) == 100
    assert not whole.message.header.tc


def test_port_53_stays_with_the_container(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")
    for protocol in ("udp", "tcp"):
        with container.answering("0.0.0.0", 53, b"mine", protocol):
            assert container.ask("127.0.0.1", 53, protocol) == b"mine"
            assert ask(container, "web", tcp=protocol == "tcp").addresses == ["172.18.0.2"]


def test_connections_of_the_container_are_not_tracked_for_its_names(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")
    ask(container, "web", tcp=True)
    assert container.run(lambda: Path("/proc/thread-self/net/stat/nf_conntrack").read_text().splitlines()[1].split()[0]) == "00000000"


def test_ten_thousand_questions_of_fifty_containers_at_once(resolver: Resolver, outside: Host, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        containers = [stack.enter_context(Host(tmp_path / f"c{number}.net")) for number in range(50)]
        for number, each in enumerate(containers):
            resolver.serve(f"c{number}", each)
            resolver.know(f"web{number}", f"172.18.0.{number + 1}")
        sockets = [stack.enter_context(each.run(lambda: open_asking(b""))) for each in containers]
        for number in range(200):
            for index, asking in enumerate(sockets):
                asking.send(question(f"web{(index + number) % 50}").pack())
        for asking in sockets:
            assert len([asking.recv(512) for _ in range(200)]) == 200


def test_garbage_hurts_nobody(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def throw() -> None:
        with open_asking(b"") as udp:
            for data in (b"", b"\0", os.urandom(200), b"\0\1\x81" + b"\0" * 9, b"\xff" * 4096, question("x").pack()[:-3]):
                udp.send(data)
        for data in (b"\0", b"\0\0", b"\0\5abcde", b"\xff\xff" + b"x" * 1000):
            with open_asking(data, socket.SOCK_STREAM):
                pass

    container.run(throw)
    for tcp in (False, True):
        assert ask(container, "web", tcp=tcp).addresses == ["172.18.0.2"]


def test_connections_that_do_nothing_are_bounded(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(open_asking(b"\0", socket.SOCK_STREAM))
            assert ask_here(question("web").pack()).addresses == ["172.18.0.2"]
            assert resolver.files() < 80

    container.run(hold)


def test_several_questions_by_one_connection(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def converse() -> None:
        data = question("web").pack()
        with open_asking((len(data).to_bytes(2, "big") + data) * 3, socket.SOCK_STREAM) as connection:
            answer = b""
            while len(answer) < 3 * (2 + len(data) + 16):
                answer += connection.recv(4096)

    container.run(converse)


def test_operations_and_transfers_that_are_not_served(resolver: Resolver, container: Host) -> None:
    asked = question("web")
    asked.header.opcode = 4
    assert container.run(lambda: ask_here(asked.pack())).code == "NOTIMP"
    assert ask(container, "example", "AXFR", tcp=True).code == "REFUSED"


def test_a_sandbox_that_is_dropped_lets_its_namespace_go(resolver: Resolver, container: Host) -> None:
    held = resolver.files()
    resolver.link.change([], [("sandbox", "c1"), ("sandbox", "c1")])
    assert resolver.files() == held - 3
    with pytest.raises(TimeoutError):
        ask(container, "web", timeout=0.3)


def test_what_is_not_told_again_is_swept(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")
    resolver.know("old", "172.18.0.3")
    resolver.link.ask("begin")
    assert ask(container, "old").addresses == ["172.18.0.3"], "names are served meanwhile"
    resolver.link.change([Network(id="n", name="net"), Sandbox(id="c1", networks=("n",))])
    resolver.know("web", "172.18.0.2")
    assert resolver.link.ask("commit") == {"swept": 1}
    assert ask(container, "web").addresses == ["172.18.0.2"]
    assert ask(container, "old").code == "SERVFAIL"


def test_another_resolver_takes_the_sockets_over_and_no_question_is_lost(host: Host, resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")
    assert list(resolver.link.held()) == ["c1"]
    listening = resolver.link.listening("c1")
    resolver.kill()

    def ask_between() -> socket.socket:
        return open_asking(question("web").pack())

    with container.run(ask_between) as asking, contextlib.closing(listening):
        resolver.start()
        units: list[Unit] = [Network(id="n", name="net"), Member(id="e", network="n", names=("web",), addresses=("172.18.0.7",))]
        resolver.link.change([*units, Sandbox(id="c1", networks=("n",))], files=listening.files)
        assert str(DNSRecord.parse(asking.recv(512)).rr[0].rdata) == "172.18.0.7"


def test_sockets_opened_anew_take_the_place_of_former_ones(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")
    resolver.serve("c1", container)
    assert ask(container, "web").addresses == ["172.18.0.2"]
    assert ask(container, "web", tcp=True).addresses == ["172.18.0.2"]
    assert container.sh("nft", "list", "ruleset").count("dport set") == 2


def test_the_engines_socket_is_for_root_alone_and_refuses_garbage(resolver: Resolver, container: Host) -> None:
    path = resolver.folder / "resolver.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
        caller.settimeout(10)
        caller.connect(str(path))
        for data in (
            b"\xff",
            b"[]",
            b"{",
            b'{"op":"zebra"}',
            b'{"op":"change","put":7}',
            b'{"op":"change","drop":[["x","y"]]}',
            b"[" * 9000,
        ):
            caller.send(data)
            assert b'"error"' in caller.recv(4096), data
    files = resolver.files()
    with (resolver.folder / "x").open("w") as file, pytest.raises(ResolverError, match="has a UDP and a TCP socket"):
        resolver.link.change([Sandbox(id="c9")], files=[file.fileno()] * 3)
    with pytest.raises(ResolverError, match="are not here"):
        resolver.link.change([Sandbox(id="c9")])
    with pytest.raises(ResolverError, match="too long"):
        resolver.link.ask("change", put=["x" * 200_000])
    assert resolver.files() <= files
    assert resolver.link.ask("hello")["protocol"] == 1


def test_it_ends_by_itself_when_it_has_nothing_to_do(host: Host, tmp_path: Path) -> None:
    idle = Resolver(host, tmp_path, "--idle", "0.2")
    idle.start()
    pid = idle.pid
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the resolver has ended")
    with pytest.raises(ResolverError):
        idle.link.ask("hello")
    idle.link.close()
    with pytest.raises(ResolverError, match="no resolver answers"):
        Link(tmp_path)


def test_sockets_cannot_be_opened_where_there_is_no_namespace(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no network namespace"):
        nameservice.open_sockets(tmp_path / "none", SERVER, ruleset)
