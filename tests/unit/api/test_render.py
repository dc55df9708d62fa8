"""What clients are shown: ps, inspect, networks, images, info."""

import asyncio
import ipaddress
import json
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from linkspan.api import wire_system
from linkspan.api.listing import container_lines
from linkspan.api.times import human_duration, parse_timestamp, rfc3339, rfc3339_fixed
from linkspan.api.versions import CURRENT, Version
from linkspan.api.wire_containers import command_line, container_line, image_name, status_text
from linkspan.api.wire_endpoints import network_settings
from linkspan.api.wire_execs import exec_details
from linkspan.api.wire_images import image_details, image_history, image_line, progress_line, pruned_images
from linkspan.api.wire_inspect import container_details
from linkspan.api.wire_networks import network_details
from linkspan.engine.views import ContainerView, NetworkSeat, NetworkView
from linkspan.errors import InvalidInput
from linkspan.images.registry import Progress
from linkspan.model.attachment import Attachment
from linkspan.model.container import (
    Container,
    Exec,
    Mount,
    NetworkConfig,
    NetworkMode,
    Process,
    Resources,
    RestartPolicy,
    State,
    Status,
    Ulimit,
)
from linkspan.model.network import Network, Subnet
from linkspan.model.publish import Port, PortRequest, Publish
from tests.unit.api.examples import BORN, CONTAINER, ENDPOINT, IMAGE, NETWORK, SECOND, VIEW
from tests.unit.api.fake_engine import FakeSystem

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
DAY = 24 * HOUR
STOPPED = replace(CONTAINER, state=State(status=Status.EXITED, exit_code=3, started=BORN, finished=BORN + SECOND), publishes=(), sandbox="")


def on(mode: NetworkMode, container: Container = CONTAINER, **changes: Any) -> ContainerView:
    network = replace(container.spec.network, mode=mode)
    return replace(VIEW, container=replace(container, spec=replace(container.spec, network=network)), **changes)


def seats(**changes: Any) -> tuple[NetworkSeat, ...]:
    """The container's one seat, otherwise."""
    return (replace(VIEW.seats[0], **changes),)


def with_spec(**changes: Any) -> ContainerView:
    return replace(VIEW, container=replace(CONTAINER, spec=replace(CONTAINER.spec, **changes)))


def details(view: ContainerView) -> Any:
    return container_details(view, runtime="runc", size=False)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (BORN, "2023-11-14T22:13:20Z"),
        (BORN + 1, "2023-11-14T22:13:20.000000001Z"),
        (BORN + 120_000_000, "2023-11-14T22:13:20.12Z"),
    ],
)
def test_times_are_gos(nanoseconds: int, text: str) -> None:
    assert rfc3339(nanoseconds) == text


def test_times_of_logs_have_all_digits() -> None:
    assert rfc3339_fixed(BORN + 120_000_000) == "2023-11-14T22:13:20.120000000Z"


@pytest.mark.parametrize(("text", "time"), [("", 0), ("0", 0), ("1.5", 1_500_000_000), ("7.000000001", 7_000_000_001)])
def test_timestamps(text: str, time: int) -> None:
    assert parse_timestamp(text, "since") == time


@pytest.mark.parametrize("text", ["yesterday", "1.", "1.0000000001", "2023-11-14T22:13:20Z", "1e9"])
def test_wrong_timestamps_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="since"):
        parse_timestamp(text, "since")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (-SECOND, "Less than a second"),
        (SECOND - 1, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_those_of_go_units(duration: int, text: str) -> None:
    assert human_duration(duration) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started=BORN), "Up 5 minutes"),
        (State(status=Status.PAUSED, started=BORN), "Up 5 minutes (Paused)"),
        (State(status=Status.RESTARTING, started=BORN, finished=BORN, exit_code=1), "Restarting (1) 5 minutes ago"),
        (State(status=Status.EXITED, started=BORN, finished=BORN), "Exited (0) 5 minutes ago"),
        (State(status=Status.EXITED, exit_code=127, error="no such file"), "Created"),
    ],
)
def test_the_status_column(state: State, text: str) -> None:
    assert status_text(replace(CONTAINER, state=state), BORN + 5 * MINUTE) == text


def test_a_line_of_ps() -> None:
    line = container_line(VIEW, BORN + HOUR + SECOND, size=False)
    assert line["Id"] == CONTAINER.id
    assert line["Names"] == ["/web"]
    assert (line["Image"], line["ImageID"]) == ("busybox", IMAGE.id)
    assert line["Command"] == "httpd -f 'a b'"
    assert line["Created"] == 1_700_000_000
    assert (line["State"], line["Status"]) == ("running", "Up About an hour")
    assert line["Ports"] == [
        {"PrivatePort": 53, "Type": "udp"},
        {"IP": "0.0.0.0", "PrivatePort": 80, "Type": "tcp", "PublicPort": 8080},
    ]
    assert line["HostConfig"] == {"NetworkMode": "bridge"}
    assert "SizeRw" not in line
    assert container_line(replace(VIEW, size_rw=5), BORN, size=True)["SizeRootFs"] == 5 + IMAGE.size


def test_a_container_that_does_not_run_has_no_ports() -> None:
    view = replace(VIEW, container=STOPPED, seats=seats(endpoint=None))
    assert container_line(view, BORN, size=False)["Ports"] == []
    assert network_settings(view)["Ports"] == {}


def test_the_command_of_no_arguments() -> None:
    assert command_line(("sh",)) == "sh"


@pytest.mark.parametrize(
    ("name", "tags", "shown"),
    [
        ("busybox", ("busybox:latest",), "busybox"),
        ("busybox:1", ("busybox:latest",), IMAGE.id),
        ("a" * 12, (), "a" * 12),
        (f"busybox@{IMAGE.id}", (), f"busybox@{IMAGE.id}"),
        ("NOT A NAME", (), IMAGE.id),
    ],
)
def test_the_image_is_named_as_given_while_the_name_means_it(name: str, tags: tuple[str, ...], shown: str) -> None:
    container = replace(CONTAINER, spec=replace(CONTAINER.spec, image_name=name))
    assert image_name(container, replace(IMAGE, tags=tags)) == shown
    assert image_name(container, None) == IMAGE.id


def test_inspect_shows_the_default_networks_endpoint_twice() -> None:
    settings: Any = details(VIEW)["NetworkSettings"]
    address = {
        "EndpointID": ENDPOINT.id,
        "Gateway": "172.17.0.1",
        "IPAddress": "172.17.0.2",
        "IPPrefixLen": 16,
        "MacAddress": "02:42:ac:11:00:02",
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    }
    assert settings.items() >= address.items()
    assert settings["Networks"]["bridge"].items() >= (address | {"NetworkID": NETWORK.id}).items()
    assert settings["Ports"] == {"53/udp": None, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    assert (settings["SandboxID"], settings["SandboxKey"]) == (CONTAINER.id, VIEW.sandbox_key)
    assert (settings["SecondaryIPAddresses"], settings["SecondaryIPv6Addresses"]) == (None, None)


def test_inspect_of_the_other_modes() -> None:
    host = Network(id="9" * 64, name="host", driver="host", created=BORN)
    settings: Any = network_settings(on(NetworkMode(kind="host"), seats=seats(network=host, endpoint=None), sandbox_key="default"))
    assert settings["Networks"]["host"]["NetworkID"] == host.id
    assert (settings["IPAddress"], settings["MacAddress"], settings["Ports"]) == ("", "", {})
    joined: Any = details(on(NetworkMode(kind="container", target="d" * 64), seats=()))
    assert (joined["NetworkSettings"]["Networks"], joined["NetworkSettings"]["Ports"]) == ({}, {})
    assert joined["HostConfig"]["NetworkMode"] == "container:" + "d" * 64
    custom: Any = network_settings(on(NetworkMode(kind="network", target="mine"), seats=seats(network=replace(NETWORK, name="mine"))))
    assert custom["IPAddress"] == ""
    assert custom["Networks"]["mine"]["IPAddress"] == "172.17.0.2"


def test_names_on_a_user_defined_network() -> None:
    asked = Attachment(network=NETWORK.id, name="mine", aliases=("www",), ipv4=IPv4Address("172.17.0.2"), gateway_priority=3)
    view = replace(VIEW, seats=seats(attachment=asked, network=replace(NETWORK, name="mine")))
    short = CONTAINER.id[:12]
    settings: Any = network_settings(view)
    network = settings["Networks"]["mine"]
    assert (network["Aliases"], network["DNSNames"]) == (["www"], [CONTAINER.name, "www", short])
    assert (network["IPAMConfig"], network["GwPriority"], network["Links"]) == ({"IPv4Address": "172.17.0.2"}, 3, None)
    older: Any = network_settings(view, aliases_have_names=True)
    assert older["Networks"]["mine"]["Aliases"] == ["www", short]


def test_a_network_that_is_gone_is_still_named() -> None:
    asked = Attachment(network="0" * 64, name="old")
    settings: Any = network_settings(replace(VIEW, seats=seats(attachment=asked, network=None, endpoint=None)))
    assert settings["Networks"]["old"]["NetworkID"] == ""


def test_a_container_that_does_not_run_still_names_its_network_and_mac() -> None:
    stopped = replace(STOPPED, spec=replace(STOPPED.spec, network=replace(STOPPED.spec.network, mac="02:42:ac:11:00:09")))
    asked = Attachment(network=NETWORK.id, mac="02:42:ac:11:00:09")
    shown: Any = details(replace(VIEW, container=stopped, seats=seats(attachment=asked, endpoint=None)))
    network = shown["NetworkSettings"]["Networks"]["bridge"]
    assert (network["NetworkID"], network["IPAddress"], network["MacAddress"]) == ("", "", "02:42:ac:11:00:09")
    assert shown["Config"]["MacAddress"] == "02:42:ac:11:00:09"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), {"Status": "created", "Running": False, "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}),
        (State(status=Status.PAUSED, pid=7, started=BORN), {"Status": "paused", "Running": True, "Paused": True, "Pid": 7}),
        (State(status=Status.RESTARTING), {"Status": "restarting", "Running": True, "Restarting": True, "Pid": 0}),
        (State(status=Status.EXITED, exit_code=137, oom_killed=True, error="x"), {"ExitCode": 137, "OOMKilled": True, "Error": "x"}),
    ],
)
def test_the_state(state: State, expected: dict[str, Any]) -> None:
    shown: Any = details(replace(VIEW, container=replace(CONTAINER, state=state)))
    assert shown["State"].items() >= expected.items()


def test_inspect_shows_what_was_asked_for() -> None:
    view = with_spec(
        mounts=(
            Mount(kind="bind", source="/a", target="/b", options=("ro",)),
            Mount(kind="bind", source="/c", target="/d"),
            Mount(kind="tmpfs", target="/t", options=("size=1m",)),
        ),
        binds=("/a:/b:ro",),
        resources=Resources(memory=64 << 20, pids_limit=5, ulimits=(Ulimit(name="nofile", soft=1, hard=2),)),
        labels={"a": "b"},
        auto_remove=True,
        network=NetworkConfig(
            mode=NetworkMode(kind="bridge"),
            requests=(
                PortRequest(port=Port(80), first=8000, last=8010),
                PortRequest(port=Port(80), host_ip=ipaddress.IPv4Address("127.0.0.1")),
            ),
            extra_hosts=(("db", "10.0.0.1"),),
            links=(("9" * 64, "sql"),),
        ),
    )
    shown: Any = details(replace(view, container=replace(view.container, restart=RestartPolicy(name="on-failure", retries=2))))
    host = shown["HostConfig"]
    assert host["Binds"] == ["/a:/b:ro"]
    assert host["Mounts"] == [{"Type": "bind", "Source": "/c", "Target": "/d"}]
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8000-8010"}, {"HostIp": "127.0.0.1", "HostPort": ""}]}
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert (host["Memory"], host["PidsLimit"], host["Ulimits"]) == (64 << 20, 5, [{"Name": "nofile", "Soft": 1, "Hard": 2}])
    assert (host["ExtraHosts"], host["AutoRemove"], host["Runtime"]) == (["db:10.0.0.1"], True, "runc")
    assert shown["Mounts"][0] == {
        "Type": "bind",
        "Source": "/a",
        "Destination": "/b",
        "Mode": "ro",
        "RW": False,
        "Propagation": "rprivate",
    }
    assert shown["Config"]["Labels"] == {"a": "b"}
    assert (shown["Path"], shown["Args"]) == ("httpd", ["-f", "a b"])
    assert (shown["HostsPath"], shown["ResolvConfPath"], shown["LogPath"]) == ("/h/hosts", "/h/resolv.conf", "/h/log")


def test_ports_published_twice_are_both_shown() -> None:
    address = ipaddress.IPv4Address("127.0.0.1")
    publishes = (*CONTAINER.publishes, Publish(host_ip=address, host_port=81, port=Port(80)))
    settings: Any = network_settings(replace(VIEW, container=replace(CONTAINER, publishes=publishes)))
    assert settings["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "81"}]


def test_a_network_with_its_members() -> None:
    shown: Any = network_details(NetworkView(network=NETWORK, members=((CONTAINER, ENDPOINT),)), members=True)
    assert (shown["Name"], shown["Driver"], shown["Scope"], shown["EnableIPv4"]) == ("bridge", "bridge", "local", True)
    assert shown["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    assert shown["Options"] == {"com.docker.network.bridge.name": "docker0"}
    assert shown["Containers"] == {
        CONTAINER.id: {
            "Name": "web",
            "EndpointID": ENDPOINT.id,
            "MacAddress": "02:42:ac:11:00:02",
            "IPv4Address": "172.17.0.2/16",
            "IPv6Address": "",
        }
    }
    assert network_details(NetworkView(network=NETWORK, members=((CONTAINER, ENDPOINT),)), members=False)["Containers"] == {}


def test_a_network_of_a_limited_range_and_one_without_pools() -> None:
    subnet = ipaddress.IPv4Network("10.1.0.0/16")
    pool = Subnet(subnet=subnet, gateway=subnet[1], range=ipaddress.IPv4Network("10.1.5.0/24"))
    shown: Any = network_details(NetworkView(network=replace(NETWORK, subnets=(pool,))), members=True)
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/16", "IPRange": "10.1.5.0/24", "Gateway": "10.1.0.1"}]
    none: Any = network_details(NetworkView(network=Network(id="1", name="none", driver="null", created=1)), members=True)
    assert (none["IPAM"]["Config"], none["Driver"], none["Containers"]) == (None, "null", {})


def test_images_are_listed_as_each_version_wants_them() -> None:
    line = image_line(IMAGE, CURRENT)
    assert (line["Id"], line["RepoTags"], line["Created"], line["Size"]) == (IMAGE.id, ["busybox:latest"], 1_700_000_000, 1234567)
    assert "VirtualSize" not in line
    nameless = replace(IMAGE, tags=())
    assert image_line(nameless, CURRENT)["RepoTags"] == []
    old = image_line(nameless, Version(1, 41))
    assert (old["RepoTags"], old["RepoDigests"], old["VirtualSize"]) == (["<none>:<none>"], ["<none>@<none>"], 1234567)


def test_an_image_and_its_history() -> None:
    shown: Any = image_details(IMAGE, CURRENT)
    assert (shown["Created"], shown["Architecture"], shown["Os"]) == ("2023-11-14T22:13:20Z", "amd64", "linux")
    assert (shown["Config"]["Cmd"], shown["Config"]["ExposedPorts"]) == (["sh"], {"80/tcp": {}})
    assert shown["RootFS"] == {"Type": "layers", "Layers": list(IMAGE.layers)}
    first, second = image_history(IMAGE, (*IMAGE.history, *IMAGE.history))
    assert (first["Id"], first["Tags"]) == (IMAGE.id, ["busybox:latest"])
    assert (second["Id"], second["Tags"]) == ("<missing>", None)


def test_pruned_images_are_untagged_or_deleted() -> None:
    assert pruned_images(["busybox:latest", IMAGE.id]) == [{"Untagged": "busybox:latest"}, {"Deleted": IMAGE.id}]


def test_progress_without_a_known_total_has_no_bar() -> None:
    assert progress_line(Progress(status="Extracting", id="1", current=1500))["progress"] == "   1.5kB"


def test_an_exec() -> None:
    made = Exec(id="e", container="c", process=Process(args=("sh", "-c", "x"), user="root", tty=True), exit_code=3)
    assert exec_details(made).items() >= {"ID": "e", "Running": False, "ExitCode": 3, "ContainerID": "c", "CanRemove": True}.items()
    config: Any = exec_details(made)["ProcessConfig"]
    assert config == {"tty": True, "entrypoint": "sh", "arguments": ["-c", "x"], "privileged": False, "user": "root"}


def test_info_and_version() -> None:
    system = asyncio.run(FakeSystem().info())
    info: Any = wire_system.info(system, BORN)
    assert (info["Name"], info["NCPU"], info["DefaultRuntime"], info["Driver"]) == ("testhost", 2, "runc", "overlay2")
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["Linkspan"]["RuntimeReason"] == "crun refuses this host"
    version: Any = wire_system.version(system)
    assert (version["ApiVersion"], version["MinAPIVersion"], version["Os"], version["Arch"]) == ("1.51", "1.24", "linux", "amd64")
    assert [part["Name"] for part in version["Components"]] == ["Engine", "runc"]


def test_the_list_of_containers_is_that_of_its_lines_however_often_it_is_asked_for() -> None:
    views = [replace(VIEW), replace(VIEW, container=replace(VIEW.container, name='"'))]
    for now in (BORN + SECOND, BORN + HOUR):
        assert json.loads(container_lines(views, now)) == [container_line(view, now, size=False) for view in views]
    assert json.loads(container_lines([], BORN)) == []


def test_disk_usage_counts_the_users_of_an_image() -> None:
    usage: Any = wire_system.disk_usage([IMAGE], [VIEW, VIEW], BORN)
    assert (usage["LayersSize"], usage["Images"][0]["Containers"], len(usage["Containers"])) == (IMAGE.size, 2, 2)
    assert usage["Volumes"] == usage["BuildCache"] == []
