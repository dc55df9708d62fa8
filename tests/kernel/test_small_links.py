"""Connections through links smaller than their ends: both ends are told the size at the start (TCP's MSS option)."""

import json
from collections.abc import Iterator

import pytest

from linkspan.model.network import IPAddress
from tests.hosts import Host
from tests.lans import OUTSIDE, OUTSIDE6, UPLINK, UPLINK6, Box, Lans, ask

pytestmark = pytest.mark.kernel

HEADERS = {4: 40, 6: 60}
"""Bytes of IP and TCP."""
COUNTING = """
table inet t {
	set sizes { typeof tcp option maxseg size; flags dynamic; }
	chain c { type filter hook input priority 0; tcp flags & syn == syn add @sizes { tcp option maxseg size }; }
}
"""


@pytest.fixture(scope="module")
def lans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lans]:
    with Lans(tmp_path_factory.mktemp("s")) as made:
        made.serve(made.outside, "outside", 9000)
        yield made


@pytest.fixture(scope="module")
def box(lans: Lans) -> Box:
    made = lans.box("box", lans.network("a"))
    lans.serve(made.machine, "box", 80)
    lans.publish(made, 80, at=8080)
    return made


def told(machine: Host, caller: Host, address: IPAddress, port: int) -> int:
    """The size of segments that a machine is told while `caller` calls."""
    machine.sh("nft", "-f", "-", stdin=COUNTING)
    try:
        assert ask(caller, address, port)
        text = machine.sh("nft", "-j", "list", "set", "inet", "t", "sizes")
    finally:
        machine.sh("nft", "delete", "table", "inet", "t")
    (size,) = next(entry["set"] for entry in json.loads(text)["nftables"] if "set" in entry)["elem"]
    return int(size)


@pytest.mark.parametrize("version", [4, 6])
def test_behind_a_smaller_way_out(lans: Lans, box: Box, version: int) -> None:
    outside, published = ((OUTSIDE, UPLINK), (OUTSIDE6, UPLINK6))[version == 6]
    lans.host.sh("ip", "link", "set", "eth0", "mtu", "1400")
    try:
        assert told(lans.outside, box.machine, outside, 9000) == 1400 - HEADERS[version], "who calls"
        assert told(lans.outside, lans.outside, published, 8080) == 1400 - HEADERS[version], "who is called"
    finally:
        lans.host.sh("ip", "link", "set", "eth0", "mtu", "1500")


@pytest.mark.parametrize("version", [4, 6])
def test_into_a_smaller_network(lans: Lans, box: Box, version: int) -> None:
    published = (UPLINK, UPLINK6)[version == 6]
    lans.host.sh("ip", "link", "set", box.network.bridge, "mtu", "1300")
    try:
        assert told(box.machine, lans.outside, published, 8080) == 1300 - HEADERS[version]
    finally:
        lans.host.sh("ip", "link", "set", box.network.bridge, "mtu", "1500")
