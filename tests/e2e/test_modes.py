"""The four network modes in detail, and their conflicts in Docker's words (semantics 3.2, 3.3)."""

import os
from collections.abc import Callable

import pytest

from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

SLEEP = ("busybox", "sleep", "100")


def namespace(engine: Engine, name: str) -> str:
    return os.readlink(f"/proc/{engine.inspect(name)['State']['Pid']}/ns/net")


def test_default_is_another_word_for_bridge(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--net=default", *SLEEP)
    assert engine.address("box").startswith("172.17.0.")


def test_a_predefined_network_can_be_named_by_its_id(engine: Engine) -> None:
    ids = dict(line.split() for line in engine.docker("network", "ls", "--format", "{{.Name}} {{.ID}}").splitlines())
    for name, network_id in ids.items():
        engine.docker("run", "--rm", f"--net={network_id}", "busybox", "true")
        assert engine.inspect(engine.docker("create", f"--net={network_id}", *SLEEP))["HostConfig"]["NetworkMode"] == name


def test_the_mac_address_can_be_chosen(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--mac-address", "02:42:ac:11:00:99", *SLEEP)
    assert "02:42:ac:11:00:99" in engine.docker("exec", "box", "ip", "link", "show", "eth0")
    assert engine.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == "02:42:ac:11:00:99"


def test_an_address_keeps_to_its_container(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    before, mac = engine.address("box"), engine.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["MacAddress"]
    engine.docker("stop", "-t", "0", "box")
    engine.docker("run", "-d", "--name", "other", *SLEEP)
    assert engine.address("other") != before
    engine.docker("start", "box")
    assert engine.address("box") == before
    assert engine.inspect("box")["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == mac


def test_host_mode_changes_nothing_in_the_host(engine: Engine) -> None:
    def state() -> tuple[str, str]:
        return engine.host.sh("ip", "-o", "-4", "addr"), engine.host.sh(
            "sysctl", "-a", "--pattern", "ip_unprivileged_port_start|ping_group"
        )

    before = state()
    engine.docker("run", "-d", "--name", "box", "--net=host", *SLEEP)
    assert namespace(engine, "box") == engine.host.run(lambda: os.readlink("/proc/thread-self/ns/net"))
    assert engine.docker("exec", "box", "hostname") == os.uname().nodename
    assert engine.inspect("box")["NetworkSettings"]["Networks"]["host"]["IPAddress"] == ""
    assert state() == before
    engine.docker("rm", "-f", "box")
    assert state() == before


def test_host_mode_discards_published_ports_with_a_warning(engine: Engine) -> None:
    done = engine.try_docker("run", "-d", "--name", "box", "--net=host", "-p", "8080:80", *SLEEP)
    assert done.status == 0
    assert "Published ports are discarded when using host network mode" in done.err
    assert engine.docker("port", "box") == ""


def test_host_mode_may_have_a_hostname_of_its_own(engine: Engine) -> None:
    assert engine.docker("run", "--rm", "--net=host", "-h", "other", "busybox", "hostname") == "other"


def test_container_mode_shares_names_and_files(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-h", "site", "--dns", "192.0.2.1", "--add-host", "db:192.0.2.9", *SLEEP)
    engine.docker("run", "-d", "--name", "side", "--net=container:web", *SLEEP)
    assert namespace(engine, "side") == namespace(engine, "web")
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert engine.docker("exec", "side", "cat", path) == engine.docker("exec", "web", "cat", path)
    assert engine.docker("exec", "side", "hostname") == "site"
    engine.docker("exec", "web", "sh", "-c", "echo 192.0.2.7 added >>/etc/hosts")
    assert "added" in engine.docker("exec", "side", "cat", "/etc/hosts")
    for kind in ("pid", "mnt", "ipc", "uts"):
        pids = [engine.inspect(name)["State"]["Pid"] for name in ("web", "side")]
        assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == 2, kind
    assert engine.inspect("side")["NetworkSettings"]["Networks"] == {}


@pytest.mark.parametrize("mode", ["host", "none"])
def test_container_mode_joins_any_mode(engine: Engine, mode: str) -> None:
    engine.docker("run", "-d", "--name", "target", f"--net={mode}", *SLEEP)
    engine.docker("run", "-d", "--name", "side", "--net=container:target", *SLEEP)
    assert namespace(engine, "side") == namespace(engine, "target")
    engine.docker("run", "-d", "--name", "third", "--net=container:side", *SLEEP)
    assert namespace(engine, "third") == namespace(engine, "target")


def test_members_keep_their_network_when_the_target_stops(engine: Engine, neighbour: Host) -> None:
    """In Docker they are cut off until they restart too."""
    engine.serve("web", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "side", "--net=container:web", *SLEEP)
    address, before = engine.address("web"), namespace(engine, "side")
    engine.docker("stop", "-t", "0", "web")
    assert address in engine.docker("exec", "side", "ip", "addr", "show", "eth0")
    with neighbour.answering("0.0.0.0", 9000, b"hello"):
        assert engine.docker("exec", "side", "timeout", "5", "nc", OUTSIDE_ADDRESS, "9000") == "hello"
    engine.docker("start", "web")
    engine.wait_listening("web", 80)
    assert namespace(engine, "web") == before
    assert engine.address("web") == address
    assert b"web" in neighbour.ask_http(HOST_ADDRESS, 8080)
    assert engine.docker("exec", "side", "timeout", "5", "wget", "-qO-", "127.0.0.1") == "web"


def test_members_keep_their_network_when_the_target_is_removed(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", *SLEEP)
    engine.docker("run", "-d", "--name", "side", "--net=container:web", *SLEEP)
    address = engine.address("web")
    engine.docker("rm", "-f", "web")
    assert address in engine.docker("exec", "side", "ip", "addr", "show", "eth0")
    engine.docker("run", "-d", "--name", "other", *SLEEP)
    assert engine.address("other") != address
    engine.docker("rm", "-f", "side")
    until(lambda: "veth" not in engine.host.sh("ip", "link", "show", "type", "veth").replace(veth(engine, "other"), ""))


def veth(engine: Engine, name: str) -> str:
    """The host end of a container's interface."""
    index = engine.docker("exec", name, "cat", "/sys/class/net/eth0/iflink")
    return next(
        line.split(": ")[1].partition("@")[0] for line in engine.host.sh("ip", "-o", "link").splitlines() if line.startswith(f"{index}: ")
    )


def test_renaming_the_target_keeps_the_join(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", *SLEEP)
    engine.docker("create", "--name", "side", "--net=container:web", *SLEEP)
    engine.docker("rename", "web", "site")
    engine.docker("start", "side")
    assert namespace(engine, "side") == namespace(engine, "site")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--hostname", "x"], "conflicting options: hostname and the network mode"),
        (
            ["--link", "target"],
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (["--dns", "192.0.2.1"], "conflicting options: dns and the network mode"),
        (["--add-host", "a:192.0.2.1"], "conflicting options: custom host-to-IP mapping and the network mode"),
        (["-p", "80:80"], "conflicting options: port publishing and the container type network mode"),
        (["-P"], "conflicting options: port publishing and the container type network mode"),
        (["--expose", "80"], "conflicting options: port exposing and the container type network mode"),
        (["--mac-address", "02:42:ac:11:00:02"], "conflicting options: mac-address and the network mode"),
        (["-p", "80:80", "--hostname", "x", "--dns", "192.0.2.1"], "conflicting options: hostname and the network mode"),
    ],
)
def test_conflicts_of_container_mode(engine: Engine, flags: list[str], text: str) -> None:
    # By `linkspan`, which leaves each of them to the engine; docker's clients refuse some themselves, each version others.
    engine.docker("run", "-d", "--name", "target", *SLEEP)
    assert text in engine.try_linkspan("run", "--name", "side", "--net=container:target", *flags, *SLEEP).err
    assert "side" not in engine.docker("ps", "-a")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ["--net=host", "--link", "target"],
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        ),
        (["--uts=host", "--hostname", "x"], "conflicting options: hostname and the UTS mode"),
        (["--hostname", "x" * 65], "is too long (maximum 64 bytes)"),
        (["--ip", "172.17.0.9"], "user-specified IP address is supported on user-defined networks only"),
        (["--net=nowhere"], "network nowhere not found"),
    ],
)
def test_conflicts_of_other_modes(engine: Engine, flags: list[str], text: str) -> None:
    engine.docker("run", "-d", "--name", "target", *SLEEP)
    assert text in engine.try_linkspan("run", "-d", "--name", "box", *flags, *SLEEP).err


def test_a_target_that_is_missing(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "--net=container:nobody", *SLEEP)
    assert "joining network namespace of container: No such container: nobody" in engine.refused("start", "box")
    assert engine.api("POST", "/containers/box/start")[0] == 500


def test_a_target_that_does_not_run(engine: Engine) -> None:
    engine.docker("create", "--name", "target", *SLEEP)
    engine.docker("create", "--name", "box", "--net=container:target", *SLEEP)
    text = "cannot join network namespace of a non running container: container /target is created"
    assert text in engine.refused("start", "box")
    assert engine.api("POST", "/containers/box/start")[0] == 409


def test_a_target_that_is_itself(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "--net=container:box", *SLEEP)
    assert "cannot join own network namespace" in engine.refused("start", "box")
    assert engine.api("POST", "/containers/box/start")[0] == 500


def test_none_mode_publishes_nothing_and_says_nothing(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--net=none", "-p", "8080:80", *SLEEP)
    assert engine.docker("port", "box") == ""


@pytest.fixture(params=["0", "1"], ids=["br_netfilter off", "br_netfilter on"])
def bridge_filter(request: pytest.FixtureRequest, host: Host) -> None:
    """Whether packets between two ports of a bridge meet the firewall: a setting of the host that is not ours to choose."""
    host.sh("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={request.param}")


@pytest.mark.usefixtures("bridge_filter")
def test_published_ports_are_reached_from_containers(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine()
    engine.serve("web", "-p", "8080:80")
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    for container in ("box", "web"):
        for address in (HOST_ADDRESS, "172.17.0.1"):
            assert engine.page(f"http://{address}:8080/", container=container) == "web"
    assert engine.page(f"http://{engine.address('web')}/", container="box") == "web"


@pytest.mark.usefixtures("bridge_filter")
def test_icc_off_keeps_containers_apart_but_not_from_published_ports(new_engine: Callable[..., Engine], outside: Host) -> None:
    engine = new_engine("--icc=false")
    engine.serve("web", "-p", "8080:80", "--expose", "80")
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    engine.docker("run", "-d", "--name", "linked", "--link", "web:site", *SLEEP)
    address = engine.address("web")
    assert engine.try_docker("exec", "box", "timeout", "2", "wget", "-qO-", f"http://{address}/").status != 0
    assert engine.try_docker("exec", "box", "ping", "-c", "1", "-W", "1", address).status != 0
    assert engine.page(f"http://{HOST_ADDRESS}:8080/", container="box") == "web"
    assert engine.page("http://site/", container="linked") == "web"
    with outside.answering("0.0.0.0", 9000, b"hello"):
        assert engine.docker("exec", "box", "timeout", "5", "nc", OUTSIDE_ADDRESS, "9000") == "hello"


def test_the_daemons_bridge_options_hold(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(
        "--bip", "10.20.0.1/24", "--fixed-cidr", "10.20.0.128/25", "--mtu", "1400", "--dns", "192.0.2.1", "--dns-search", "x.example"
    )
    assert "inet 10.20.0.1/24 brd 10.20.0.255" in engine.host.sh("ip", "addr", "show", "docker0")
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert engine.address("box") == "10.20.0.128"
    assert "mtu 1400" in engine.docker("exec", "box", "ip", "link", "show", "eth0")
    resolv = engine.docker("exec", "box", "cat", "/etc/resolv.conf")
    assert "nameserver 192.0.2.1\n" in resolv
    assert "search x.example" in resolv


def test_somebody_elses_docker0_is_left_alone(new_engine: Callable[..., Engine], host: Host) -> None:
    host.sh("ip", "link", "add", "docker0", "type", "bridge")
    host.sh("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
    engine = new_engine()
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert engine.address("box") == "172.18.0.2"
    assert " Bridge: linkspan0 172.18.0.1/16" in engine.linkspan("info").splitlines()
    assert "docker0 exists that is not ours" in engine.log
    assert "172.18" not in host.sh("ip", "addr", "show", "docker0")


def test_an_existing_bridge_is_the_network_and_is_kept(new_engine: Callable[..., Engine], host: Host) -> None:
    host.sh("ip", "link", "add", "br0", "type", "bridge")
    host.sh("ip", "addr", "add", "192.168.77.1/24", "dev", "br0")
    engine = new_engine("--bridge", "br0", "--default-gateway", "192.168.77.2")
    engine.docker("run", "-d", "--name", "box", *SLEEP)
    assert engine.address("box") == "192.168.77.3"
    assert "default via 192.168.77.2 dev eth0" in engine.docker("exec", "box", "ip", "route")
    assert "docker0" not in host.sh("ip", "link")
    assert host.sh("ip", "-4", "-o", "addr", "show", "br0").count("inet") == 1


def test_an_exhausted_pool_says_so(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--bip", "10.20.0.1/30")
    engine.docker("run", "-d", "--name", "aa", *SLEEP)
    refusal = engine.refused("run", "-d", "--name", "bb", *SLEEP)
    assert "no available IPv4 addresses on this network's address pools: bridge" in refusal
    engine.docker("rm", "-f", "aa")
    engine.docker("start", "bb")
