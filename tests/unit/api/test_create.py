"""POST /containers/create: what becomes of each field, and Docker's refusals in Docker's words."""

import contextlib
import json
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkspan.api.fields import Fields, parse_object
from linkspan.api.versions import CURRENT, Version
from linkspan.api.wire_create import parse_create
from linkspan.engine.requests import CreateRequest
from linkspan.errors import EngineError, InvalidInput, Unsupported
from linkspan.model.container import Device, Mount, NetworkMode, Resources, RestartPolicy, Security, Ulimit
from linkspan.model.publish import Port, PortRequest

OLD = Version(1, 43)
UNDEFINED = "This would result in undefined behavior"


def parse(host: dict[str, Any] | None = None, *, version: Version = CURRENT, name: str = "", **config: Any) -> CreateRequest:
    body = {"Image": "busybox", "HostConfig": host or {}, **config}
    return parse_create(Fields(body), name=name, version=version, cpus=2)


def refusal(host: dict[str, Any] | None = None, **config: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse(host, **config)
    return str(caught.value)


def endpoint(network: str = "bridge", **settings: Any) -> dict[str, Any]:
    return {"NetworkingConfig": {"EndpointsConfig": {network: settings}}}


def test_the_least_body_is_an_image() -> None:
    request = parse()
    assert request.image == "busybox"
    assert request.network.mode == NetworkMode(kind="bridge")
    assert (request.name, request.cmd, request.entrypoint, request.init, request.stop_timeout) == (None,) * 5
    assert request.warnings == ()


@pytest.mark.parametrize("body", [{}, {"HostConfig": {"NetworkMode": "host"}}, {"NetworkingConfig": {}}])
def test_a_body_without_config_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"^config cannot be empty in order to create a container$"):
        parse_create(Fields(body), name="", version=CURRENT, cpus=2)


def test_the_process_is_taken_over() -> None:
    request = parse(
        name="web",
        Cmd=["httpd", "-f"],
        Entrypoint="tini",
        Env=["A=b", "C"],
        WorkingDir="/srv",
        User="1000:1000",
        Tty=True,
        OpenStdin=True,
        StdinOnce=True,
        AttachStdin=True,
        AttachStdout=True,
        Hostname="web1",
        Domainname="example.org",
        Labels={"a": "b"},
        StopSignal="SIGINT",
        StopTimeout=0,
    )
    assert (request.name, request.cmd, request.entrypoint, request.env) == ("web", ("httpd", "-f"), ("tini",), ("A=b", "C"))
    assert (request.working_dir, request.user, request.hostname, request.domainname) == ("/srv", "1000:1000", "web1", "example.org")
    assert (request.tty, request.open_stdin, request.stdin_once, request.attach_stdin) == (True, True, True, True)
    assert (request.attach_stdout, request.attach_stderr) == (True, False)
    assert (request.labels, request.stop_signal, request.stop_timeout) == ({"a": "b"}, "SIGINT", 0)


def test_keys_match_in_any_case_and_unknown_ones_are_ignored() -> None:
    request = parse_create(
        Fields({"image": "x", "TTY": True, "Nonsense": [1], "hostconfig": {"privileged": True}}), name="", version=CURRENT, cpus=2
    )
    assert (request.image, request.tty, request.security.privileged) == ("x", True, True)


@pytest.mark.parametrize(
    ("host", "config", "text"),
    [
        ({}, {"Image": 5}, "Image must be a string, not the number 5"),
        ({}, {"Cmd": {"a": "b"}}, "Cmd must be a list, not an object"),
        ({}, {"Cmd": ["a", 1]}, "Cmd[1] must be a string, not the number 1"),
        ({}, {"Env": "A=b"}, "Env must be a list"),
        ({}, {"Tty": "yes"}, "Tty must be true or false, not a string"),
        ({}, {"Labels": ["a=b"]}, "Labels must be an object"),
        ({}, {"Labels": {"a": 1}}, "Labels.a must be a string, not the number 1"),
        ({}, {"StopTimeout": 1.5}, "StopTimeout must be a whole number of 64 bits, not the number 1.5"),
        ({}, {"User": "a\0b"}, "User must be a string without NUL characters"),
        ({"Memory": "64m"}, {}, "HostConfig.Memory must be a whole number of 64 bits, not a string"),
        ({"Memory": 2**63}, {}, "HostConfig.Memory must be a whole number of 64 bits"),
        ({"Memory": True}, {}, "HostConfig.Memory must be a whole number of 64 bits, not true or false"),
        ({"RestartPolicy": "always"}, {}, "HostConfig.RestartPolicy must be an object, not a string"),
        ({"Ulimits": [{"Name": 1}]}, {}, "HostConfig.Ulimits[0].Name must be a string"),
        ({"PortBindings": {"80/tcp": [{"HostPort": 8080}]}}, {}, "HostConfig.PortBindings.80/tcp[0].HostPort must be a string"),
        ({"PortBindings": {"80/tcp": {}}}, {}, "HostConfig.PortBindings.80/tcp must be a list, not an object"),
    ],
)
def test_a_wrong_type_is_refused_and_the_field_named(host: dict[str, Any], config: dict[str, Any], text: str) -> None:
    assert text in refusal(host, **config)


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'"x"', b"nonsense", b'{"a": NaN}', b"[" * 100_000, b'{"Image": "\\ud800"}', b"\xff\xfe", b'{"a": 1} x']
)
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^invalid JSON: "):
        parse_object(body)


@settings(max_examples=25)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda values: st.lists(values) | st.dictionaries(st.text(), values)
    )
)
def test_no_json_at_all_is_answered_with_anything_but_a_request_or_a_refusal(value: Any) -> None:
    names = ("Cmd", "Env", "ExposedPorts", "Healthcheck", "HostConfig", "Labels", "NetworkingConfig", "StopTimeout", "Volumes")
    hosts = ("Binds", "Devices", "Dns", "ExtraHosts", "LogConfig", "Mounts", "PortBindings", "RestartPolicy", "Sysctls", "Tmpfs", "Ulimits")
    bodies = [{"Image": "x", name: value} for name in names] + [{"Image": "x", "HostConfig": {name: value}} for name in hosts]
    for body in bodies:
        with contextlib.suppress(EngineError):
            parse_create(parse_object(json.dumps(body).encode()), name="", version=CURRENT, cpus=2)


# Container mode: semantics 3.2.1, in its order.
JOIN = "container:web"
CONFLICTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"Hostname": "h"}, "hostname and the network mode"),
    ({"Links": ["db"]}, {}, f"container type network can't be used with links. {UNDEFINED}"),
    ({"Dns": ["1.1.1.1"]}, {}, "dns and the network mode"),
    ({"ExtraHosts": ["a:1.1.1.1"]}, {}, "custom host-to-IP mapping and the network mode"),
    ({"PortBindings": {"80/tcp": [{}]}}, {"ExposedPorts": {"80/tcp": {}}}, "port publishing and the container type network mode"),
    ({"PublishAllPorts": True}, {}, "port publishing and the container type network mode"),
    ({}, {"ExposedPorts": {"80/tcp": {}}}, "port exposing and the container type network mode"),
    ({}, {"MacAddress": "02:42:ac:11:00:09"}, "mac-address and the network mode"),
    ({}, endpoint(JOIN, MacAddress="02:42:ac:11:00:09"), "mac-address and the network mode"),
]


@pytest.mark.parametrize(("host", "config", "text"), CONFLICTS)
def test_each_conflict_with_container_mode(host: dict[str, Any], config: dict[str, Any], text: str) -> None:
    assert refusal({"NetworkMode": JOIN, **host}, **config) == f"conflicting options: {text}"


def test_of_all_conflicts_with_container_mode_the_first_wins() -> None:
    for first in range(len(CONFLICTS)):
        host: dict[str, Any] = {"NetworkMode": JOIN}
        config: dict[str, Any] = {}
        for more_host, more_config, _ in CONFLICTS[first:]:
            host |= more_host
            config |= more_config
        assert refusal(host, **config) == f"conflicting options: {CONFLICTS[first][2]}"


@pytest.mark.parametrize("mode", ["container", "container:"])
def test_container_mode_needs_a_target(mode: str) -> None:
    expected = "invalid network mode: invalid container format container:<name|id>"
    assert refusal({"NetworkMode": mode}, Hostname="h") == expected


def test_dns_search_is_no_conflict_with_container_mode() -> None:
    request = parse({"NetworkMode": JOIN, "DnsSearch": ["example.org"], "DnsOptions": ["ndots:1"]})
    assert request.network.mode == NetworkMode(kind="container", target="web")


# Other modes: semantics 3.2.2.
@pytest.mark.parametrize(
    ("host", "config", "text"),
    [
        ({"UTSMode": "host"}, {"Hostname": "h"}, "conflicting options: hostname and the UTS mode"),
        (
            {"NetworkMode": "host", "Links": ["db"]},
            {},
            f"conflicting options: host type networking can't be used with links. {UNDEFINED}",
        ),
        ({}, {"Hostname": "h" * 65}, f'hostname "{"h" * 65}" is too long (maximum 64 bytes)'),
        ({}, {"Hostname": "a\nb"}, 'invalid hostname format: "a\\nb"'),
        (
            {"NetworkMode": "host", "Sysctls": {"net.ipv4.ip_forward": "1"}},
            {},
            'sysctl "net.ipv4.ip_forward" not allowed in host network namespace',
        ),
        ({"Sysctls": {"vm.swappiness": "1"}}, {}, "sysctl 'vm.swappiness' is not allowed"),
        (
            {"Sysctls": {"net.ipv4.conf.eth0.rp_filter": "1"}},
            {},
            'interface specific sysctl setting "net.ipv4.conf.eth0.rp_filter" must be supplied using driver option '
            "'com.docker.network.endpoint.sysctls'",
        ),
    ],
)
def test_conflicts_of_the_other_modes(host: dict[str, Any], config: dict[str, Any], text: str) -> None:
    assert refusal(host, **config) == text


def test_sysctls_of_eth0_were_allowed_before_api_1_48() -> None:
    values = {"net.ipv4.conf.eth0.rp_filter": "1", "net.ipv4.ip_forward": "0", "kernel.msgmax": "1"}
    assert parse({"Sysctls": values}, version=Version(1, 47)).network.sysctls == values


def test_ports_in_host_mode_are_warned_about() -> None:
    bindings = {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}
    assert parse({"NetworkMode": "host", **bindings}).warnings == ("Published ports are discarded when using host network mode",)
    assert parse({"NetworkMode": "host", "PublishAllPorts": True}).warnings == ()
    assert parse({"NetworkMode": "none", **bindings}).warnings == ()


def test_host_mode_may_have_a_hostname_dns_and_extra_hosts() -> None:
    request = parse({"NetworkMode": "host", "Dns": ["1.1.1.1"], "ExtraHosts": ["a:1.1.1.1"]}, Hostname="h")
    assert (request.hostname, request.network.dns, request.network.extra_hosts) == ("h", ("1.1.1.1",), (("a", "1.1.1.1"),))


# MAC addresses: semantics 3.2.3.
MAC = "02:42:ac:11:00:09"
DEPRECATED = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."


def test_a_mac_address_of_the_container_is_the_endpoints() -> None:
    assert parse(MacAddress=MAC.upper(), version=OLD).network.mac == MAC
    assert parse(MacAddress=MAC, version=OLD).warnings == ()
    request = parse(MacAddress=MAC)
    assert (request.network.mac, request.warnings) == (MAC, (DEPRECATED,))


def test_a_mac_address_of_the_endpoint_counts_since_api_1_44() -> None:
    assert parse(**endpoint(MacAddress=MAC)).network.mac == MAC
    assert parse(**endpoint("default", MacAddress=MAC)).network.mac == MAC
    assert parse(**endpoint(MacAddress=MAC), version=OLD).network.mac == ""
    assert parse(MacAddress=MAC, **endpoint(MacAddress=MAC.upper())).network.mac == MAC
    different = refusal(MacAddress="02:42:ac:11:00:01", **endpoint(MacAddress=MAC))
    assert different.startswith("the container-wide MAC address must match the endpoint-specific MAC address")


@pytest.mark.parametrize("mode", ["host", "none", JOIN])
@pytest.mark.parametrize("version", [OLD, CURRENT])
def test_a_mac_address_needs_a_network(mode: str, version: Version) -> None:
    assert refusal({"NetworkMode": mode}, MacAddress=MAC, version=version) == "conflicting options: mac-address and the network mode"


@pytest.mark.parametrize("mac", ["nonsense", "02:42:ac:11:00", "01:00:5e:00:00:01"])
def test_a_wrong_mac_address_is_refused(mac: str) -> None:
    assert mac in refusal(MacAddress=mac)


# Endpoints: semantics 3.4.
@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({"IPAMConfig": {"IPv4Address": "172.17.0.9"}}, "user-specified IP address is supported on user-defined networks only"),
        ({"Aliases": ["a"]}, "network-scoped aliases are only supported for user-defined networks"),
        (
            {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "300.1.1.1", "LinkLocalIPs": ["x"]}},
            "user-specified IP address is supported on user-defined networks only\n"
            "network-scoped aliases are only supported for user-defined networks\n"
            "invalid IPv4 address: 300.1.1.1\ninvalid link-local IP address: x",
        ),
    ],
)
def test_what_the_default_network_cannot_do_is_refused(settings: dict[str, Any], problems: str) -> None:
    assert refusal(**endpoint("default", **settings)) == f"invalid config for network bridge: invalid endpoint settings:\n{problems}"


def test_several_endpoints_are_several_attachments() -> None:
    both: dict[str, Any] = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}, "web": {}}}}
    assert refusal(**both, version=OLD) == "Container cannot be created with multiple network endpoints: bridge, web"
    assert [attachment.network for attachment in parse(**both).attachments] == ["bridge", "web"]
    assert parse(NetworkingConfig={"EndpointsConfig": {"default": None}}).network.mode.kind == "bridge"


# Names and addresses.
@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("db:::1", ("db", "::1")),
        ("db=[fe80::1]", ("db", "fe80::1")),
        ("gw:host-gateway", ("gw", "host-gateway")),
    ],
)
def test_extra_hosts(text: str, pair: tuple[str, str]) -> None:
    assert parse({"ExtraHosts": [text]}).network.extra_hosts == (pair,)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"ExtraHosts": ["db"]}, 'bad format for add-host: "db"'),
        ({"ExtraHosts": [":1.1.1.1"]}, 'bad format for add-host: ":1.1.1.1"'),
        ({"ExtraHosts": ["a b:1.1.1.1"]}, 'bad format for add-host: "a b:1.1.1.1"'),
        ({"ExtraHosts": ["a\n9.9.9.9 bank:1.1.1.1"]}, "bad format for add-host"),
        ({"ExtraHosts": ["db:1.1.1"]}, 'invalid IP address in add-host: "1.1.1"'),
        ({"Dns": ["dns.example"]}, "IP address is not correctly formatted: dns.example"),
        ({"DnsSearch": ["a b"]}, "a b is not a valid domain"),
        ({"DnsOptions": ["a\nnameserver 9.9.9.9"]}, "invalid DNS option"),
        ({"Links": [""]}, "empty string specified for links"),
        ({"Links": ["a:b:c"]}, "bad format for links: a:b:c"),
    ],
)
def test_wrong_names_and_addresses_are_refused(host: dict[str, Any], text: str) -> None:
    assert text in refusal(host)


def test_dns_and_links_are_taken_over() -> None:
    request = parse({"Dns": ["1.1.1.1", "::1"], "DnsSearch": ["."], "DnsOptions": ["ndots:2"], "Links": ["db:sql"]})
    assert (request.network.dns, request.network.dns_search, request.network.dns_options) == (("1.1.1.1", "::1"), (".",), ("ndots:2",))
    assert (request.links, request.network.links) == (("db:sql",), ())


# Ports: semantics 3.8.
@pytest.mark.parametrize(
    ("key", "binding", "request_"),
    [
        ("80/tcp", {"HostPort": "8080"}, PortRequest(port=Port(80), first=8080, last=8080)),
        ("80", {"HostPort": ""}, PortRequest(port=Port(80))),
        ("80/TCP", {"HostPort": "0"}, PortRequest(port=Port(80))),
        ("80/tcp", {}, PortRequest(port=Port(80))),
        (
            "53/udp",
            {"HostIp": "127.0.0.1", "HostPort": "53"},
            PortRequest(port=Port(53, "udp"), host_ip=IPv4Address("127.0.0.1"), first=53, last=53),
        ),
        ("80/sctp", {"HostPort": "8000-8010"}, PortRequest(port=Port(80, "sctp"), first=8000, last=8010)),
        ("80/tcp", {"HostIp": "0.0.0.0", "HostPort": "1"}, PortRequest(port=Port(80), host_ip=IPv4Address(0), first=1, last=1)),
    ],
)
def test_bindings(key: str, binding: dict[str, str], request_: PortRequest) -> None:
    request = parse({"PortBindings": {key: [binding]}})
    assert request.network.requests == (request_,)
    assert request.network.exposed == (request_.port,)


def test_a_port_may_have_several_bindings_and_an_empty_list_means_any_with_a_warning() -> None:
    request = parse({"PortBindings": {"80/tcp": [{"HostPort": "1"}, {"HostPort": "2"}], "81/tcp": [], "82/udp": None}})
    assert [(binding.port.number, binding.first) for binding in request.network.requests] == [(80, 1), (80, 2), (81, 0), (82, 0)]
    assert request.warnings == (
        "Following container port(s) have an empty list of port-bindings: 81/tcp, 82/udp. "
        "Such bindings will be discarded in a future version.",
    )


def test_exposed_ports_and_publish_all() -> None:
    request = parse({"PublishAllPorts": True, "PortBindings": {"90/tcp": [{}]}}, ExposedPorts={"80/tcp": {}, "53/udp": {}})
    assert request.network.publish_all
    assert request.network.exposed == (Port(53, "udp"), Port(80), Port(90))


@pytest.mark.parametrize(
    ("key", "binding", "text"),
    [
        ("0/tcp", {}, "invalid port specification"),
        ("65536/tcp", {}, "invalid port specification"),
        ("http", {}, 'invalid port specification: "http"'),
        ("", {}, "invalid port specification"),
        ("80/icmp", {}, "invalid proto: icmp"),
        ("80-90/tcp", {}, "invalid port specification"),
        ("80/tcp", {"HostPort": "65536"}, 'invalid port specification: "65536"'),
        ("80/tcp", {"HostPort": "-1"}, 'invalid port specification: "-1"'),
        ("80/tcp", {"HostPort": "9-8"}, 'invalid port specification: "9-8"'),
        ("80/tcp", {"HostPort": "web"}, 'invalid port specification: "web"'),
        ("80/tcp", {"HostPort": "٣"}, 'invalid port specification: "٣"'),
        ("80/tcp", {"HostIp": "example.org"}, "invalid IP address: example.org"),
    ],
)
def test_wrong_ports_are_refused(key: str, binding: dict[str, str], text: str) -> None:
    assert text in refusal({"PortBindings": {key: [binding]}})


@pytest.mark.parametrize(("text", "address"), [("::", "::"), ("[::1]", "::1"), ("2001:DB8::1", "2001:db8::1")])
def test_ports_are_published_on_addresses_of_ipv6_too(text: str, address: str) -> None:
    (request,) = parse({"PortBindings": {"80/tcp": [{"HostIp": text}]}}).network.requests
    assert str(request.host_ip) == address


# Restart, limits, devices.
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, RestartPolicy()),
        ({"Name": ""}, RestartPolicy()),
        ({"Name": "always"}, RestartPolicy(name="always")),
        ({"Name": "on-failure", "MaximumRetryCount": 3}, RestartPolicy(name="on-failure", retries=3)),
    ],
)
def test_restart_policies(policy: dict[str, Any], expected: RestartPolicy) -> None:
    assert parse({"RestartPolicy": policy}).restart == expected


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 1}}, "maximum retry count cannot be used with restart policy 'always'"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}, "maximum retry count cannot be negative"),
        (
            {"RestartPolicy": {"Name": "maybe"}},
            "invalid restart policy: unknown policy 'maybe'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove' container with restart policy"),
        ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 8 << 20, "MemorySwap": 7 << 20}, "Minimum memoryswap limit should be larger than memory limit, see usage"),
        ({"MemorySwap": 7 << 20}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"MemoryReservation": 1}, "Minimum memory reservation allowed is 6MB"),
        (
            {"Memory": 8 << 20, "MemoryReservation": 9 << 20},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        ({"NanoCpus": 3 * 10**9}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        ({"NanoCpus": -1}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        ({"NanoCpus": 1, "CpuPeriod": 1000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
        ({"NanoCpus": 1, "CpuQuota": 1000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"CpuPeriod": 1}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ({"CpuQuota": 1}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"CpusetCpus": "a"}, "Invalid value a for cpuset cpus"),
        ({"CpusetMems": "3-1"}, "Invalid value 3-1 for cpuset mems"),
        ({"OomScoreAdj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"Ulimits": [{"Name": "files", "Soft": 1, "Hard": 1}]}, "invalid ulimit type: files"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}, "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        ({"Devices": [{"PathOnHost": "null"}]}, "invalid device path"),
        ({"Devices": [{"PathOnHost": "/dev/null", "CgroupPermissions": "rx"}]}, "invalid device mode: rx"),
        ({"LogConfig": {"Type": "syslog"}}, "logger: no log driver named 'syslog' is registered"),
        ({"Runtime": "kata"}, "unknown or invalid runtime name: kata"),
        ({"Isolation": "hyperv"}, 'invalid isolation "hyperv" on linux'),
        ({"IpcMode": "everyone"}, "invalid IpcMode: everyone"),
    ],
)
def test_wrong_host_configs_are_refused(host: dict[str, Any], text: str) -> None:
    assert text in refusal(host)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"Image": ""}, "no image specified"),
        ({"Env": [""]}, "invalid environment variable: "),
        ({"Env": ["=x"]}, "invalid environment variable: =x"),
        ({"StopSignal": "SIGNOPE"}, "SIGNOPE"),
    ],
)
def test_wrong_configs_are_refused(config: dict[str, Any], text: str) -> None:
    assert text in refusal(**config)


@pytest.mark.parametrize(
    ("host", "config", "words"),
    [
        ({"Binds": ["data:/data"]}, {}, "data: named volumes are not supported: give a host path"),
        ({"Binds": ["./x:/data"]}, {}, "named volumes are not supported: give a host path"),
        ({"Binds": ["/data"]}, {}, "named volumes are not supported: give a host path"),
        ({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}]}, {}, "mounts of type volume are not supported"),
        ({"VolumesFrom": ["web"]}, {}, "volumes are not supported"),
        ({}, {"Volumes": {"/data": {}}}, "volumes are not supported"),
        ({"PidMode": "container:web"}, {}, "only the network of another container can be joined"),
        ({"DeviceRequests": [{"Count": -1}]}, {}, "--gpus"),
        ({}, {"NetworkDisabled": True}, "use network mode none"),
    ],
)
def test_what_is_not_there_says_so(host: dict[str, Any], config: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        parse(host, **config)
    assert words in str(caught.value)


def test_limits_and_security_are_taken_over() -> None:
    request = parse(
        {
            "Memory": 64 << 20,
            "NanoCpus": 1_500_000_000,
            "PidsLimit": -1,
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}],
            "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "", "CgroupPermissions": "r"}],
            "Privileged": True,
            "CapAdd": ["NET_ADMIN"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "ShmSize": 1,
            "Init": False,
            "AutoRemove": True,
        }
    )
    assert request.resources == Resources(
        memory=64 << 20,
        nano_cpus=1_500_000_000,
        ulimits=(Ulimit(name="nofile", soft=1, hard=-1),),
        devices=(Device(host_path="/dev/fuse", container_path="/dev/fuse", permissions="r"),),
    )
    assert request.security == Security(privileged=True, cap_add=("NET_ADMIN",), options=("no-new-privileges",), read_only_root=True)
    assert (request.shm_size, request.init, request.auto_remove) == (1, False, True)


@pytest.mark.parametrize(
    ("host", "config", "words"),
    [
        ({}, {"Healthcheck": {"Test": ["CMD", "true"]}}, "Healthcheck has no effect"),
        ({"BlkioWeight": 100}, {}, "BlkioWeight has no effect"),
        ({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}, {}, "Log options have no effect"),
        ({"MemorySwappiness": 10}, {}, "MemorySwappiness has no effect"),
        ({"OomKillDisable": True}, {}, "OOM killer is disabled for the container, but no memory limit is set"),
    ],
)
def test_what_has_no_effect_is_warned_about(host: dict[str, Any], config: dict[str, Any], words: str) -> None:
    (warning,) = parse(host, **config).warnings
    assert warning.startswith(words)


def test_what_clients_always_send_is_not_warned_about() -> None:
    host = {"BlkioWeight": 0, "MaskedPaths": None, "MemorySwappiness": -1, "CgroupParent": "", "LogConfig": {"Type": "", "Config": {}}}
    assert parse(host, Healthcheck={"Test": ["NONE"]}).warnings == ()


# Mounts.
@pytest.mark.parametrize(
    ("bind", "mount"),
    [
        ("/a:/b", Mount(kind="bind", source="/a", target="/b")),
        ("/a:/b:ro", Mount(kind="bind", source="/a", target="/b", options=("ro",))),
        ("/a:/b:rw,z,rslave", Mount(kind="bind", source="/a", target="/b", options=("rw", "z", "rslave"))),
        ("/a/:/b", Mount(kind="bind", source="/a/", target="/b")),
    ],
)
def test_binds(bind: str, mount: Mount) -> None:
    request = parse({"Binds": [bind]})
    assert (request.mounts, request.binds) == ((mount,), (bind,))


def test_mounts_and_tmpfs() -> None:
    request = parse(
        {
            "Mounts": [
                {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True, "BindOptions": {"Propagation": "rshared"}},
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1770}},
            ],
            "Tmpfs": {"/run": "size=64m,exec", "/x": ""},
        }
    )
    assert request.mounts == (
        Mount(kind="bind", source="/a", target="/b", options=("ro", "rshared")),
        Mount(kind="tmpfs", target="/t", options=("size=1024", "mode=1770")),
        Mount(kind="tmpfs", target="/run", options=("size=64m", "exec")),
        Mount(kind="tmpfs", target="/x"),
    )


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"Binds": ["a:b:c:d"]}, "invalid volume specification: 'a:b:c:d'"),
        ({"Binds": [":/b"]}, "invalid volume specification: ':/b'"),
        ({"Binds": ["/a:ro"]}, "invalid volume specification: '/a:ro'"),
        ({"Binds": ["/a:/b:nonsense"]}, "invalid mode: nonsense"),
        ({"Binds": ["/a:/b:ro,rw"]}, "invalid mode: ro,rw"),
        ({"Binds": ["/a:b"]}, "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be absolute"),
        ({"Binds": ["/a:/"]}, "invalid volume specification: '/a:/': invalid specification: destination can't be '/'"),
        ({"Binds": ["/a:/b/.."]}, "destination can't be '/'"),
        ({"Binds": ["/a:/b", "/c:/b/"]}, "Duplicate mount point: /b/"),
        ({"Binds": ["/a:/b"], "Tmpfs": {"/b": ""}}, "Duplicate mount point: /b"),
        ({"Tmpfs": {"b": ""}}, "invalid mount path: 'b' mount path must be absolute"),
        ({"Mounts": [{"Type": "bind", "Source": "/a"}]}, 'invalid mount config for type "bind": field Target must not be empty'),
        ({"Mounts": [{"Type": "bind", "Target": "/b"}]}, 'invalid mount config for type "bind": field Source must not be empty'),
        ({"Mounts": [{"Type": "bind", "Source": "a", "Target": "/b"}]}, "invalid mount path: 'a' mount path must be absolute"),
        ({"Mounts": [{"Type": "tmpfs", "Source": "a", "Target": "/b"}]}, "field Source must not be specified"),
        ({"Mounts": [{"Type": "nfs", "Source": "a", "Target": "/b"}]}, 'invalid mount config for type "nfs": mount type unknown'),
        (
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "x"}}]},
            "invalid propagation mode: x",
        ),
    ],
)
def test_wrong_mounts_are_refused(host: dict[str, Any], text: str) -> None:
    assert text in refusal(host)


@pytest.mark.parametrize(
    "option", ["no-new-privileges", "no-new-privileges:true", "seccomp=unconfined", "seccomp:unconfined", "label:disable"]
)
def test_security_options_are_taken_over_as_they_were_given(option: str) -> None:
    assert parse({"SecurityOpt": [option]}).security.options == (option,)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("secomp", 'invalid --security-opt 1: "secomp"'),
        ("secomp=unconfined", 'invalid --security-opt 2: "secomp=unconfined"'),
        ("seccomp", 'invalid --security-opt 1: "seccomp"'),
        ("", 'invalid --security-opt 1: ""'),
    ],
)
def test_a_security_option_that_nobody_knows_is_refused(option: str, said: str) -> None:
    assert refusal({"SecurityOpt": [option]}) == said
