"""Which name means what to whom (semantics 3.9, Embedded DNS)."""

import ipaddress
from typing import Any

import pytest

from linkspan.resolver import wire
from linkspan.resolver.records import Book, Found
from linkspan.resolver.units import Member, Network, Sandbox
from tests.nameservers import decoded

KINDS = {"A": wire.A, "AAAA": wire.AAAA, "PTR": wire.PTR, "MX": wire.MX, "TXT": 16}


def _book() -> Book:
    book = Book()
    for unit in (
        Network(id="n1", name="front"),
        Network(id="n2", name="back"),
        Network(id="n3", name="other"),
        Member(id="e1", network="n1", names=("web", "www", "0123456789ab"), addresses=("172.18.0.2", "fd00::2")),
        Member(id="e2", network="n1", names=("web2", "www"), addresses=("172.18.0.3",)),
        Member(id="e3", network="n2", names=("web", "db.local"), addresses=("172.19.0.2",)),
        Member(id="e4", network="n2", names=("six",), addresses=("fd01::4",)),
        Member(id="e5", network="n3", names=("far",), addresses=("172.20.0.2",)),
    ):
        book.put(unit)
    return book


def _asker(**fields: Any) -> Sandbox:
    return Sandbox(**{"id": "s", "networks": ("n1", "n2"), **fields})


def _find(book: Book, name: str, kind: str = "A", **fields: Any) -> Found | None:
    key = wire.encode_name(name)
    assert key is not None
    return book.find(_asker(**fields), key, KINDS[kind])


def _addresses(*args: Any, **fields: Any) -> list[str] | None:
    found = _find(*args, **fields)
    return None if found is None else sorted(str(ipaddress.ip_address(record)) for record in found.records)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("web", ["172.18.0.2"]),
        ("WEB", ["172.18.0.2"]),
        ("0123456789AB", ["172.18.0.2"]),
        ("www", ["172.18.0.2", "172.18.0.3"]),
        ("web.front", ["172.18.0.2"]),
        ("web.back", ["172.19.0.2"]),
        ("db.local", ["172.19.0.2"]),
        ("db.local.back", ["172.19.0.2"]),
        ("DB.Local.BACK", ["172.19.0.2"]),
        ("far", None),
        ("far.other", None),
        ("web.other", None),
        ("front", None),
        ("web.front.back", None),
        ("nobody", None),
    ],
)
def test_names_of_the_askers_own_networks(name: str, addresses: list[str] | None) -> None:
    assert _addresses(_book(), name) == addresses


def test_the_first_network_that_knows_the_name_answers() -> None:
    assert _addresses(_book(), "web", networks=("n2", "n1")) == ["172.19.0.2"]
    assert _addresses(_book(), "web", networks=("n3",)) is None


def test_a_family_that_the_name_does_not_have_is_answered_by_nothing() -> None:
    assert _addresses(_book(), "web", "AAAA") == ["fd00::2"]
    assert _addresses(_book(), "web2", "AAAA") == []
    assert _addresses(_book(), "six", "A") == []
    assert _addresses(_book(), "web", "MX") == []
    assert _addresses(_book(), "nobody", "MX") is None


def test_other_types_are_for_other_servers() -> None:
    assert _find(_book(), "web", "TXT") is None


@pytest.mark.parametrize(
    ("address", "name"),
    [("172.18.0.2", "web.front"), ("172.19.0.2", "web.back"), ("fd00::2", "web.front"), ("172.20.0.2", None), ("192.0.2.1", None)],
)
def test_addresses_have_the_first_name_with_its_network(address: str, name: str | None) -> None:
    found = _find(_book(), ipaddress.ip_address(address).reverse_pointer, "PTR")
    assert (found and [decoded(record) for record in found.records]) == (name and [name])


@pytest.mark.parametrize("name", ["in-addr.arpa", "1.in-addr.arpa", "a.b.c.d.in-addr.arpa", "300.1.1.1.in-addr.arpa", "1.2.ip6.arpa"])
def test_what_is_no_reverse_name_is_for_other_servers(name: str) -> None:
    assert _find(_book(), name, "PTR") is None


def test_links_are_names_of_the_asker_alone_and_come_first() -> None:
    links = {"n1": {"database": "web2", "web": "web2"}}
    assert _addresses(_book(), "database", links=links) == ["172.18.0.3"]
    assert _addresses(_book(), "database.front", links=links) == ["172.18.0.3"]
    assert _addresses(_book(), "web", links=links) == ["172.18.0.3"]
    assert _addresses(_book(), "database") is None


def test_a_link_to_nobody_hides_nothing() -> None:
    assert _addresses(_book(), "web", links={"n1": {"web": "gone"}}) == ["172.18.0.2"]


def test_own_names_come_after_those_of_the_networks() -> None:
    names = {"host.docker.internal": ("172.18.0.1",), "web": ("10.0.0.1",)}
    assert _addresses(_book(), "Host.Docker.Internal", names=names) == ["172.18.0.1"]
    assert _addresses(_book(), "host.docker.internal", "AAAA", names=names) == []
    assert _addresses(_book(), "web", names=names) == ["172.18.0.2"]


def test_a_star_stands_for_any_beginning() -> None:
    book = _book()
    book.put(Member(id="e9", network="n1", names=("proxy", "*.apps"), addresses=("172.18.0.9",)))
    assert _addresses(book, "a.apps") == ["172.18.0.9"]
    assert _addresses(book, "b.a.apps") == ["172.18.0.9"]
    assert _addresses(book, "apps") is None
    assert _addresses(book, "x.apps.front") == ["172.18.0.9"]
    book.put(Member(id="e10", network="n1", names=("a.apps",), addresses=("172.18.0.10",)))
    assert _addresses(book, "a.apps") == ["172.18.0.10"], "a name of its own comes first"
    book.drop("member", "e9")
    assert _addresses(book, "b.apps") is None


def test_a_rename_holds_at_once_and_the_former_name_is_gone() -> None:
    book = _book()
    before = book.generation
    book.put(Member(id="e2", network="n1", names=("shop",), addresses=("172.18.0.3",)))
    assert book.generation > before
    assert _addresses(book, "shop") == ["172.18.0.3"]
    assert _addresses(book, "web2") is None
    assert _addresses(book, "www") == ["172.18.0.2"]


def test_what_is_dropped_leaves_nothing() -> None:
    book = _book()
    for number in range(1, 6):
        book.drop("member", f"e{number}")
        book.drop("member", f"e{number}")
    for number in range(1, 4):
        book.drop("network", f"n{number}")
    assert not list(book.known())
    assert not book._zones


def test_an_address_that_passes_on_has_the_name_of_its_new_owner() -> None:
    book = _book()
    book.put(Member(id="e6", network="n1", names=("heir",), addresses=("172.18.0.2",)))
    book.drop("member", "e1")
    found = _find(book, "2.0.18.172.in-addr.arpa", "PTR")
    assert found is not None
    assert decoded(found.records[0]) == "heir.front"
