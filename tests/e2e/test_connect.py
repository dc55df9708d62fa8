"""Containers on several networks: connected and disconnected while they run or not, by the real docker client (semantics 3.5, 3.10)."""

import json
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

SLEEP = ("busybox", "sleep", "100")
SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
TO_HOST = "cannot connect container to host network - container must be created in host network mode"
FROM_HOST = "cannot disconnect container from host network - container was created in host network mode"
PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


@pytest.fixture(autouse=True)
def networks(engine: Engine) -> Iterator[None]:
    """Two networks, `one` and `two`, and nothing afterwards."""
    engine.docker("network", "create", "--subnet", "10.1.0.0/24", "one")
    engine.docker("network", "create", "--subnet", "10.2.0.0/24", "two")
    yield
    engine.remove_containers()
    engine.docker("network", "prune", "-f")


def seats(engine: Engine, name: str = "box") -> dict[str, Any]:
    found: dict[str, Any] = engine.inspect(name)["NetworkSettings"]["Networks"]
    return found


def inside(engine: Engine, *command: str, name: str = "box") -> str:
    """Run a program of the host in the container's namespace."""
    return engine.host.sh("nsenter", f"--net=/proc/{engine.inspect(name)['State']['Pid']}/ns/net", *command)


def addresses(engine: Engine, name: str = "box") -> dict[str, str]:
    """The container's IPv4 addresses by interface, as it sees them itself."""
    lines = inside(engine, "ip", "-4", "-o", "addr", name=name).splitlines()
    return {line.split()[1]: line.split()[3] for line in lines if line.split()[1] != "lo"}


def default_route(engine: Engine, name: str = "box") -> list[str]:
    return [line.split()[2] for line in inside(engine, "ip", "route", "show", "default", name=name).splitlines()]


def hosts(engine: Engine, name: str = "box") -> list[str]:
    """The addresses of the container's own lines in its /etc/hosts."""
    short = engine.inspect(name)["Id"][:12]
    return [line.split()[0] for line in engine.docker("exec", name, "cat", "/etc/hosts").splitlines() if short in line.split()]


def test_interfaces_come_in_the_order_in_which_networks_were_asked_for(engine: Engine) -> None:
    engine.linkspan("run", "-d", "--name", "box", "--network", "two", "--network", "one", *SLEEP)
    assert addresses(engine) == {"eth0": "10.2.0.2/24", "eth1": "10.1.0.2/24"}
    assert list(seats(engine)) == ["two", "one"]
    assert default_route(engine) == ["10.1.0.1"], "of equals, the first name leads"
    assert hosts(engine) == ["10.2.0.2", "10.1.0.2"]


def test_the_default_route_follows_what_is_connected(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "two", *SLEEP)
    assert default_route(engine) == ["10.2.0.1"]
    engine.docker("network", "connect", "one", "box")
    assert (addresses(engine), default_route(engine)) == ({"eth0": "10.2.0.2/24", "eth1": "10.1.0.2/24"}, ["10.1.0.1"])
    assert hosts(engine) == ["10.2.0.2", "10.1.0.2"]
    engine.docker("network", "disconnect", "one", "box")
    assert (addresses(engine), default_route(engine)) == ({"eth0": "10.2.0.2/24"}, ["10.2.0.1"])
    assert hosts(engine) == ["10.2.0.2"]
    engine.docker("network", "disconnect", "two", "box")
    assert (addresses(engine), default_route(engine), seats(engine), hosts(engine)) == ({}, [], {}, [])
    engine.docker("network", "connect", "bridge", "box")
    assert default_route(engine) == ["172.17.0.1"]
    assert list(addresses(engine)) == ["eth0"]


def test_a_container_is_as_it_was_connected_after_a_restart(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "one", *SLEEP)
    engine.docker("network", "connect", "--ip", "10.2.0.77", "two", "box")
    engine.docker("network", "disconnect", "one", "box")
    before = seats(engine)["two"]
    assert addresses(engine) == {"eth1": "10.2.0.77/24"}
    engine.docker("restart", "-t", "0", "box")
    assert addresses(engine) == {"eth0": "10.2.0.77/24"}
    after = seats(engine)["two"]
    assert (after["MacAddress"], after["EndpointID"]) == (before["MacAddress"], before["EndpointID"])


def test_the_priority_says_by_which_network_the_default_route_goes(engine: Engine) -> None:
    engine.docker("network", "create", "--internal", "--subnet", "10.3.0.0/24", "closed")
    engine.linkspan("run", "-d", "--name", "box", "--network", "closed", *SLEEP)
    assert default_route(engine) == []
    engine.linkspan("network", "connect", "two", "box")
    assert default_route(engine) == ["10.2.0.1"]
    engine.linkspan("network", "connect", "one", "box")
    assert default_route(engine) == ["10.1.0.1"]
    engine.linkspan("network", "disconnect", "two", "box")
    engine.linkspan("network", "connect", "--gw-priority", "1", "two", "box")
    assert default_route(engine) == ["10.2.0.1"]
    assert (seats(engine)["two"]["GwPriority"], seats(engine)["closed"]["Gateway"]) == (1, "")


def test_published_ports_move_with_the_default_route(engine: Engine, neighbour: Host) -> None:
    engine.serve("box", "--network", "two", "-p", "8080:80")
    assert neighbour.ask_http(HOST_ADDRESS, 8080).endswith(b"box\n")
    engine.docker("network", "connect", "one", "box")
    assert b"box" in neighbour.ask_http(HOST_ADDRESS, 8080)
    assert "10.1.0.2 . 80" in engine.host.sh("nft", "list", "map", "inet", "linkspan", "published-anywhere")
    engine.docker("network", "disconnect", "one", "box")
    assert b"box" in neighbour.ask_http(HOST_ADDRESS, 8080)
    engine.docker("network", "disconnect", "two", "box")
    assert not neighbour.reaches(HOST_ADDRESS, 8080)
    engine.docker("network", "connect", "one", "box")
    assert b"box" in neighbour.ask_http(HOST_ADDRESS, 8080)


def test_events_tell_of_it(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "one", *SLEEP)
    engine.docker("network", "connect", "two", "box")
    engine.docker("network", "disconnect", "two", "box")
    lines = engine.docker(
        "events", "--since", "100s", "--until", str(int(time.time()) + 1), "--filter", "type=network", "--format", "{{json .}}"
    )
    told = [json.loads(line) for line in lines.splitlines()]
    attributes = {"container": engine.inspect("box")["Id"], "name": "two", "type": "bridge"}
    assert [event["Action"] for event in told if event["Actor"]["Attributes"] == attributes] == ["connect", "disconnect"]


# The matrix of semantics 3.5: mode by running or not. None: it is done.
CONNECTED: dict[str, dict[str, str | None]] = {
    "bridge": {"one": None, "host": TO_HOST, "none": PRIVATE},
    "one": {"two": None, "bridge": None, "host": TO_HOST, "none": PRIVATE},
    "host": {"one": SHARED, "bridge": SHARED, "none": SHARED},
    "none": {"one": PRIVATE, "bridge": PRIVATE, "host": TO_HOST},
    "container:target": {"one": SHARED, "bridge": SHARED, "host": SHARED, "none": SHARED},
}


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("mode", CONNECTED)
def test_what_can_be_connected_to_what(engine: Engine, mode: str, running: bool) -> None:
    engine.docker("run", "-d", "--name", "target", *SLEEP)
    box = engine.docker("run" if running else "create", *(["-d"] if running else []), "--name", "box", f"--net={mode}", *SLEEP)
    for network, refusal in CONNECTED[mode].items():
        status, body = engine.api("POST", f"/networks/{network}/connect", {"Container": "box"})
        assert (status, body and body["message"]) == ((200, "") if refusal is None else (400, refusal)), network
    before = seats(engine)
    status, body = engine.api("POST", f"/networks/{mode}/connect", {"Container": "box"})
    if not mode.startswith("container"):
        again = f"endpoint with name box already exists in network {mode}"
        assert (status, body and body["message"]) == ((403, again) if running else (200, ""))
    assert seats(engine) == before
    assert engine.api("POST", "/networks/absent/disconnect", {"Container": "box"}) == (
        (404, {"message": "network absent not found"})
        if running
        else (500, {"message": f"container {box} is not connected to the network absent"})
    )


DISCONNECTED = ["bridge", "one", "host", "none", "container:target"]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("mode", DISCONNECTED)
def test_what_can_be_disconnected_from_what(engine: Engine, mode: str, running: bool) -> None:
    engine.docker("run", "-d", "--name", "target", *SLEEP)
    box = engine.docker("run" if running else "create", *(["-d"] if running else []), "--name", "box", f"--net={mode}", *SLEEP)

    def disconnect(network: str) -> tuple[int, str]:
        status, body = engine.api("POST", f"/networks/{network}/disconnect", {"Container": "box"})
        return status, body and body["message"]

    absent = f"container {box} is not connected to {'' if running else 'the '}network two"
    assert disconnect("two") == (500, absent)
    if mode.startswith("container"):
        return
    if mode == "host" and running:
        assert disconnect("host") == (400, FROM_HOST)
        return
    assert disconnect(mode) == (200, "")
    assert seats(engine) == {}
    assert disconnect(mode)[0] == 500
    if mode == "none":  # the way from none to a network
        engine.docker("network", "connect", "one", "box")
        if not running:
            engine.docker("start", "box")
        assert addresses(engine) == {"eth0": "10.1.0.2/24"}


def test_what_is_not_there_is_said_in_dockers_order(engine: Engine) -> None:
    assert engine.api("POST", "/networks/absent/connect", {"Container": "nobody"}) == (404, {"message": "No such container: nobody"})
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert engine.api("POST", "/networks/absent/connect", {"Container": "box"}) == (404, {"message": "network absent not found"})
    assert "network absent not found" in engine.refused("network", "disconnect", "-f", "absent", "nobody")
    assert "endpoint nobody not found" in engine.refused("network", "disconnect", "-f", "one", "nobody")


def test_an_unknown_network_is_noted_and_refuses_the_start(engine: Engine) -> None:
    engine.docker("create", "--name", "box", *SLEEP)
    engine.docker("network", "connect", "later", "box")
    said = engine.refused("start", "box")
    assert "failed to set up container networking: network later not found" in said
    engine.docker("network", "create", "--subnet", "10.9.0.0/24", "later")
    engine.docker("start", "box")
    assert addresses(engine)["eth1"] == "10.9.0.2/24"
    engine.docker("stop", "-t", "0", "box")
    engine.docker("network", "rm", "later")
    assert "network later not found" in engine.refused("start", "box")
    engine.docker("network", "disconnect", "-f", "later", "box")
    engine.docker("start", "box")
    assert list(addresses(engine)) == ["eth0"]


def test_static_addresses_are_checked_and_kept(engine: Engine) -> None:
    engine.docker("create", "--name", "fixed", "--network", "one", "--ip", "10.1.0.2", *SLEEP)
    engine.docker("run", "-d", "--name", "box", "--network", "one", *SLEEP)
    assert addresses(engine) == {"eth0": "10.1.0.3/24"}, "the address of a container that never ran is not given away"
    status, body = engine.api(
        "POST", "/networks/two/connect", {"Container": "box", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.1.0.9"}}}
    )
    assert (status, body["message"]) == (400, "invalid endpoint settings:\nno configured subnet contains IP address 10.1.0.9")
    said = engine.refused("run", "--network", "one", "--ip", "10.2.0.9", *SLEEP)
    assert "invalid config for network one: invalid endpoint settings:\nno configured subnet contains IP address 10.2.0.9" in said
    assert "user-specified IP address is supported on user-defined networks only" in engine.refused("run", "--ip", "172.17.0.9", *SLEEP)
    for taken in ("10.1.0.2", "10.1.0.1", "10.1.0.255"):
        engine.docker("create", "--name", "late", "--network", "one", "--ip", taken, *SLEEP)
        assert "Address already in use" in engine.refused("start", "late")
        engine.docker("rm", "late")
    engine.docker("start", "fixed")
    assert addresses(engine, "fixed") == {"eth0": "10.1.0.2/24"}
    assert seats(engine, "fixed")["one"]["IPAMConfig"] == {"IPv4Address": "10.1.0.2"}


def test_of_a_hundred_that_want_one_address_one_gets_it(engine: Engine) -> None:
    names = [f"box{number}" for number in range(20)]
    for name in names:
        engine.api("POST", f"/containers/create?name={name}", {
            "Image": "busybox", "Cmd": ["sleep", "100"], "HostConfig": {"NetworkMode": "one"},
            "NetworkingConfig": {"EndpointsConfig": {"one": {"IPAMConfig": {"IPv4Address": "10.1.0.50"}}}},
        })  # fmt: skip
    done = engine.try_docker("start", *names)
    started = done.out.split()
    assert len(started) == 1
    assert done.err.count("Address already in use") == len(names) - 1
    assert addresses(engine, started[0]) == {"eth0": "10.1.0.50/24"}


def test_settings_of_an_endpoint_reach_its_interface(engine: Engine) -> None:
    options = (
        "driver-opt=com.docker.network.endpoint.ifname=left0",
        "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1",
        "mac-address=02:00:00:00:00:77",
        "link-local-ip=169.254.7.7",
        "alias=web",
        "ip=10.1.0.40",
    )
    engine.linkspan("run", "-d", "--name", "box", "--network", f"name=one,{','.join(options)}", "--network", "two", *SLEEP)
    assert inside(engine, "cat", "/proc/sys/net/ipv4/conf/left0/log_martians") == "1\n"
    shown = inside(engine, "ip", "addr", "show", "left0")
    assert all(text in shown for text in ("02:00:00:00:00:77", "inet 10.1.0.40/24", "inet 169.254.7.7/16"))
    assert addresses(engine)["eth0"] == "10.2.0.2/24"
    seat = seats(engine)["one"]
    assert seat["IPAMConfig"] == {"IPv4Address": "10.1.0.40", "LinkLocalIPs": ["169.254.7.7"]}
    assert (seat["Aliases"], seat["MacAddress"]) == (["web"], "02:00:00:00:00:77")
    assert seat["DNSNames"][:2] == ["box", "web"]
    said = engine.try_linkspan(
        "run", "--network", "name=one,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.eth0.forwarding=1", *SLEEP
    ).err
    assert "unrecognised network interface sysctl 'net.ipv4.conf.eth0.forwarding=1'" in said


def test_networks_reach_their_own_members(engine: Engine) -> None:
    engine.serve("web", "--network", "one")
    engine.docker("run", "-d", "--name", "box", "--network", "two", *SLEEP)
    web = seats(engine, "web")["one"]["IPAddress"]
    assert not engine.inside("box").reaches(web, 80)
    engine.docker("network", "connect", "one", "box")
    assert engine.page(f"http://{web}/", container="box") == "web"
    engine.docker("network", "disconnect", "one", "box")
    assert not engine.inside("box").reaches(web, 80)


def test_what_was_connected_is_there_after_a_kill_of_the_engine(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "two", *SLEEP)
    engine.docker("network", "connect", "one", "box")
    engine.kill()
    engine.start()
    assert addresses(engine) == {"eth0": "10.2.0.2/24", "eth1": "10.1.0.2/24"}
    assert default_route(engine) == ["10.1.0.1"]
    engine.docker("network", "disconnect", "one", "box")
    engine.kill()
    engine.start()
    assert addresses(engine) == {"eth0": "10.2.0.2/24"}
    assert [found for found in engine.api("GET", "/linkspan/doctor")[1]["Findings"] if found["Repairable"]] == []


def test_filters_and_members_know_all_networks(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "one", *SLEEP)
    engine.docker("network", "connect", "two", "box")
    for network in ("one", "two"):
        assert engine.docker("ps", "-q", "--filter", f"network={network}")
        [members] = [found["Containers"] for found in json.loads(engine.docker("network", "inspect", network))]
        [member] = members.values()
        assert member["Name"] == "box"
        assert ip_address(member["IPv4Address"].split("/")[0]) in ip_network("10.1.0.0/24" if network == "one" else "10.2.0.0/24")


def test_what_others_break_on_the_second_interface_is_mended(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--network", "one", *SLEEP)
    engine.docker("network", "connect", "two", "box")
    before = (addresses(engine), default_route(engine))
    links = [line.split()[1].split("@")[0] for line in engine.host.sh("ip", "-o", "link").splitlines() if " veth" in line]
    assert len(links) == 2
    for link in links:
        engine.host.sh("ip", "link", "del", link)
        until(lambda: (addresses(engine), default_route(engine)) == before, within=20, what=f"{link} is made anew")


def test_names_follow_what_is_connected(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "db", "--network", "one", *SLEEP)
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert "127.0.0.11" not in engine.docker("exec", "box", "cat", "/etc/resolv.conf")
    engine.docker("network", "connect", "--alias", "asker", "one", "box")
    assert "nameserver 127.0.0.11" in engine.docker("exec", "box", "cat", "/etc/resolv.conf")
    assert "10.1.0.2" in engine.docker("exec", "box", "nslookup", "db", "127.0.0.11")
    assert seats(engine)["one"]["IPAddress"] in engine.docker("exec", "db", "nslookup", "asker", "127.0.0.11")
    engine.docker("network", "disconnect", "one", "box")
    assert engine.try_docker("exec", "db", "nslookup", "asker.one", "127.0.0.11").status != 0


def test_members_of_a_namespace_see_what_its_container_is_connected_to(engine: Engine) -> None:
    target = engine.docker("run", "-d", "--name", "target", "--network", "one", *SLEEP)
    engine.docker("run", "-d", "--name", "box", "--network", "container:target", *SLEEP)
    engine.docker("network", "connect", "two", "target")
    assert addresses(engine) == {"eth0": "10.1.0.2/24", "eth1": "10.2.0.2/24"}
    engine.docker("stop", "-t", "0", "target")
    engine.docker("network", "disconnect", "one", "target")
    assert (addresses(engine), default_route(engine)) == ({"eth1": "10.2.0.2/24"}, ["10.2.0.1"]), "it is wired as long as somebody is in it"
    engine.docker("network", "connect", "one", "target")
    assert default_route(engine) == ["10.1.0.1"]
    engine.docker("start", "target")
    assert addresses(engine) == addresses(engine, "target") == {"eth0": "10.1.0.3/24", "eth1": "10.2.0.2/24"}
    engine.docker("rm", "-f", "target")
    assert sorted(addresses(engine)) == ["eth0", "eth1"]
    engine.docker("network", "disconnect", "-f", "two", target)
    assert list(addresses(engine)) == ["eth0"]
    assert "endpoint target not found" in engine.refused("network", "disconnect", "-f", "two", "target")


def test_a_dozen_networks(engine: Engine) -> None:
    names = [f"net{number}" for number in range(12)]
    for name in names:
        engine.docker("network", "create", name)
    engine.linkspan("run", "-d", "--name", "box", *(word for name in names for word in ("--network", name)), *SLEEP)
    assert list(addresses(engine)) == [f"eth{number}" for number in range(12)]
    assert list(seats(engine)) == names


def test_a_network_that_gives_no_addresses(engine: Engine) -> None:
    engine.docker("network", "create", "--ipam-driver", "none", "bare")
    engine.docker("run", "-d", "--name", "box", "--network", "bare", *SLEEP)
    assert (addresses(engine), default_route(engine), hosts(engine)) == ({}, [], [])
    assert "eth0" in inside(engine, "ip", "-br", "link")
    engine.docker("network", "connect", "one", "box")
    assert (addresses(engine), default_route(engine)) == ({"eth1": "10.1.0.2/24"}, ["10.1.0.1"])


def test_ports_of_a_container_that_started_without_a_way_out(engine: Engine, neighbour: Host) -> None:
    engine.docker("network", "create", "--internal", "--subnet", "10.4.0.0/24", "closed")
    engine.serve("box", "--network", "closed", "-p", "8080:80")
    assert engine.inspect("box")["NetworkSettings"]["Ports"]["80/tcp"] is None
    engine.docker("network", "connect", "one", "box")
    assert b"box" in neighbour.ask_http(HOST_ADDRESS, 8080)
    assert engine.inspect("box")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == "8080"
    assert "port is already allocated" in engine.refused("run", "-p", "8080:80", *SLEEP)
    engine.kill()
    engine.start()
    assert b"box" in neighbour.ask_http(HOST_ADDRESS, 8080)
