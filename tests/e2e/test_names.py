"""Containers know each other by name (semantics 3.9, Embedded DNS)."""

import json
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.engines import Engine
from tests.hosts import OUTSIDE_ADDRESS, Host
from tests.named import box
from tests.nameservers import NameServer, ask

pytestmark = pytest.mark.kernel


@pytest.fixture
def engine(named: Engine) -> Engine:
    return named


def test_the_names_of_a_container(engine: Engine) -> None:
    web = box(engine, "web", "--hostname", "www1")
    box(engine, "client")
    inside = engine.inside("client")
    short = engine.inspect("web")["Id"][:12]
    for name in ("web", "WEB", "www1", short, "web.front", "Web.Front", f"{short}.front"):
        for tcp in (False, True):
            assert ask(inside, name, tcp=tcp).addresses == [web], name
    assert ask(inside, "web", "AAAA").texts == []
    assert ask(inside, "web", "AAAA").code == "NOERROR"
    reverse = ".".join(reversed(web.split("."))) + ".in-addr.arpa"
    assert ask(inside, reverse, "PTR").texts == ["web.front."]
    assert engine.docker("exec", "client", "ping", "-c", "1", "-W", "5", "web")


def test_the_containers_resolv_conf(engine: Engine, server: NameServer) -> None:
    box(engine, "web")
    lines = engine.docker("exec", "web", "cat", "/etc/resolv.conf").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        "nameserver 127.0.0.11",
        "search corp.example",
        "options ndots:0",
    ]
    assert f"# ExtServers: [host({OUTSIDE_ADDRESS})]" in lines
    box(engine, "own", "--dns", "10.1.1.1", "--dns-search", "x.example", "--dns-option", "ndots:2")
    lines = engine.docker("exec", "own", "cat", "/etc/resolv.conf").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        "nameserver 127.0.0.11",
        "search x.example",
        "options ndots:2",
    ]
    assert "# ExtServers: [10.1.1.1]" in lines


def test_a_rename_a_stop_and_a_start_hold_at_once(engine: Engine) -> None:
    box(engine, "client")
    web = box(engine, "web")
    inside = engine.inside("client")
    engine.docker("rename", "web", "shop")
    assert ask(inside, "shop").addresses == [web]
    assert ask(inside, "web").code != "NOERROR"
    engine.docker("stop", "-t", "0", "shop")
    assert ask(inside, "shop").code != "NOERROR"
    engine.docker("start", "shop")
    assert ask(inside, "shop").addresses == [web]
    engine.docker("rm", "-f", "shop")
    assert ask(inside, "shop").code != "NOERROR"


def test_other_networks_are_not_known(engine: Engine) -> None:
    engine.docker("network", "create", "back")
    box(engine, "web")
    box(engine, "db", network="back")
    assert ask(engine.inside("db"), "web").code != "NOERROR"
    assert ask(engine.inside("db"), "web.front").code != "NOERROR"
    assert ask(engine.inside("web"), "db").code != "NOERROR"


def test_the_default_network_has_no_names(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
    assert "127.0.0.11" not in engine.docker("exec", "plain", "cat", "/etc/resolv.conf")
    assert "does not ask 127.0.0.11" in engine.try_linkspan("dns", "trace", "web", "--from", "plain").err


def test_what_the_host_knows_the_container_knows(engine: Engine, server: NameServer) -> None:
    box(engine, "client")
    assert "192.0.2.1" in engine.docker("exec", "client", "nslookup", "-type=a", "a.example")
    assert "192.0.2.2" in engine.docker("exec", "client", "nslookup", "-type=a", "b")  # by the search list
    assert {address for address, _ in server.callers} == {"10.99.0.1"}


def test_a_server_of_the_containers_own_is_asked_by_the_container(engine: Engine, server: NameServer) -> None:
    address = box(engine, "client", "--dns", OUTSIDE_ADDRESS)
    assert ask(engine.inside("client"), "a.example").addresses == ["192.0.2.1"]
    assert address.startswith("172.")
    assert {caller for caller, _ in server.callers} == {"10.99.0.1"}, "it leaves the host masqueraded"
    assert ask(engine.inside("client"), "a.example").addresses == ["192.0.2.1"]
    assert len(server.asked) == 1


def test_an_internal_network_asks_nobody(engine: Engine, server: NameServer) -> None:
    engine.docker("network", "create", "--internal", "closed")
    web = box(engine, "web", network="closed")
    box(engine, "client", network="closed")
    assert ask(engine.inside("client"), "web").addresses == [web]
    assert ask(engine.inside("client"), "a.example").code == "SERVFAIL"
    assert not server.asked


def test_the_host_has_a_name(engine: Engine) -> None:
    box(engine, "client")
    gateway = engine.inspect("client")["NetworkSettings"]["Networks"]["front"]["Gateway"]
    assert ask(engine.inside("client"), "host.docker.internal").addresses == [gateway]
    assert ask(engine.inside("client"), "gateway.docker.internal").addresses == [gateway]


def test_a_member_of_the_namespace_keeps_its_names(engine: Engine) -> None:
    box(engine, "web")
    box(engine, "client")
    engine.docker("run", "-d", "--name", "side", "--network", "container:client", "busybox", "sleep", "1000")
    assert engine.docker("exec", "side", "ping", "-c", "1", "-W", "5", "web")
    engine.docker("rm", "-f", "client")
    assert engine.docker("exec", "side", "ping", "-c", "1", "-W", "5", "web"), "its namespace lives on"
    assert ask(engine.inside("web"), "client").code != "NOERROR", "the name is gone with the container"


def test_aliases_are_shared_and_belong_to_their_network(engine: Engine) -> None:
    engine.docker("network", "create", "back")
    first = box(engine, "web1", "--network-alias", "www", "--network-alias", "only.one")
    second = box(engine, "web2", "--network-alias", "www", "--network-alias", "*.apps")
    box(engine, "client")
    engine.docker("network", "connect", "--alias", "hidden", "back", "web1")
    inside = engine.inside("client")
    assert ask(inside, "www").addresses == sorted([first, second])
    assert ask(inside, "www.front").addresses == sorted([first, second])
    assert ask(inside, "only.one").addresses == [first]
    assert ask(inside, "any.apps").addresses == [second]
    assert ask(inside, "hidden").code != "NOERROR"
    engine.docker("stop", "-t", "0", "web1")
    assert ask(inside, "www").addresses == [second]


def test_connect_and_disconnect_hold_at_once(engine: Engine, server: NameServer) -> None:
    engine.docker("network", "create", "back")
    web = box(engine, "web")
    db = box(engine, "db", network="back")
    assert ask(engine.inside("web"), "db").code != "NOERROR"
    engine.docker("network", "connect", "--alias", "shop", "back", "web")
    assert ask(engine.inside("web"), "db").addresses == [db]
    back = str(engine.inspect("web")["NetworkSettings"]["Networks"]["back"]["IPAddress"])
    assert ask(engine.inside("db"), "shop").addresses == [back]
    assert ask(engine.inside("web"), "web").addresses == [back], "of equals, the first name leads"
    assert ask(engine.inside("web"), "web.front").addresses == [web]
    engine.docker("network", "disconnect", "back", "web")
    assert ask(engine.inside("web"), "db").code != "NOERROR"
    assert ask(engine.inside("db"), "shop").code != "NOERROR"
    assert ask(engine.inside("web"), "a.example").addresses == ["192.0.2.1"]


def test_names_come_in_the_order_of_the_default_route(engine: Engine) -> None:
    for name in ("back", "zoo"):
        engine.docker("network", "create", name)
    expected = [box(engine, "twin", network="back"), box(engine, "other", "--network-alias", "twin", network="zoo")]
    engine.linkspan("run", "-d", "--name", "client", "--network", "back", "--network", "name=zoo,gw-priority=1", "busybox", "sleep", "1000")
    assert ask(engine.inside("client"), "twin").addresses == expected[1:]
    assert ask(engine.inside("client"), "twin.back").addresses == expected[:1]


def test_links_are_names_for_one_container_alone(engine: Engine) -> None:
    db = box(engine, "db")
    box(engine, "client", "--link", "db:store")
    box(engine, "stranger")
    assert ask(engine.inside("client"), "store").addresses == [db]
    assert ask(engine.inside("client"), "store.front").addresses == [db]
    assert ask(engine.inside("stranger"), "store").code != "NOERROR"
    engine.docker("rename", "db", "database")
    assert ask(engine.inside("client"), "store").addresses == [db]
    engine.docker("stop", "-t", "0", "database")
    assert ask(engine.inside("client"), "store").code != "NOERROR"


def test_a_container_of_the_default_network_that_is_connected(engine: Engine, server: NameServer) -> None:
    web = box(engine, "web")
    for name in ("plain", "edited"):
        engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000")
    engine.docker("exec", "edited", "sh", "-c", "echo nameserver 10.1.1.1 >/etc/resolv.conf")
    for name in ("plain", "edited"):
        engine.docker("network", "connect", "front", name)
    assert "nameserver 127.0.0.11" in engine.docker("exec", "plain", "cat", "/etc/resolv.conf")
    assert engine.docker("exec", "edited", "cat", "/etc/resolv.conf") == "nameserver 10.1.1.1"
    assert ask(engine.inside("plain"), "web").addresses == [web]
    engine.docker("network", "disconnect", "front", "plain")
    assert ask(engine.inside("plain"), "web").code != "NOERROR"
    assert "nameserver 127.0.0.11" in engine.docker("exec", "plain", "cat", "/etc/resolv.conf")
    assert ask(engine.inside("plain"), "a.example").addresses == ["192.0.2.1"], "it goes on to ask us"
    engine.restart()
    assert ask(engine.inside("plain"), "a.example").addresses == ["192.0.2.1"]


def test_both_families(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "--subnet", "fd00:7::/64", "dual")
    box(engine, "web", network="dual")
    box(engine, "client", network="dual")
    seat = engine.inspect("web")["NetworkSettings"]["Networks"]["dual"]
    inside = engine.inside("client")
    assert ask(inside, "web").addresses == [seat["IPAddress"]]
    assert ask(inside, "web", "AAAA").addresses == [seat["GlobalIPv6Address"]]
    reverse = ip_address(seat["GlobalIPv6Address"]).reverse_pointer
    assert ask(inside, reverse, "PTR").texts == ["web.dual."]
    assert ask(inside, "host.docker.internal", "AAAA").addresses == [seat["IPv6Gateway"]]


def test_an_internal_network_beside_another_one(engine: Engine, server: NameServer) -> None:
    engine.docker("network", "create", "--internal", "closed")
    db = box(engine, "db", network="closed")
    box(engine, "client")
    engine.docker("network", "connect", "closed", "client")
    assert ask(engine.inside("client"), "db").addresses == [db]
    assert ask(engine.inside("client"), "a.example").addresses == ["192.0.2.1"]
    engine.docker("network", "disconnect", "front", "client")
    assert ask(engine.inside("client"), "a.example").code == "SERVFAIL"


def test_the_doctor_finds_and_mends_what_a_container_did_to_its_names(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside = engine.inside("client")
    assert "names-silent" not in engine.try_linkspan("doctor", "--json").out
    engine.host.sh("nsenter", f"--net={inside.path}", "nft", "flush", "ruleset")
    findings = json.loads(engine.try_linkspan("doctor", "--json").out)["Findings"]
    assert [each["What"] for each in findings if each["Kind"] == "names-silent"] == ["nobody answers the questions of client for names"]
    assert "nobody answers the questions of client for names: open what answers anew" in engine.try_linkspan("doctor", "--repair").out
    assert ask(inside, "web").addresses == [web]
    assert ask(inside, "web", tcp=True).addresses == [web]
    assert "names-silent" not in engine.try_linkspan("doctor", "--json").out


def test_who_serves_names_itself_keeps_port_53(engine: Engine) -> None:
    web = box(engine, "web")
    box(engine, "client")
    inside = engine.inside("client")
    with inside.answering("0.0.0.0", 53, b"mine", "udp"), inside.answering("0.0.0.0", 53, b"mine", "tcp"):
        assert ask(inside, "web").addresses == [web]
        assert ask(inside, "web", tcp=True).addresses == [web]
        assert (
            engine.inside("web").ask(str(engine.inspect("client")["NetworkSettings"]["Networks"]["front"]["IPAddress"]), 53, "udp")
            == b"mine"
        )


def test_a_trace_tells_each_step(engine: Engine, server: NameServer) -> None:
    web = box(engine, "web")
    box(engine, "client")
    told = engine.linkspan("dns", "trace", "web", "--from", "client")
    assert "known by network front" in told
    assert web in told
    told = engine.linkspan("dns", "trace", "a.example", "--from", "client")
    assert "no such name in the container's networks" in told
    assert f"asked {OUTSIDE_ADDRESS} from the host's namespace by UDP" in told
    assert "192.0.2.1" in told
    done = engine.try_linkspan("dns", "trace", "nowhere", "--from", "client", "--json")
    assert done.status == 1
    assert [(asked["Name"], asked["Answer"]["Code"]) for asked in json.loads(done.out)["Questions"]] == [
        ("nowhere", "NXDOMAIN"),
        ("nowhere.corp.example", "NXDOMAIN"),
    ]
    assert "say whose question" in engine.try_linkspan("dns", "trace", "web").err
    assert "No such container" in engine.try_linkspan("dns", "trace", "web", "--from", "nobody").err
    assert "unknown record type" in engine.try_linkspan("dns", "trace", "web", "--from", "client", "--type", "ZZ").err
    assert "2 containers" in engine.linkspan("dns", "status")


def test_the_servers_of_a_network_change_while_containers_are_on_it(
    new_engine: Callable[..., Engine], outside: Host, tmp_path: Path
) -> None:
    outside.sh("ip", "addr", "add", "10.99.0.3/24", "dev", "eth0")
    (tmp_path / "resolv.conf").write_text(f"nameserver {OUTSIDE_ADDRESS}\n")
    engine = new_engine(f"--resolv-conf={tmp_path}/resolv.conf")
    engine.docker("network", "create", "front")
    box(engine, "client")
    inside = engine.inside("client")
    with NameServer(outside, OUTSIDE_ADDRESS, {"a.example": "192.0.2.1"}), NameServer(outside, "10.99.0.3", {"a.example": "192.0.2.2"}):
        assert ask(inside, "a.example").addresses == ["192.0.2.1"]
        engine.linkspan("network", "update", "--dns", "10.99.0.3", "front")
        assert ask(inside, "a.example").addresses == ["192.0.2.2"]
        engine.linkspan("network", "update", "--dns", "", "front")
        assert ask(inside, "a.example").addresses == ["192.0.2.1"]
        (tmp_path / "resolv.conf").write_text("nameserver 10.99.0.3\n")
        assert ask(inside, "a.example").addresses == ["192.0.2.2"], "the host's file is followed"


def test_the_default_network_with_names(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--default-bridge-dns", "--dns-ttl=5", "--host-docker-internal=false")
    web = box(engine, "web", network="bridge")
    box(engine, "client", network="bridge")
    answer = ask(engine.inside("client"), "web")
    assert answer.addresses == [web]
    assert {record.ttl for record in answer.message.rr} == {5}
    assert ask(engine.inside("client"), "web.bridge").addresses == [web]
    assert ask(engine.inside("client"), "host.docker.internal").code != "NOERROR"


def test_the_host_knows_its_containers_if_it_wants(new_engine: Callable[..., Engine], tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    engine = new_engine(f"--hosts-file={path}")
    engine.docker("network", "create", "front")
    web = box(engine, "web")
    assert f"{web}\tweb.front web\n" in path.read_text()
    engine.docker("rename", "web", "shop")
    assert f"{web}\tshop.front shop\n" in path.read_text()
    assert "web" not in path.read_text()
    engine.restart()
    assert f"{web}\tshop.front shop\n" in path.read_text()
    engine.docker("rm", "-f", "shop")
    assert path.read_text() == "127.0.0.1 localhost\n"


def test_domains_of_the_daemon_and_of_a_network(new_engine: Callable[..., Engine], outside: Host) -> None:
    outside.sh("ip", "addr", "add", "10.99.0.3/24", "dev", "eth0")
    engine = new_engine(f"--dns-route=corp.example={OUTSIDE_ADDRESS}")
    assert "'x' is not an IP address" in engine.refused("network", "create", "-o", "linkspan.dns.servers=x", "front")
    engine.docker("network", "create", "-o", "linkspan.dns.servers=10.99.0.3", "front")
    box(engine, "client")
    with (
        NameServer(outside, OUTSIDE_ADDRESS, {"x.corp.example": "192.0.2.1"}),
        NameServer(outside, "10.99.0.3", {"a.example": "192.0.2.2"}),
    ):
        assert ask(engine.inside("client"), "x.corp.example").addresses == ["192.0.2.1"]
        assert ask(engine.inside("client"), "a.example").addresses == ["192.0.2.2"]
