"""Containers with IPv6: both families, IPv6 alone, and what the kernel must not do by itself (issue: IPv6 inside containers)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import until

pytestmark = pytest.mark.kernel

SLEEP = ("busybox", "sleep", "100")


@pytest.fixture(autouse=True)
def networks(engine: Engine) -> Iterator[None]:
    """`dual` has both families, `six` IPv6 only, `four` IPv4 only."""
    engine.linkspan("network", "create", "--ipv6", "--subnet", "10.1.0.0/24", "--subnet", "fd00:1::/64", "dual")
    engine.linkspan("network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd00:2::/64", "six")
    engine.linkspan("network", "create", "--subnet", "10.3.0.0/24", "four")
    yield
    engine.remove_containers()
    engine.docker("network", "prune", "-f")


def inside(engine: Engine, *command: str, name: str = "box") -> str:
    return engine.host.sh("nsenter", f"--net=/proc/{engine.inspect(name)['State']['Pid']}/ns/net", *command)


def seat(engine: Engine, network: str, name: str = "box") -> dict[str, Any]:
    found: dict[str, Any] = engine.inspect(name)["NetworkSettings"]["Networks"][network]
    return found


def routes(engine: Engine) -> list[list[str]]:
    """By family, where the default route leads."""
    return [[line.split()[2] for line in inside(engine, "ip", family, "route", "show", "default").splitlines()] for family in ("-4", "-6")]


def test_both_families(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "dual", *SLEEP)
    found = seat(engine, "dual")
    assert (found["IPAddress"], found["GlobalIPv6Address"], found["GlobalIPv6PrefixLen"]) == ("10.1.0.2", "fd00:1::2", 64)
    assert (found["Gateway"], found["IPv6Gateway"]) == ("10.1.0.1", "fd00:1::1")
    assert routes(engine) == [["10.1.0.1"], ["fd00:1::1"]]
    assert "tentative" not in inside(engine, "ip", "-6", "addr", "show", "eth0"), "nothing waits for duplicate address detection"
    settings = {key: inside(engine, "cat", f"/proc/sys/net/ipv6/conf/eth0/{key}").strip() for key in ("accept_ra", "disable_ipv6")}
    assert settings == {"accept_ra": "0", "disable_ipv6": "0"}
    lines = [line.split() for line in engine.docker("exec", "box", "cat", "/etc/hosts").splitlines()]
    short = engine.inspect("box")["Id"][:12]
    assert [line[0] for line in lines if short in line] == ["10.1.0.2", "fd00:1::2"]
    assert ["::1", "localhost", "ip6-localhost", "ip6-loopback"] in lines
    assert "0% packet loss" in engine.docker("exec", "box", "ping", "-c", "1", "-W", "5", "fd00:1::1")


def test_ipv6_alone(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "six", *SLEEP)
    found = seat(engine, "six")
    assert (found["IPAddress"], found["Gateway"], found["GlobalIPv6Address"]) == ("", "", "fd00:2::2")
    assert routes(engine) == [[], ["fd00:2::1"]]
    assert inside(engine, "ip", "-4", "addr", "show", "eth0") == ""
    engine.docker("run", "-d", "--name", "other", "--network", "six", *SLEEP)
    assert "0% packet loss" in engine.docker("exec", "other", "ping", "-c", "1", "-W", "5", "fd00:2::2")


def test_an_interface_without_ipv6_addresses_has_none_at_all(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "four", *SLEEP)
    assert inside(engine, "ip", "-6", "addr", "show", "eth0") == ""
    assert seat(engine, "four")["GlobalIPv6Address"] == ""


def test_each_family_has_its_own_way_out(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "four", *SLEEP)
    engine.docker("network", "connect", "six", "box")
    assert routes(engine) == [["10.3.0.1"], ["fd00:2::1"]]
    engine.docker("network", "connect", "dual", "box")
    assert routes(engine) == [["10.1.0.1"], ["fd00:1::1"]], "a network of both families is preferred"
    engine.docker("network", "disconnect", "dual", "box")
    assert routes(engine) == [["10.3.0.1"], ["fd00:2::1"]]
    engine.docker("network", "disconnect", "six", "box")
    assert routes(engine) == [["10.3.0.1"], []]


def test_addresses_can_be_chosen_and_are_kept(engine: Engine) -> None:
    chosen = ("--ip6", "fd00:1::77", "--ip", "10.1.0.77")
    engine.docker("create", "--name", "box", "--network", "dual", *chosen, *SLEEP)
    engine.docker("create", "--name", "late", "--network", "dual", "--ip6", "fd00:1::77", *SLEEP)
    assert "Address already in use" in engine.refused("start", "late")
    engine.docker("start", "box")
    assert (seat(engine, "dual")["IPAddress"], seat(engine, "dual")["GlobalIPv6Address"]) == ("10.1.0.77", "fd00:1::77")
    assert seat(engine, "dual")["IPAMConfig"] == {"IPv4Address": "10.1.0.77", "IPv6Address": "fd00:1::77"}
    engine.docker("restart", "-t", "0", "box")
    assert seat(engine, "dual")["GlobalIPv6Address"] == "fd00:1::77"
    said = engine.refused("run", "--network", "four", "--ip6", "fd00:1::78", *SLEEP)
    assert "no configured subnet contains IP address fd00:1::78" in said


def test_what_is_lost_inside_is_mended_on_demand(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "dual", *SLEEP)
    inside(engine, "ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
    assert "lost its address fd00:1::2/64" in engine.try_linkspan("doctor").out
    engine.linkspan("doctor", "--repair")
    assert "fd00:1::2/64" in inside(engine, "ip", "-6", "addr", "show", "eth0")
    assert routes(engine) == [["10.1.0.1"], ["fd00:1::1"]]
    [link] = [line.split()[1].split("@")[0] for line in engine.host.sh("ip", "-o", "link").splitlines() if " veth" in line]
    engine.host.sh("ip", "link", "del", link)
    until(lambda: routes(engine) == [["10.1.0.1"], ["fd00:1::1"]], within=20, what="the interface is made anew")
    assert "fd00:1::2/64" in inside(engine, "ip", "-6", "addr", "show", "eth0")
