"""The resolver's process on real sockets: names of the networks, and the host's own servers behind it."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import dnslib
import pytest
from dnslib import RCODE, RR, DNSRecord

from linkspan.kernel import nameservice
from linkspan.plan.nameservice import SERVER, ruleset
from linkspan.resolver.link import Link
from linkspan.resolver.messages import ResolverError
from linkspan.resolver.units import Member, Network, Sandbox, Server, Unit
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, join, until
from tests.kernel.resolvers import Resolver
from tests.nameservers import LOCAL, NameServer, ask, ask_here, question

pytestmark = pytest.mark.kernel

SECOND = "10.99.0.3"
"""Another server outside."""


@pytest.fixture
def resolver(host: Host, outside: Host, tmp_path: Path) -> Iterator[Resolver]:
    folder = tmp_path / "run"
    folder.mkdir()
    outside.sh("ip", "addr", "add", f"{SECOND}/24", "dev", "eth0")
    with Resolver(host, folder) as running:
        running.resolv_conf.write_text(f"nameserver {OUTSIDE_ADDRESS}\n")
        yield running


@pytest.fixture
def container(resolver: Resolver, tmp_path: Path) -> Iterator[Host]:
    """A namespace with `lo` alone, whose names are served."""
    with Host(tmp_path / "container.net") as inside:
        resolver.serve("c1", inside)
        yield inside


def _big(asked: DNSRecord, protocol: str) -> DNSRecord:
    """Answer by 60 addresses, of which UDP gets as many as fit, marked as cut off."""
    answer = asked.reply()
    for number in range(60):
        answer.add_answer(*RR.fromZone(f"{asked.q.qname} 60 IN A 192.0.2.{number}"))
    if protocol == "udp":
        del answer.rr[20:]
        answer.header.tc = 1
    return answer


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


def test_what_is_not_known_goes_to_the_hosts_server_and_is_kept(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server:
        for _ in range(3):
            assert ask(container, "a.example").addresses == ["192.0.2.1"]
            assert ask(container, "A.Example", tcp=True).addresses == ["192.0.2.1"]
            assert ask(container, "none.example").code == "NXDOMAIN"
            assert ask(container, "a.example", "TXT").code == "NOERROR"
        kinds = [("a.example", "A", "udp"), ("none.example", "A", "udp"), ("a.example", "TXT", "udp")]
        assert sorted(server.asked) == sorted([*kinds, ("a.example", "TXT", "udp"), ("a.example", "TXT", "udp")])
        assert {caller[0] for caller in server.callers} == {HOST_ADDRESS}


def test_each_question_has_a_port_and_an_id_of_its_own(resolver: Resolver, container: Host, outside: Host) -> None:
    names = {f"n{number}.example": "192.0.2.1" for number in range(60)}
    with NameServer(outside, OUTSIDE_ADDRESS, names) as server:
        for name in names:
            ask(container, name)
        assert len({port for _, port in server.callers}) > 50
        assert len({message.header.id for message in server.messages}) > 50


def test_servers_are_asked_in_order_and_the_next_one_when_one_refuses(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.resolv_conf.write_text(f"nameserver {OUTSIDE_ADDRESS}\nnameserver {SECOND}\n")
    names = {"a.example": "192.0.2.1", "b.example": "192.0.2.2"}
    with NameServer(outside, OUTSIDE_ADDRESS, names) as first, NameServer(outside, SECOND, names) as second:
        assert ask(container, "a.example").addresses == ["192.0.2.1"]
        assert not second.asked
        for code in (RCODE.SERVFAIL, RCODE.REFUSED):
            first.answer = partial(_coded, code=code)
            assert ask(container, f"b{code}.example").code == "NXDOMAIN"
        assert len(second.asked) == 2
        second.answer = first.answer
        assert ask(container, "c.example").code == "SERVFAIL"


def test_a_silent_server_is_waited_for_once(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.resolv_conf.write_text(f"nameserver {OUTSIDE_ADDRESS}\nnameserver {SECOND}\n")
    names = {"a.example": "192.0.2.1", "b.example": "192.0.2.2"}
    with NameServer(outside, OUTSIDE_ADDRESS) as first, NameServer(outside, SECOND, names) as second:
        first.answer = lambda *_: None
        with ThreadPoolExecutor(2) as both:  # as a C library does, for both families
            assert [each.code for each in both.map(lambda kind: ask(container, "a.example", kind), ("A", "AAAA"))] == ["NOERROR", "NOERROR"]
        assert sorted(first.asked) == sorted(second.asked)
        assert ask(container, "b.example").addresses == ["192.0.2.2"]
        assert len(first.asked) == 2, "it is asked last for a while"


def test_a_server_that_nobody_runs_costs_no_time(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.resolv_conf.write_text(f"nameserver {OUTSIDE_ADDRESS}\nnameserver {SECOND}\n")
    with NameServer(outside, SECOND, {"a.example": "192.0.2.1"}):
        answer = ask(container, "a.example")
    assert answer.addresses == ["192.0.2.1"]
    assert answer.seconds < 3, "a refused port is an answer"


def test_a_cut_answer_is_asked_for_again_by_tcp(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS) as server:
        server.answer = _big
        cut = ask(container, "big.example")
        assert cut.message.header.tc
        assert [protocol for _, _, protocol in server.asked] == ["udp", "tcp"]
        assert len(ask(container, "big.example", tcp=True).addresses) == 60
        assert len(server.asked) == 2, "the answer by TCP was kept"
        assert len(ask(container, "big.example", size=4096).addresses) == 60, "who can take it gets it by UDP"


def test_a_server_without_tcp_leaves_what_came_by_udp(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS) as server:
        server.answer = lambda asked, protocol: _big(asked, "udp") if protocol == "udp" else None
        answer = ask(container, "big.example", size=4096)
        assert answer.message.header.tc
        assert len(answer.addresses) == 20


def test_edns_reaches_the_server_as_it_was_asked(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server:
        asked = question("a.example")
        asked.add_ar(dnslib.EDNS0(udp_len=1400, flags="do", opts=[dnslib.EDNSOption(10, b"cookie00")]))
        for _ in range(2):
            container.run(lambda: ask_here(asked.pack()))
        assert len(server.messages) == 2, "an answer to a cookie is nobody else's"
        (opt,) = server.messages[0].ar
        assert (opt.rclass, opt.edns_do, [(each.code, each.data) for each in opt.rdata]) == (1400, 1, [(10, b"cookie00")])


def test_forged_answers_are_not_believed(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server:

        def forged(asked: DNSRecord, _: str) -> DNSRecord:
            _spoof(outside, SECOND, server.callers[-1], _lie(asked))  # another server
            wrong_id = _lie(asked)
            wrong_id.header.id ^= 1
            wrong_question = DNSRecord.question("b.example").reply()
            wrong_question.header.id = asked.header.id
            wrong_question.add_answer(*RR.fromZone("b.example 60 IN A 203.0.113.66"))
            for lie in (wrong_id, wrong_question, DNSRecord(asked.header, q=asked.q)):
                server._udp.sendto(lie.pack(), server.callers[-1])
            return server.plain(asked, "udp")

        server.answer = forged
        assert ask(container, "a.example").addresses == ["192.0.2.1"]
        server.answer = server.plain
        assert ask(container, "b.example").code == "NXDOMAIN"


def test_the_hosts_resolv_conf_is_followed(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}), NameServer(outside, SECOND, {"a.example": "192.0.2.2"}):
        assert ask(container, "a.example").addresses == ["192.0.2.1"]
        resolver.resolv_conf.write_text(f"# by a VPN\nnameserver {SECOND}\n")
        assert ask(container, "a.example").addresses == ["192.0.2.2"], "what the former servers said does not hold any more"
        resolver.resolv_conf.write_text("")
        assert ask(container, "b.example").code == "SERVFAIL"


def test_who_has_no_way_out_gets_nothing_from_there(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.know("web", "172.18.0.2")
    resolver.tell("c1", external=False)
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server:
        assert ask(container, "a.example").code == "SERVFAIL"
        assert ask(container, "a.example", tcp=True).code == "SERVFAIL"
        assert ask(container, "web").addresses == ["172.18.0.2"]
        assert not server.asked
        resolver.tell("c1")
        assert ask(container, "a.example").addresses == ["192.0.2.1"]
        resolver.tell("c1", external=False)
        assert ask(container, "a.example").code == "SERVFAIL", "not even what others have asked for"


def test_servers_of_the_container_are_asked_from_its_namespace(resolver: Resolver, container: Host, outside: Host) -> None:
    join(container, outside, left_address="10.98.0.1/24", right_address="10.98.0.2/24", interface="eth7")
    resolver.tell("c1", servers=(Server(address="10.98.0.2", inside=True),), external=False)
    with NameServer(outside, "10.98.0.2", {"a.example": "192.0.2.1"}) as server:
        server.answer = lambda asked, protocol: _big(asked, protocol) if "big" in str(asked.q.qname) else server.plain(asked, protocol)
        assert ask(container, "a.example").addresses == ["192.0.2.1"]
        assert len(ask(container, "big.example", tcp=True).addresses) == 60
        assert {caller[0] for caller in server.callers} == {"10.98.0.1"}


def test_what_one_container_was_told_by_its_server_is_not_for_others(
    resolver: Resolver, container: Host, outside: Host, tmp_path: Path
) -> None:
    join(container, outside, left_address="10.98.0.1/24", right_address="10.98.0.2/24", interface="eth7")
    resolver.tell("c1", servers=(Server(address="10.98.0.2", inside=True),))
    with (
        NameServer(outside, "10.98.0.2", {"a.example": "203.0.113.66"}),
        NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}),
        Host(tmp_path / "c2.net") as other,
    ):
        resolver.serve("c2", other)
        assert ask(container, "a.example").addresses == ["203.0.113.66"]
        assert ask(other, "a.example").addresses == ["192.0.2.1"]


def test_domains_have_servers_of_their_own(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.tell("c1", routes={"corp.example": (SECOND,)})
    with NameServer(outside, OUTSIDE_ADDRESS) as first, NameServer(outside, SECOND, {"x.corp.example": "192.0.2.9"}) as second:
        assert ask(container, "X.Corp.Example").addresses == ["192.0.2.9"]
        assert ask(container, "xcorp.example").code == "NXDOMAIN"
        assert [name.lower() for name, _, _ in second.asked] == ["x.corp.example"]
        assert [name for name, _, _ in first.asked] == ["xcorp.example"]


def test_short_names_stay_where_ndots_says_so(resolver: Resolver, container: Host, outside: Host) -> None:
    resolver.tell("c1", short_names_stay=True)
    with NameServer(outside, OUTSIDE_ADDRESS, {"short": "192.0.2.1", "a.example": "192.0.2.2"}) as server:
        answer = ask(container, "short")
        assert (answer.code, answer.texts) == ("NOERROR", [])
        assert ask(container, "a.example").addresses == ["192.0.2.2"]
        assert [name for name, _, _ in server.asked] == ["a.example"]


def test_the_same_question_of_many_is_asked_once(resolver: Resolver, container: Host, outside: Host) -> None:
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server:
        go = threading.Event()

        def slow(asked: DNSRecord, protocol: str) -> DNSRecord:
            go.wait(20)
            return server.plain(asked, protocol)

        server.answer = slow

        def all_at_once() -> None:
            asking = [_asking(question("a.example").pack()) for _ in range(50)]
            until(lambda: server.asked, what="the server is asked")
            go.set()
            for each in asking:
                with each:
                    assert str(DNSRecord.parse(each.recv(4096)).rr[0].rdata) == "192.0.2.1"

        container.run(all_at_once)
        assert len(server.asked) == 1


def test_one_flood_hurts_nobody_else(resolver: Resolver, container: Host, outside: Host, tmp_path: Path) -> None:
    resolver.know("web", "172.18.0.2")
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}) as server, Host(tmp_path / "c2.net") as other:
        server.answer = lambda asked, protocol: None if "flood" in str(asked.q.qname) else server.plain(asked, protocol)
        resolver.serve("c2", other)

        def flood() -> socket.socket:
            asking = _asking(b"")
            for number in range(3000):
                asking.send(question(f"flood{number}.example").pack())
            return asking

        with container.run(flood) as flooding:
            until(lambda: _under_way(resolver, "c1") > 256, what="the flood is under way")
            assert ask(other, "a.example", timeout=3).addresses == ["192.0.2.1"]
            assert ask(other, "web", timeout=3).addresses == ["172.18.0.2"]
            assert ask(container, "web", timeout=3).addresses == ["172.18.0.2"], "names that are known are no part of it"
            asked = sum("flood" in name for name, _, _ in server.asked)
            assert asked <= 256, "no more than its turns"
            codes = {DNSRecord.parse(flooding.recv(512)).header.rcode for _ in range(100)}
            assert codes == {RCODE.REFUSED}, "what can have no turn is told so"


def test_ten_thousand_questions_of_fifty_containers_at_once(resolver: Resolver, outside: Host, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        containers = [stack.enter_context(Host(tmp_path / f"c{number}.net")) for number in range(50)]
        for number, each in enumerate(containers):
            resolver.serve(f"c{number}", each)
            resolver.know(f"web{number}", f"172.18.0.{number + 1}")
        sockets = [stack.enter_context(each.run(lambda: _asking(b""))) for each in containers]
        for number in range(200):
            for index, asking in enumerate(sockets):
                asking.send(question(f"web{(index + number) % 50}").pack())
        for asking in sockets:
            assert len([asking.recv(512) for _ in range(200)]) == 200


def test_garbage_hurts_nobody(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def throw() -> None:
        with _asking(b"") as udp:
            for data in (b"", b"\0", os.urandom(200), b"\0\1\x81" + b"\0" * 9, b"\xff" * 4096, question("x").pack()[:-3]):
                udp.send(data)
        for data in (b"\0", b"\0\0", b"\0\5abcde", b"\xff\xff" + b"x" * 1000):
            with _asking(data, socket.SOCK_STREAM):
                pass

    container.run(throw)
    for tcp in (False, True):
        assert ask(container, "web", tcp=tcp).addresses == ["172.18.0.2"]


def test_connections_that_do_nothing_are_bounded(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(_asking(b"\0", socket.SOCK_STREAM))
            assert ask_here(question("web").pack()).addresses == ["172.18.0.2"]
            assert resolver.files() < 80

    container.run(hold)


def test_several_questions_by_one_connection(resolver: Resolver, container: Host) -> None:
    resolver.know("web", "172.18.0.2")

    def converse() -> None:
        data = question("web").pack()
        with _asking((len(data).to_bytes(2, "big") + data) * 3, socket.SOCK_STREAM) as connection:
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
        return _asking(question("web").pack())

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


def _coded(asked: DNSRecord, _: str, *, code: int) -> DNSRecord:
    answer = asked.reply()
    answer.header.rcode = code
    return answer


def _lie(asked: DNSRecord) -> DNSRecord:
    answer = asked.reply()
    answer.add_answer(*RR.fromZone(f"{asked.q.qname} 60 IN A 203.0.113.66"))
    return answer


def _spoof(where: Host, source: str, target: tuple[str, int], message: DNSRecord) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
            liar.bind((source, 53))
            liar.sendto(message.pack(), target)

    where.run(send)


def _asking(data: bytes, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A socket to the name server, in this thread's namespace."""
    asking = socket.socket(socket.AF_INET, kind)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    asking.settimeout(20)
    asking.connect((LOCAL, 53))
    if data:
        asking.sendall(data)
    return asking


def _under_way(resolver: Resolver, sandbox: str) -> int:
    under_way = resolver.link.ask("status")["under_way"]
    assert isinstance(under_way, dict)
    return int(under_way.get(sandbox, 0))
