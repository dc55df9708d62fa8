"""What the host uses of the address space is followed as it changes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from linkspan.kernel.territory import Territory
from tests.hosts import Host

pytestmark = pytest.mark.kernel

Seen = Callable[[], set[str]]


@contextmanager
def following(host: Host) -> Iterator[Seen]:
    territory = host.run(Territory)
    yield lambda: {str(place.subnet) for place in host.run(territory.places)}
    territory.close()


@pytest.fixture
def port(host: Host) -> str:
    host.sh("ip", "link", "add", "port0", "type", "bridge")
    host.sh("ip", "link", "set", "port0", "up")
    return "port0"


def test_addresses_and_routes_that_are_there_are_seen(host: Host, port: str) -> None:
    host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
    host.sh("ip", "-6", "addr", "add", "fd01::3/64", "dev", port, "nodad")
    with following(host) as seen:
        assert {"10.1.2.3/32", "10.1.2.0/24", "fd01::3/128", "fd01::/64"} <= seen()


def test_routes_of_any_table_and_either_family_are_seen_as_they_come(host: Host, port: str) -> None:
    host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
    with following(host) as seen:
        before = seen()
        host.sh("ip", "route", "add", "10.8.0.0/16", "via", "10.1.2.1", "table", "51820")
        host.sh("ip", "-6", "route", "add", "fd08::/48", "dev", port, "table", "7")
        assert seen() - before == {"10.8.0.0/16", "fd08::/48"}


def test_what_goes_is_not_seen_any_more(host: Host, port: str) -> None:
    with following(host) as seen:
        before = seen()
        host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
        host.sh("ip", "route", "add", "10.9.0.0/16", "via", "10.1.2.1")
        assert {"10.1.2.3/32", "10.9.0.0/16"} <= seen()
        host.sh("ip", "route", "del", "10.9.0.0/16")
        assert "10.9.0.0/16" not in seen()
        host.sh("ip", "addr", "del", "10.1.2.3/24", "dev", port)
        assert seen() == before


def test_the_routes_of_an_interface_go_with_it(host: Host, port: str) -> None:
    with following(host) as seen:
        seen()
        host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
        host.sh("ip", "route", "add", "10.9.0.0/16", "via", "10.1.2.1")
        assert "10.9.0.0/16" in seen()
        host.sh("ip", "link", "del", port)
        assert not {"10.1.2.3/32", "10.1.2.0/24", "10.9.0.0/16"} & seen()


def test_default_routes_in_disguise_and_what_leads_nowhere_do_not_count(host: Host, port: str) -> None:
    host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
    with following(host) as seen:
        before = seen()
        for route in (("0.0.0.0/1",), ("128.0.0.0/1",), ("default",)):
            host.sh("ip", "route", "add", *route, "via", "10.1.2.1")
        host.sh("ip", "route", "add", "blackhole", "172.16.0.0/12")
        assert seen() == before


def test_more_news_than_the_kernel_keeps_is_no_loss(host: Host, port: str) -> None:
    with following(host) as seen:
        seen()
        routes = "\n".join(f"route add 10.{third}.{fourth}.0/24 dev {port}" for third in range(64) for fourth in range(256))
        host.sh("ip", "-batch", "-", stdin=routes)
        assert {"10.0.0.0/24", "10.63.255.0/24"} <= seen()


def test_changes_are_told_once(host: Host, port: str) -> None:
    territory = host.run(Territory)
    host.run(territory.changes)
    host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", port)
    came, went = host.run(territory.changes)
    assert "10.1.2.0/24" in {str(place.subnet) for place in came}
    assert not went
    assert host.run(territory.changes) == ([], [])
    territory.close()
