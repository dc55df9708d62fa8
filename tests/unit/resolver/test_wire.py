"""DNS messages, compared with what dnslib makes of them."""

import contextlib
from ipaddress import IPv4Address

import dnslib
import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from linkspan.resolver import wire
from tests.nameservers import decoded, question

LABEL = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=30)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


@given(NAME, st.sampled_from(["A", "AAAA", "PTR", "MX", "TXT"]), st.sampled_from([None, 100, 512, 1232, 65535]))
def test_a_query_is_read_as_dnslib_wrote_it(name: str, kind: str, size: int | None) -> None:
    query = wire.parse_query(question(name, kind, size=size).pack())
    assert query.key == wire.encode_name(name)
    assert decoded(query.key) == name.lower()
    assert QTYPE[query.kind] == kind
    assert query.edns == (size is not None)
    assert query.size == min(max(size or 0, 512), wire.LARGEST_UDP)


def test_dnssec_and_options_are_seen() -> None:
    asked = DNSRecord.question("a.example")
    asked.add_ar(dnslib.EDNS0(flags="do", opts=[dnslib.EDNSOption(10, b"12345678")]))
    query = wire.parse_query(asked.pack())
    assert query.dnssec
    assert query.has_options
    assert not wire.parse_query(question("a.example", size=1232).pack()).has_options


@given(NAME, st.lists(st.ip_addresses(v=4), max_size=60, unique=True), st.sampled_from([None, 512, 1232]))
def test_a_local_answer_is_read_by_dnslib_as_it_was_meant(name: str, addresses: list[IPv4Address], size: int | None) -> None:
    data = question(name, size=size).pack()
    query = wire.parse_query(data)
    records = [address.packed for address in addresses]
    answer = data[:2] + wire.answer(query, records, kind=wire.A, lifetime=600, limit=query.size)
    read = DNSRecord.parse(answer)
    assert len(answer) <= query.size
    assert str(read.q.qname).rstrip(".") == name  # in the asker's spelling
    assert read.header.qr
    assert read.header.ra
    assert read.header.rd
    assert [str(record.rdata) for record in read.rr] == [str(address) for address in addresses][: len(read.rr)]
    assert bool(read.header.tc) == (len(read.rr) < len(addresses))
    assert {record.ttl for record in read.rr} <= {600}
    assert bool(read.ar) == (size is not None)


def test_by_tcp_nothing_is_cut_off() -> None:
    data = question("many").pack()
    records = [bytes([10, 0, number >> 8, number & 255]) for number in range(1000)]
    read = DNSRecord.parse(data[:2] + wire.answer(wire.parse_query(data), records, kind=wire.A, lifetime=1, limit=None))
    assert len(read.rr) == 1000
    assert not read.header.tc


def _reply(*zone: str, code: str = "NOERROR", authority: str = "") -> tuple[wire.Reply, bytes]:
    asked = question("a.example", size=1232)
    answer = asked.reply()
    answer.header.rcode = getattr(RCODE, code)
    for line in zone:
        answer.add_answer(*RR.fromZone(line))
    if authority:
        answer.add_auth(*RR.fromZone(authority))
    answer.add_ar(dnslib.EDNS0(udp_len=1232))
    data = answer.pack()
    return wire.parse_reply(data, wire.parse_query(asked.pack()).question), data


SOA = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 77"


def test_an_answer_lives_as_long_as_its_shortest_record() -> None:
    reply, _ = _reply("a.example. 300 IN CNAME b.example.", "b.example. 20 IN A 192.0.2.1")
    assert (reply.code, reply.lifetime, len(reply.lifetimes)) == (0, 20, 2)


@pytest.mark.parametrize(
    ("code", "authority", "lifetime"),
    [("NXDOMAIN", SOA, 77), ("NOERROR", SOA, 77), ("NXDOMAIN", "", 0), ("NOERROR", "", 0), ("SERVFAIL", SOA, 0), ("REFUSED", "", 0)],
)
def test_no_answer_lives_as_its_soa_record_says(code: str, authority: str, lifetime: int) -> None:
    reply, _ = _reply(code=code, authority=authority)
    assert reply.lifetime == lifetime


def test_a_kept_answer_gets_the_askers_id_and_spelling_and_older_lifetimes() -> None:
    reply, data = _reply("a.example. 300 IN A 192.0.2.1", "a.example. 10 IN A 192.0.2.2")
    query = wire.parse_query(question("A.ExAmPlE").pack())
    read = DNSRecord.parse(wire.dressed(data, query, b"\x12\x34", 15, reply.lifetimes))
    assert read.header.id == 0x1234
    assert str(read.q.qname) == "A.ExAmPlE."
    assert [record.ttl for record in read.rr] == [285, 0]
    assert read.ar[0].rclass == 1232, "the EDNS record has no lifetime"


def test_a_long_answer_is_cut_off_after_the_question() -> None:
    _, data = _reply("a.example. 300 IN A 192.0.2.1")
    query = wire.parse_query(question("a.example").pack())
    read = DNSRecord.parse(wire.shortened(data, query.question))
    assert read.header.tc
    assert not read.rr
    assert str(read.q.qname) == "a.example."


@pytest.mark.parametrize("other", ["b.example", "a.example.org", "aa.example"])
def test_the_answer_to_another_question_is_none(other: str) -> None:
    _, data = _reply("a.example. 300 IN A 192.0.2.1")
    with pytest.raises(wire.MalformedError):
        wire.parse_reply(data, wire.parse_query(question(other).pack()).question)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        b"\0\1\1\0\0\0\0\0\0\0\0\0",  # no question
        b"\0\1\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1\1a\0\0\1\0\1",  # two
        b"\0\1\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1",  # an answer
        b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",  # a name that is itself
        b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1",  # cut off
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1",  # 257 bytes
        b"\0\1\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\0\0\x29\x04\0\0\0\0\0\0\x09a",  # a record longer than the message
    ],
)
def test_what_is_no_query_is_refused(data: bytes) -> None:
    with pytest.raises(wire.MalformedError):
        wire.parse_query(data)


def test_garbage_is_told_so_but_answers_are_never_answered() -> None:
    told = wire.malformed(b"\0\1\1\0\0\0\0\0\0\0\0\0")
    assert told is not None
    assert DNSRecord.parse(b"\0\1" + told).header.rcode == RCODE.FORMERR
    assert wire.malformed(b"\0\1\x81\0\0\0\0\0\0\0\0\0") is None, "two servers would answer each other for ever"
    assert wire.malformed(b"\0\1") is None


@given(st.binary(max_size=120))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(wire.MalformedError):
        wire.parse_query(data)
    with contextlib.suppress(wire.MalformedError):
        wire.parse_reply(data, data[12:30])


@given(st.data())
def test_no_change_of_an_answer_does_more_than_make_it_none(data: st.DataObject) -> None:
    _, message = _reply("a.example. 300 IN CNAME b.example.", "b.example. 20 IN A 192.0.2.1", authority=SOA)
    changed = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    query = wire.parse_query(question("a.example").pack())
    with contextlib.suppress(wire.MalformedError):
        reply = wire.parse_reply(cut, query.question)
        wire.dressed(cut, query, b"ab", 5, reply.lifetimes)


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, ".".join(["a" * 63] * 4)])
def test_what_nobody_can_ask_for_has_no_form_on_the_wire(name: str) -> None:
    assert wire.encode_name(name) is None
