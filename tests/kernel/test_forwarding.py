"""What the resolver does not know, it asks the host's servers, or the container's own."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import dnslib
import pytest
from dnslib import RCODE, RR, DNSRecord

from linkspan.resolver.units import Server
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, join, until
from tests.kernel.resolvers import SECOND, Resolver, open_asking
from tests.nameservers import NameServer, ask, ask_here, question

pytestmark = pytest.mark.kernel


def _big(asked: DNSRecord, protocol: str) -> DNSRecord:
    """Answer by 60 addresses, of which UDP gets as many as fit, marked as cut off."""
    answer = asked.reply()
    for number in range(60):
        answer.add_answer(*RR.fromZone(f"{asked.q.qname} 60 IN A 192.0.2.{number}"))
    if protocol == "udp":
        del answer.rr[20:]
        answer.header.tc = 1
    return answer


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
            asking = [open_asking(question("a.example").pack()) for _ in range(50)]
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
            asking = open_asking(b"")
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


def _under_way(resolver: Resolver, sandbox: str) -> int:
    under_way = resolver.link.ask("status")["under_way"]
    assert isinstance(under_way, dict)
    return int(under_way.get(sandbox, 0))
