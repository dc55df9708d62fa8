"""Comparing what nft lists."""

from linkspan.plan.listing import Listing, differences

TEXT = """\
table inet linkspan {
	set bridges {
		type ifname
		elements = { "docker0" }
	}

	map published-anywhere {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80,
			udp . 53 : 172.17.0.2 . 53,
			tcp . 8443 : 172.17.0.3 . 443 }
	}

	set empty {
		type ifname
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname @bridges counter packets 17 bytes 1234 jump to-containers
	}
}
"""


def told(found: str) -> list[str]:
    return list(differences(Listing.parse(TEXT), Listing.parse(found)))


def test_a_table_is_taken_apart() -> None:
    listing = Listing.parse(TEXT)
    assert set(listing.blocks) == {"set bridges", "map published-anywhere", "set empty", "chain forward"}
    assert listing.elements["map published-anywhere"] == {
        "tcp . 8080 : 172.17.0.2 . 80",
        "udp . 53 : 172.17.0.2 . 53",
        "tcp . 8443 : 172.17.0.3 . 443",
    }
    assert listing.elements["set bridges"] == {'"docker0"'}
    assert listing.elements["set empty"] == frozenset()


def test_order_and_counters_make_no_difference() -> None:
    first, second = "tcp . 8080 : 172.17.0.2 . 80", "udp . 53 : 172.17.0.2 . 53"
    other = TEXT.replace(first, "*").replace(second, first).replace("*", second)
    assert other != TEXT
    assert told(other.replace("packets 17 bytes 1234", "packets 99 bytes 9999")) == []


def test_a_table_that_is_gone() -> None:
    assert told("") == ["the whole table is gone"]


def test_an_element_that_is_gone_and_one_too_many() -> None:
    assert told(TEXT.replace("tcp . 8443 : 172.17.0.3 . 443", "tcp . 9999 : 172.17.0.9 . 99")) == [
        "the map published-anywhere lacks tcp . 8443 : 172.17.0.3 . 443",
        "the map published-anywhere has what nobody asked for: tcp . 9999 : 172.17.0.9 . 99",
    ]


def test_many_elements_are_counted() -> None:
    wanted = Listing({"set s": ""}, {"set s": frozenset(map(str, range(10)))})
    assert list(differences(wanted, Listing({"set s": ""}, {"set s": frozenset()}))) == ["the set s lacks 0, 1, 2 and 7 more"]


def test_a_rule_that_was_changed_and_a_chain_that_was_added() -> None:
    assert told(TEXT.replace("jump to-containers", "accept")) == ["the chain forward is not as we made it"]
    assert told(TEXT.replace("\tset empty", "\tchain mine {\n\t}\n\n\tset empty")) == ["the chain mine is not ours"]
