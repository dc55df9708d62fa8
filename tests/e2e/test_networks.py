"""User-defined networks by the real docker client: making, showing, removing (semantics 3.6, 3.7)."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel


def shown(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("network", "inspect", name))[0]
    return found


@pytest.fixture(autouse=True)
def no_networks(engine: Engine) -> Any:
    yield
    engine.remove_containers()
    engine.docker("network", "prune", "-f")


def test_a_network_is_made_shown_and_removed(engine: Engine) -> None:
    made = engine.docker("network", "create", "--label", "team=blue", "web")
    assert len(made) == 64
    found = shown(engine, "web")
    assert (found["Id"], found["Driver"], found["Scope"]) == (made, "bridge", "local")
    assert found["IPAM"]["Config"] == [{"Subnet": "172.18.0.0/24", "Gateway": "172.18.0.1"}]
    assert found["Labels"] == {"team": "blue"}
    assert "172.18.0.1/24" in engine.host.sh("ip", "-br", "addr", "show", f"br-{made[:12]}")
    assert engine.docker("network", "rm", "web") == "web"
    until(lambda: f"br-{made[:12]}" not in engine.host.sh("ip", "-br", "link"), what="the bridge is gone")
    assert "network web not found" in engine.refused("network", "inspect", "web")


def test_the_subnet_the_range_and_the_gateway_can_be_chosen(engine: Engine) -> None:
    flags = ("--subnet", "10.5.0.0/16", "--ip-range", "10.5.7.0/24", "--gateway", "10.5.0.254", "--aux-address", "router=10.5.7.1")
    engine.docker("network", "create", *flags, "web")
    config = {"Subnet": "10.5.0.0/16", "IPRange": "10.5.7.0/24", "Gateway": "10.5.0.254", "AuxiliaryAddresses": {"router": "10.5.7.1"}}
    assert shown(engine, "web")["IPAM"]["Config"] == [config]


def test_a_network_with_a_running_container_names_it(engine: Engine) -> None:
    engine.docker("network", "create", "web")
    engine.docker("run", "-d", "--name", "box", "--net=web", "busybox", "sleep", "100")
    said = engine.refused("network", "rm", "web")
    assert 'error while removing network: network web has active endpoints (name:"box" id:"' in said
    engine.docker("stop", "-t", "0", "box")
    assert engine.docker("network", "rm", "web") == "web"
    assert " not found" in engine.refused("start", "box")


def test_a_network_is_there_after_a_crash_and_after_a_reboot(engine: Engine) -> None:
    made = engine.docker("network", "create", "web")
    engine.kill()
    engine.host.sh("ip", "link", "del", f"br-{made[:12]}")
    engine.start()
    assert "172.18.0.1/24" in engine.host.sh("ip", "-br", "addr", "show", f"br-{made[:12]}")


def test_one_of_a_hundred_creates_with_one_name_wins(engine: Engine) -> None:
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: engine.api("POST", "/networks/create", {"Name": "one"})[0], range(100)))
    assert sorted(answers) == [201] + [409] * 99
    assert engine.docker("network", "ls", "-q", "--filter", "name=^one$").count("\n") == 0
    assert engine.host.sh("ip", "-br", "link").count("br-") == 1


def test_several_are_removed_in_turn_and_those_that_are_not_there_are_named(engine: Engine) -> None:
    for name in ("one", "two"):
        engine.docker("network", "create", name)
    done = engine.try_docker("network", "rm", "one", "nothing", "two")
    assert (done.status, done.out) == (1, "one\ntwo\n")
    assert "network nothing not found" in done.err
    assert engine.try_linkspan("network", "rm", "-f", "nothing").status == 0


def test_a_configuration_is_taken_up(engine: Engine) -> None:
    engine.docker("network", "create", "--config-only", "--subnet", "10.77.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "plan")
    engine.docker("network", "create", "--config-from", "plan", "web")
    found = shown(engine, "web")
    assert (found["IPAM"]["Config"], found["ConfigFrom"]) == ([{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.1"}], {"Network": "plan"})
    assert found["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert (shown(engine, "plan")["ConfigOnly"], shown(engine, "plan")["IPAM"]["Config"]) == (True, [{"Subnet": "10.77.0.0/24"}])
    engine.docker("network", "rm", "web", "plan")


def test_an_existing_bridge_is_used_and_left_as_it_was(engine: Engine) -> None:
    engine.host.sh("ip", "link", "add", "lan0", "type", "bridge")
    engine.host.sh("ip", "addr", "add", "10.50.0.9/24", "dev", "lan0")
    engine.docker(
        "network", "create", "--subnet", "10.50.0.0/24", "--gateway", "10.50.0.9", "-o", "com.docker.network.bridge.name=lan0", "lan"
    )
    address = engine.docker("run", "--rm", "--net=lan", "busybox", "ip", "-4", "-o", "addr", "show", "dev", "eth0")
    assert "10.50.0.1/24" in address
    engine.docker("network", "rm", "lan")
    assert "10.50.0.9/24" in engine.host.sh("ip", "addr", "show", "lan0")
    engine.host.sh("ip", "link", "del", "lan0")


def test_ipv6_subnets_are_chosen_of_the_engines_own_prefix(engine: Engine) -> None:
    subnets = []
    for name in ("one", "two"):
        engine.docker("network", "create", "--ipv6", name)
        subnets.append(shown(engine, name)["IPAM"]["Config"][1]["Subnet"])
    assert all(subnet.startswith("fd") and subnet.endswith("/64") for subnet in subnets)
    assert subnets[0] != subnets[1]
    assert ip_network(subnets[0]).supernet(new_prefix=48) == ip_network(subnets[1]).supernet(new_prefix=48)


def test_a_subnet_of_a_length(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "0.0.0.0/28", "small")
    assert shown(engine, "small")["IPAM"]["Config"] == [{"Subnet": "172.18.0.0/28", "Gateway": "172.18.0.1"}]


def test_routes_of_other_tables_and_name_servers_are_kept_clear_of(engine: Engine) -> None:
    engine.host.sh("ip", "route", "add", "172.18.0.0/23", "via", "10.99.0.2", "table", "51820")
    try:
        engine.docker("network", "create", "web")
        assert shown(engine, "web")["IPAM"]["Config"][0]["Subnet"] == "172.18.2.0/24"
    finally:
        engine.host.sh("ip", "route", "del", "172.18.0.0/23", "table", "51820")


def test_what_the_settings_say_of_pools(new_engine: Callable[..., Engine], host: Host) -> None:
    flags = ("--default-address-pool", "base=10.60.0.0/22,size=24", "--reserved-subnet", "10.60.0.0/24", "--mtu", "1450")
    engine = new_engine(*flags, "--default-network-opt", "bridge=com.docker.network.bridge.enable_icc=false")
    subnets = []
    for number in range(3):
        engine.docker("network", "create", f"net{number}")
        subnets.append(shown(engine, f"net{number}")["IPAM"]["Config"][0]["Subnet"])
    assert subnets == ["10.60.1.0/24", "10.60.2.0/24", "10.60.3.0/24"]
    assert "all predefined address pools have been fully subnetted" in engine.refused("network", "create", "more")
    assert shown(engine, "net0")["Options"] == {"com.docker.network.bridge.enable_icc": "false"}
    assert "mtu 1450" in host.sh("ip", "link", "show", "type", "bridge")
    engine.docker("network", "prune", "-f")


def test_usage_is_shown(engine: Engine) -> None:
    engine.docker(
        "network", "create", "--subnet", "10.70.0.0/24", "--ip-range", "10.70.0.128/28", "--aux-address", "nas=10.70.0.130", "web"
    )
    engine.docker("run", "-d", "--name", "box", "--net=web", "busybox", "sleep", "100")
    assert shown(engine, "web")["Status"] == {"IPAM": {"Subnets": {"10.70.0.0/24": {"IPsInUse": 5, "DynamicIPsAvailable": 13}}}}
    table = engine.linkspan("network", "ls", "--usage", "--filter", "name=web").splitlines()
    assert [line.split() for line in table] == [["NAME", "SUBNET", "IN", "USE", "FREE"], ["web", "10.70.0.0/24", "5", "13"]]


def test_filters_of_ls(engine: Engine) -> None:
    engine.docker("network", "create", "--label", "tier=back", "--label", "a=1", "web1")
    engine.docker("network", "create", "--label", "tier=front", "web2")
    engine.docker("run", "-d", "--net=web1", "busybox", "sleep", "100")

    def named(*filters: str) -> list[str]:
        flags = [word for given in filters for word in ("--filter", given)]
        return engine.docker("network", "ls", "--format", "{{.Name}}", *flags).split()

    assert named("name=web") == named("type=custom") == ["web1", "web2"]
    assert named("name=^web.$", "label=tier=back") == named("label=tier", "label=a=1") == ["web1"]
    assert named("name=web1", "name=web2") == ["web1", "web2"]
    assert named("dangling=true") == ["web2"]
    assert named("dangling=false") == ["bridge", "host", "none", "web1"]
    assert named("type=builtin") == ["bridge", "host", "none"]
    assert named("driver=null") == ["none"]
    assert named("scope=global") == []


def test_prune_takes_what_nobody_uses(engine: Engine) -> None:
    for name, label in (("used", "a"), ("kept", "keep"), ("gone", "a")):
        engine.docker("network", "create", "--label", label, name)
    engine.docker("run", "-d", "--net=used", "busybox", "sleep", "100")
    assert engine.docker("network", "prune", "-f", "--filter", "until=1h") == ""
    assert engine.docker("network", "prune", "-f", "--filter", "label!=keep").split() == ["Deleted", "Networks:", "gone"]


def test_events_tell_of_networks(engine: Engine) -> None:
    begin = str(time.time())
    made = engine.docker("network", "create", "web")
    engine.docker("network", "rm", "web")
    engine.docker("network", "create", "web")
    engine.docker("network", "prune", "-f")
    said = engine.docker(
        "events", "--since", begin, "--until", str(time.time() + 0.1), "--filter", "type=network", "--format", "{{json .}}"
    )
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["Action"] for event in events] == ["create", "destroy", "create", "destroy", "prune"]
    assert events[0]["Actor"] == {"ID": made, "Attributes": {"name": "web", "type": "bridge"}}


def test_a_network_is_changed_while_a_container_is_on_it(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "172.30.0.0/24", "--label", "a=1", "--label", "b=2", "web")
    for name in ("box", "other"):
        engine.docker("run", "-d", "--name", name, "--net=web", "busybox", "sleep", "100")
    flags = ("--subnet", "172.30.0.0/20", "--mtu", "1300", "--label", "c=3", "--label-rm", "a", "--dns", "192.0.2.53")
    engine.linkspan("network", "update", *flags, "web")
    found = shown(engine, "web")
    assert found["IPAM"]["Config"] == [{"Subnet": "172.30.0.0/20", "Gateway": "172.30.0.1"}]
    assert found["Labels"] == {"b": "2", "c": "3"}
    assert found["Options"]["linkspan.dns.servers"] == "192.0.2.53"
    inside = engine.docker("exec", "box", "ip", "addr", "show", "eth0")
    assert "172.30.0.2/20" in inside
    assert "172.30.0.2/24" not in inside
    assert "mtu 1300" in inside
    assert "default via 172.30.0.1" in engine.docker("exec", "box", "ip", "route")
    engine.docker("exec", "box", "ping", "-c1", "-W5", "172.30.0.1")
    engine.docker("exec", "box", "ping", "-c1", "-W5", "172.30.0.3")
    engine.docker("stop", "-t", "0", "box")
    engine.docker("start", "box")
    assert "172.30.0.2/20" in engine.docker("exec", "box", "ip", "addr", "show", "eth0")


def test_icc_is_switched_on_a_living_network(engine: Engine) -> None:
    engine.docker("network", "create", "web")
    for name in ("box", "other"):
        engine.docker("run", "-d", "--name", name, "--net=web", "busybox", "sleep", "100")

    def reached() -> bool:
        return engine.try_docker("exec", "box", "ping", "-c1", "-W1", "172.18.0.3").status == 0

    assert reached()
    engine.linkspan("network", "update", "--icc=false", "web")
    assert not reached()
    engine.linkspan("network", "update", "--icc", "web")
    assert reached()
    report = engine.api("GET", "/linkspan/doctor")[1]
    assert not [finding for finding in report["Findings"] if "br-" in finding["What"]]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--subnet", "172.18.0.0/25"), "the new subnet must contain the old one: 172.18.0.0/24 is not in 172.18.0.0/25"),
        (("--subnet", "fd00::/64"), "network web has no IPv6 subnet"),
        (("--subnet", "172.16.0.0/12"), "invalid pool request: Pool overlaps with other one on this address space"),
        (("--mtu", "60"), "invalid MTU number: 60"),
        (("--dns", "x"), "x"),
    ],
)
def test_updates_that_cannot_be(engine: Engine, flags: tuple[str, ...], said: str) -> None:
    engine.docker("network", "create", "web")
    before = shown(engine, "web")
    done = engine.try_linkspan("network", "update", *flags, "web")
    assert done.status == 1
    assert said in done.err
    assert shown(engine, "web") == before
    assert "pre-defined" in engine.try_linkspan("network", "update", "--mtu", "1400", "bridge").err


def test_a_route_that_comes_later_and_overlaps_is_told_in_the_log_and_by_doctor(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.44.0.0/24", "web")
    engine.host.sh("ip", "route", "add", "10.44.0.0/16", "via", "10.99.0.2", "table", "51820")
    try:
        sentence = "the route to 10.44.0.0/16 by eth0 overlaps the subnet 10.44.0.0/24 of network web"
        until(lambda: sentence in engine.log, what="the log warns")
        found = [finding["What"] for finding in engine.api("GET", "/linkspan/doctor")[1]["Findings"] if finding["Kind"] == "overlap"]
        assert len(found) == 1
        assert found[0].startswith("the route to 10.44.0.0/16 by eth0 overlaps the subnet 10.44.0.0/24 of br-")
    finally:
        engine.host.sh("ip", "route", "del", "10.44.0.0/16", "table", "51820")


def test_a_subnet_that_the_host_uses_is_taken_with_a_warning_if_it_is_asked_for(engine: Engine) -> None:
    done = engine.try_docker("network", "create", "--subnet", "10.99.0.128/25", "part")
    assert done.status == 0
    status, answer = engine.api("POST", "/networks/create", {"Name": "other", "IPAM": {"Config": [{"Subnet": "10.99.0.64/26"}]}})
    assert status == 201
    assert "the subnet 10.99.0.64/26 overlaps what this host uses already (10.99.0.0/24)" in answer["Warning"]


def test_a_crash_in_the_middle_leaves_no_network_half_made(engine: Engine) -> None:
    """Whenever the engine is killed: what the next one lists has its bridge, and every bridge belongs to what it lists."""

    def work(number: int) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the engine is killed meanwhile
            for turn in range(20):
                engine.api("POST", "/networks/create", {"Name": f"net{number}-{turn}"})
                if turn % 2:
                    engine.api("DELETE", f"/networks/net{number}-{turn}")

    for enough in (3, 17, 31):
        wanted = engine.log.count("network create") + enough
        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(work, number) for number in range(4)]
            until(lambda: engine.log.count("network create") >= wanted, what="some networks are made")  # noqa: B023  waited for here
            engine.kill()
            for each in done:
                each.result()
        engine.start()
        listed = {f"br-{identity}" for identity in engine.docker("network", "ls", "-q", "--filter", "type=custom").split()}
        until(lambda: _bridges(engine) == listed, what="bridges and networks agree")  # noqa: B023
        subnets = [shown(engine, identity.removeprefix("br-"))["IPAM"]["Config"][0]["Subnet"] for identity in sorted(listed)]
        assert len(set(subnets)) == len(subnets)
        engine.docker("network", "prune", "-f")


def _bridges(engine: Engine) -> set[str]:
    return {
        line.split()[0] for line in engine.host.sh("ip", "-br", "link", "show", "type", "bridge").splitlines() if line.startswith("br-")
    }
