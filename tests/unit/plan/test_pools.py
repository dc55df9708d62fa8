"""Which subnet a network gets: the first free one, at a cost that does not grow."""

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.config import AddressPool
from linkspan.errors import InvalidInput
from linkspan.plan.pools import DEFAULT_POOLS, Chooser, Prefixes, unique_local

SMALL = AddressPool(base=IPv4Network("10.0.0.0/24"), size=28)
subnets = st.builds(
    lambda number, length: ip_network((number >> (32 - length) << (32 - length) & 0xFFFFFFFF, length)),
    st.integers(min_value=0x0A000000, max_value=0x0A00FFFF),
    st.integers(min_value=8, max_value=32),
)


def test_the_first_networks_of_a_host_follow_the_default_one() -> None:
    chooser, taken = Chooser(DEFAULT_POOLS), Prefixes([IPv4Network("172.17.0.0/16")])
    for expected in ("172.18.0.0/24", "172.18.1.0/24", "172.18.2.0/24"):
        chosen = chooser.choose(4, [taken])
        assert str(chosen) == expected
        taken.add(chosen)


def test_three_thousand_networks_do_not_use_the_pools_up() -> None:
    chooser, taken = Chooser(DEFAULT_POOLS), Prefixes([IPv4Network("172.20.0.0/16"), IPv4Network("192.168.7.3/32")])
    chosen = []
    for _ in range(3000):
        chosen.append(chooser.choose(4, [taken]))
        taken.add(chosen[-1])
    assert len(set(chosen)) == 3000
    assert not any(subnet.overlaps(IPv4Network("172.20.0.0/16")) for subnet in chosen)


def test_a_route_in_the_way_is_passed_over_and_its_place_taken_when_it_goes() -> None:
    route = IPv4Network("10.0.0.0/27")
    chooser, ours, host = Chooser([SMALL]), Prefixes(), Prefixes([route])
    first = chooser.choose(4, [ours, host])
    assert str(first) == "10.0.0.32/28"
    ours.add(first)
    host.discard(route)
    chooser.freed(route)
    assert str(chooser.choose(4, [ours, host])) == "10.0.0.0/28"


def test_a_pool_within_a_larger_route_is_not_used() -> None:
    with pytest.raises(InvalidInput, match="all predefined address pools have been fully subnetted"):
        Chooser([SMALL]).choose(4, [Prefixes([IPv4Network("10.0.0.0/8")])])


def test_a_length_can_be_asked_for() -> None:
    chooser = Chooser([SMALL])
    assert str(chooser.choose(4, [Prefixes([IPv4Network("10.0.0.0/29")])], 30)) == "10.0.0.8/30"
    with pytest.raises(InvalidInput):
        chooser.choose(4, [], 16)


def test_ipv6_subnets_come_from_a_pool_of_the_engines_own() -> None:
    one, other = unique_local(b"12345678"), unique_local(b"87654321")
    assert one == unique_local(b"12345678") != other
    assert str(one.base).startswith("fd")
    assert (one.base.prefixlen, one.size) == (48, 64)
    assert Chooser([one]).choose(6, []) == IPv6Network((one.base.network_address, 64))


@given(st.lists(subnets, max_size=30), subnets)
def test_what_overlaps_is_found(there: list[IPv4Network], wanted: IPv4Network) -> None:
    found = Prefixes(there).overlapping(wanted)
    assert (found is not None) == any(other.overlaps(wanted) for other in there)
    assert found is None or (found in there and found.overlaps(wanted))


@given(st.lists(subnets, max_size=12), st.data())
def test_what_is_taken_away_is_as_if_it_had_never_been(there: list[IPv4Network], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(there), unique=True)) if there else []
    prefixes = Prefixes(there)
    left = list(there)
    for subnet in gone:
        prefixes.discard(subnet)
        left.remove(subnet)
    for subnet in there:
        assert (prefixes.overlapping(subnet) is not None) == any(other.overlaps(subnet) for other in left)


@given(st.lists(subnets, max_size=20))
def test_the_choice_is_the_first_free_one(there: list[IPv4Network]) -> None:
    free = [subnet for subnet in SMALL.base.subnets(new_prefix=28) if not any(subnet.overlaps(other) for other in there)]
    chooser = Chooser([SMALL])
    if free:
        assert chooser.choose(4, [Prefixes(there)]) == free[0]
    else:
        with pytest.raises(InvalidInput):
            chooser.choose(4, [Prefixes(there)])
