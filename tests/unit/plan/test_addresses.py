"""Which address a container gets, which subnet the default network gets."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import AddressInUse, Exhausted, InvalidInput
from linkspan.model.network import IPAddress, Subnet
from linkspan.plan.addresses import Used, asked, choose, free_subnet

NAME = "bridge (1234)"


def pool(subnet: str, gateway: str, limited_to: str = "") -> Subnet:
    return Subnet(subnet=IPv4Network(subnet), gateway=IPv4Address(gateway), range=IPv4Network(limited_to or subnet))


def numbers(*addresses: str) -> dict[int, None]:
    return {int(IPv4Address(address)): None for address in addresses}


def test_the_first_address_follows_the_gateway() -> None:
    assert choose(pool("172.17.0.0/16", "172.17.0.1"), Used(), network=NAME) == IPv4Address("172.17.0.2")


def test_an_address_that_nobody_had_comes_before_a_released_one() -> None:
    used = Used(held=set(numbers("172.17.0.3")), released=numbers("172.17.0.2"))
    assert choose(pool("172.17.0.0/16", "172.17.0.1"), used, network=NAME) == IPv4Address("172.17.0.4")


def test_the_address_released_longest_ago_comes_back_first() -> None:
    used = Used(held=set(numbers("10.0.0.4")), released=numbers("10.0.0.3", "10.0.0.5", "10.0.0.2", "10.0.0.6"))
    assert choose(pool("10.0.0.0/29", "10.0.0.1"), used, network=NAME) == IPv4Address("10.0.0.3")


def test_a_full_pool_says_which_network_it_is_of() -> None:
    used = Used(held=set(numbers("10.0.0.2")))
    with pytest.raises(Exhausted, match=r"no available IPv4 addresses on this network's address pools: bridge \(1234\)"):
        choose(pool("10.0.0.0/30", "10.0.0.1"), used, network=NAME)


def test_only_the_range_is_given_out() -> None:
    assert choose(pool("172.17.0.0/16", "172.17.0.1", "172.17.5.0/24"), Used(), network=NAME) == IPv4Address("172.17.5.0")


def test_reserved_addresses_are_not_given() -> None:
    given = choose(pool("10.0.0.0/24", "10.0.0.1"), Used(), network=NAME, reserved=[IPv4Address("10.0.0.2")])
    assert given == IPv4Address("10.0.0.3")


def test_a_point_to_point_subnet_has_no_network_address() -> None:
    assert choose(pool("10.0.0.0/31", "10.0.0.0"), Used(), network=NAME) == IPv4Address("10.0.0.1")


@given(st.integers(min_value=24, max_value=30), st.lists(st.booleans(), max_size=400))
def test_no_address_is_given_twice(prefix: int, releases: list[bool]) -> None:
    subnet = pool(f"10.1.0.0/{prefix}", "10.1.0.1")
    released: list[int] = []
    held: list[IPAddress] = []
    for release in releases:
        if release and held:
            released.append(int(held.pop(0)))
            continue
        try:
            address = choose(subnet, Used(set(map(int, held)), released), network=NAME)
        except Exhausted:
            assert len(held) == 2 ** (32 - prefix) - 3
            continue
        assert address not in held
        assert address in subnet.subnet
        assert address not in (subnet.gateway, subnet.subnet.network_address, subnet.subnet.broadcast_address)
        held.append(address)
        released = [number for number in released if number != int(address)]


def test_a_pool_of_ipv6_begins_after_its_gateway() -> None:
    wide = Subnet(subnet=IPv6Network("fd00::/64"), gateway=IPv6Address("fd00::1"), range=IPv6Network("fd00::/64"))
    assert choose(wide, Used(), network=NAME) == IPv6Address("fd00::2")
    small = Subnet(subnet=IPv6Network("fd00::/126"), gateway=IPv6Address("fd00::1"), range=IPv6Network("fd00::/126"))
    assert choose(small, Used({int(IPv6Address("fd00::2"))}), network=NAME) == IPv6Address("fd00::3"), "there is no broadcast address"
    with pytest.raises(Exhausted, match="no available IPv6 addresses"):
        choose(small, Used({int(IPv6Address("fd00::2")), int(IPv6Address("fd00::3"))}), network=NAME)


def test_an_address_that_is_asked_for_must_be_free_and_of_the_pool() -> None:
    subnet = pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25")
    assert asked(subnet, IPv4Address("10.0.0.2"), Used()) == IPv4Address("10.0.0.2"), "the range limits automatic choice only"
    with pytest.raises(InvalidInput, match=r"^no configured subnet contains IP address 10\.0\.1\.2$"):
        asked(subnet, IPv4Address("10.0.1.2"), Used())
    for taken in ("10.0.0.1", "10.0.0.0", "10.0.0.255", "10.0.0.9", "10.0.0.7"):
        with pytest.raises(AddressInUse, match=r"^Address already in use$"):
            asked(subnet, IPv4Address(taken), Used({int(IPv4Address("10.0.0.9"))}), reserved=[IPv4Address("10.0.0.7")])


def test_the_first_subnet_that_overlaps_nothing_is_free() -> None:
    candidates = [IPv4Network("172.17.0.0/16"), IPv4Network("172.18.0.0/16")]
    assert free_subnet(candidates, [IPv4Network("172.17.3.0/24")]) == candidates[1]
    with pytest.raises(Exhausted, match="--bip"):
        free_subnet(candidates, [IPv4Network("172.16.0.0/12")])
