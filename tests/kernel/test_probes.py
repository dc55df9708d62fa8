"""The probes notice what they are for: a campaign that finds nothing must have been able to find something."""

import pytest

from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, until
from tests.probes import Connections, Datagrams, Echo, NewFlows, Pings

pytestmark = pytest.mark.kernel


def test_nothing_is_lost_between_neighbours(host: Host, outside: Host) -> None:
    with Echo(outside, 9001), outside.answering(OUTSIDE_ADDRESS, 9000, b"?"):
        with (
            Pings(host, OUTSIDE_ADDRESS) as pings,
            Datagrams(host, (OUTSIDE_ADDRESS, 9001)) as datagrams,
            NewFlows(host, (OUTSIDE_ADDRESS, 9001)) as flows,
            Connections(host, (OUTSIDE_ADDRESS, 9000)) as connections,
        ):
            until(lambda: min(pings.sent, datagrams.sent, flows.sent, connections.sent) > 20)
        assert [*pings.lost, *datagrams.lost, *flows.lost, *connections.lost] == []


def test_a_short_gap_is_noticed(host: Host, outside: Host) -> None:
    rules = "table inet gap { chain arriving { type filter hook input priority 0; policy drop; }; }"
    with Echo(host, 9001), host.answering(HOST_ADDRESS, 9000, b"?"):
        with (
            Pings(outside, HOST_ADDRESS) as pings,
            Datagrams(outside, (HOST_ADDRESS, 9001)) as datagrams,
            NewFlows(outside, (HOST_ADDRESS, 9001)) as flows,
            Connections(outside, (HOST_ADDRESS, 9000)) as connections,
        ):
            until(lambda: min(pings.sent, datagrams.sent, flows.sent, connections.sent) > 5)
            before = pings.sent, datagrams.sent, flows.sent, connections.sent
            host.sh("nft", "-f", "-", stdin=rules)
            until(lambda: all(now > then for now, then in zip((pings.sent, datagrams.sent, flows.sent), before, strict=False)))
            until(lambda: connections.sent > before[3])
            host.sh("nft", "delete", "table", "inet", "gap")
        assert all((pings.lost, datagrams.lost, flows.lost, connections.lost))
