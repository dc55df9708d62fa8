"""The MTU of networks: that of the host's ways out unless somebody has chosen one, also when they change."""

import json
from collections.abc import Callable

import pytest

from tests.engines import Engine
from tests.hosts import OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

OPTION = "com.docker.network.driver.mtu"


def shown(engine: Engine, network: str) -> str:
    """What `network inspect` says."""
    return str(json.loads(engine.docker("network", "inspect", network))[0]["Options"][OPTION])


def of(engine: Engine, interface: str, *where: str) -> int:
    return int(json.loads(engine.host.sh(*where, "ip", "-j", "link", "show", interface))[0]["mtu"])


def inside(engine: Engine, name: str) -> int:
    return int(engine.docker("exec", name, "cat", "/sys/class/net/eth0/mtu"))


@pytest.fixture
def narrow(host: Host, outside: Host, new_engine: Callable[..., Engine]) -> Engine:
    """An engine on a host whose way out has an MTU of 1400."""
    for machine in (host, outside):
        machine.sh("ip", "link", "set", "eth0", "mtu", "1400")
    host.sh("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS)
    return new_engine()


def test_networks_have_the_mtu_of_the_way_out_and_follow_it(narrow: Engine) -> None:
    narrow.docker("network", "create", "net")
    narrow.docker("network", "create", "-o", f"{OPTION}=1450", "own")
    narrow.docker("run", "-d", "--name", "box", "busybox", "sleep", "300")
    assert [shown(narrow, network) for network in ("bridge", "net", "own")] == ["1400", "1400", "1450"]
    assert (of(narrow, "docker0"), inside(narrow, "box")) == (1400, 1400)

    for mtu in (1300, 9000):
        narrow.host.sh("ip", "link", "set", "eth0", "mtu", str(mtu))
        until(lambda: shown(narrow, "net") == str(mtu), what="the network has followed")  # noqa: B023  called at once
        until(lambda: (of(narrow, "docker0"), inside(narrow, "box")) == (mtu, mtu), what="its interfaces too")  # noqa: B023
        assert [shown(narrow, network) for network in ("bridge", "own")] == [str(mtu), "1450"]
    narrow.docker("run", "-d", "--name", "late", "busybox", "sleep", "300")
    assert inside(narrow, "late") == 9000


def test_a_new_way_out_is_followed_also_by_the_next_engine(narrow: Engine) -> None:
    narrow.host.sh("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS, "metric", "7", "mtu", "1350")
    until(lambda: shown(narrow, "bridge") == "1350", what="the network has followed")
    narrow.stop()
    narrow.host.sh("ip", "route", "del", "default", "metric", "7")
    narrow.start()
    assert shown(narrow, "bridge") == "1400"


def test_who_has_chosen_one_keeps_it(host: Host, outside: Host, new_engine: Callable[..., Engine]) -> None:
    host.sh("ip", "link", "set", "eth0", "mtu", "1400")
    host.sh("ip", "route", "add", "default", "via", OUTSIDE_ADDRESS)
    engine = new_engine("--mtu", "1450")
    engine.docker("network", "create", "net")
    assert shown(engine, "bridge") == "1450"
    assert of(engine, f"br-{engine.docker('network', 'inspect', '-f', '{{.Id}}', 'net')[:12]}") == 1450


def test_connections_through_a_smaller_link_are_told_its_size(narrow: Engine, outside: Host) -> None:
    """Nobody fragments and nobody says that packets are too big: large answers arrive because both ends were told at the start."""
    narrow.host.sh("ip", "link", "set", "docker0", "mtu", "1500")
    seen = segments(narrow, outside)
    assert seen
    assert max(seen) <= 1360


def segments(engine: Engine, outside: Host) -> list[int]:
    """The sizes of segment that a container announces to the outside."""
    outside.sh("nft", "-f", "-", stdin=COUNTING)
    engine.docker("run", "--rm", "busybox", "sh", "-c", f"ip link set eth0 mtu 1500; nc -w1 {OUTSIDE_ADDRESS} 9 </dev/null; true")
    text = outside.sh("nft", "-j", "list", "set", "inet", "t", "sizes")
    listed = next(entry["set"] for entry in json.loads(text)["nftables"] if "set" in entry)
    return [int(element) for element in listed.get("elem", [])]


COUNTING = """
table inet t {
    set sizes { typeof tcp option maxseg size; flags dynamic; }
    chain c { type filter hook input priority 0; tcp flags syn add @sizes { tcp option maxseg size }; }
}
"""
