"""Every row of what Docker refuses of networks, with its status and words (semantics 3.6, 3.7)."""

import re
from typing import Any

import pytest

from tests.engines import Engine

pytestmark = pytest.mark.kernel

OPERATOR_FIELDS = (
    "configuration network can only contain network specific fields. "
    "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
)
OWN_CONFIGURATION = "user-specified configurations are not supported if the network depends on a configuration network"
DANGLING = 'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
BRIDGE = "com.docker.network.bridge."


def made_of(*pools: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"IPAM": {"Config": list(pools)}, **more}


NAMES = {
    "mtu": "com.docker.network.driver.mtu",
    "host_ipv4": "com.docker.network.host_ipv4",
    "host_ipv6": "com.docker.network.host_ipv6",
    "prefix": "com.docker.network.container_iface_prefix",
    "nmsgs": "com.docker.network.advertise_addr_nmsgs",
    "ms": "com.docker.network.advertise_addr_ms",
    "v4": "com.docker.network.enable_ipv4",
    "v6": "com.docker.network.enable_ipv6",
}


def options(**values: str) -> dict[str, Any]:
    return {"Options": {NAMES.get(key, f"{BRIDGE}{key}"): value for key, value in values.items()}}


def invalid(*lines: str) -> str:
    return "\n".join(("invalid network config:", *lines))


REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "predefined bridge": ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network "),
    "predefined default": ({"Name": "default"}, 403, "operation is not permitted on predefined default network "),
    "no name": ({"Name": ""}, 400, "invalid name: name is empty"),
    "a blank name": ({"Name": "  "}, 400, "invalid name: name is empty"),
    "a name that is taken": ({"Name": "taken"}, 409, "network with name taken already exists"),
    "driver host": ({"Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
    "driver null": ({"Driver": "null"}, 403, 'only one instance of "null" network is allowed'),
    "driver overlay": (
        {"Driver": "overlay"},
        403,
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    ),
    "an unknown driver": ({"Driver": "magic"}, 404, "could not find plugin magic in v1 plugin registry: plugin not found"),
    "an unknown ipam driver": ({"IPAM": {"Driver": "magic"}}, 400, 'invalid ipam driver: "magic"'),
    "ipv6 neither true nor false": (options(v6="maybe"), 400, 'driver-opt "com.docker.network.enable_ipv6" is not a valid bool'),
    "ipv4 neither true nor false": (options(v4="2"), 400, 'driver-opt "com.docker.network.enable_ipv4" is not a valid bool'),
    "config-from nothing": ({"ConfigFrom": {"Network": "no"}}, 404, 'configuration network "no" does not exist'),
    "config-from a network": ({"ConfigFrom": {"Network": "taken"}}, 404, 'configuration network "taken" does not exist'),
    "config-only internal": ({"ConfigOnly": True, "Internal": True}, 403, OPERATOR_FIELDS),
    "config-only attachable": ({"ConfigOnly": True, "Attachable": True}, 403, OPERATOR_FIELDS),
    "config-only with a scope": ({"ConfigOnly": True, "Scope": "local"}, 403, OPERATOR_FIELDS),
    "config-only and -from": (
        {"ConfigOnly": True, "ConfigFrom": {"Network": "plan"}},
        403,
        "a configuration network cannot depend on another configuration network",
    ),
    "config-from and a subnet": (made_of({"Subnet": "10.1.0.0/24"}, ConfigFrom={"Network": "plan"}), 403, OWN_CONFIGURATION),
    "config-from and labels": ({"Labels": {"a": "b"}, "ConfigFrom": {"Network": "plan"}}, 403, OWN_CONFIGURATION),
    "config-from and options": (
        {"ConfigFrom": {"Network": "plan"}, **options(enable_icc="false")},
        403,
        "network driver options are not supported if the network depends on a configuration network",
    ),
    "scope swarm": ({"Scope": "swarm"}, 403, "cannot create a swarm scoped network when swarm is not active"),
    "scope swarm without ipv4": ({"Scope": "swarm", "EnableIPv4": False}, 400, "IPv4 cannot be disabled in a Swarm scoped network"),
    "too many announcements": (options(nmsgs="4"), 400, "com.docker.network.advertise_addr_nmsgs must be in the range 0 to 3"),
    "announcements too often": (options(ms="10"), 400, "com.docker.network.advertise_addr_ms must be in the range 100 to 2000"),
    "no number of announcements": (
        options(nmsgs="x"),
        400,
        'value for option com.docker.network.advertise_addr_nmsgs "x" must be an integer',
    ),
    "no time of announcements": (
        options(ms="x"),
        400,
        'value for option com.docker.network.advertise_addr_ms "x" must be integer milliseconds',
    ),
    "no subnet": (made_of({"Subnet": "10.1.0.0"}), 400, invalid("invalid subnet 10.1.0.0: invalid CIDR block notation")),
    "host bits": (made_of({"Subnet": "10.1.0.1/24"}), 400, invalid("invalid subnet 10.1.0.1/24: it should be 10.1.0.0/24")),
    "a range of the other family": (
        made_of({"Subnet": "10.1.0.0/24", "IPRange": "fd00::/64"}),
        400,
        invalid("invalid ip-range fd00::/64: parent subnet is an IPv4 block"),
    ),
    "a range larger than its subnet": (
        made_of({"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.0/16"}),
        400,
        invalid("invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent subnet 10.1.0.0/24"),
    ),
    "a range with host bits": (
        made_of({"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.1/28"}),
        400,
        invalid("invalid ip-range 10.1.0.1/28: it should be 10.1.0.0/28"),
    ),
    "a range elsewhere": (
        made_of({"Subnet": "10.1.0.0/24", "IPRange": "10.2.0.0/28"}),
        400,
        invalid("invalid ip-range 10.2.0.0/28: parent subnet 10.1.0.0/24 doesn't contain ip-range"),
    ),
    "a gateway elsewhere": (
        made_of({"Subnet": "10.1.0.0/24", "Gateway": "10.2.0.1"}),
        400,
        invalid("invalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain this address"),
    ),
    "a gateway of the other family": (
        made_of({"Subnet": "10.1.0.0/24", "Gateway": "fd00::1"}),
        400,
        invalid("invalid gateway fd00::1: parent subnet is an IPv4 block"),
    ),
    "an auxiliary address elsewhere": (
        made_of({"Subnet": "10.1.0.0/24", "AuxiliaryAddresses": {"nas": "10.2.0.1"}}),
        400,
        invalid("invalid auxiliary address nas: parent subnet 10.1.0.0/24 doesn't contain this address"),
    ),
    "an auxiliary address of the other family": (
        made_of({"Subnet": "10.1.0.0/24", "AuxiliaryAddresses": {"nas": "fd00::1"}}),
        400,
        invalid("invalid auxiliary address nas: parent subnet is an IPv4 block"),
    ),
    "several faults at once": (
        made_of({"Subnet": "10.1.0.1/24", "Gateway": "10.2.0.1"}, {"Subnet": "fd00::1/64"}, EnableIPv6=True),
        400,
        invalid(
            "invalid subnet 10.1.0.1/24: it should be 10.1.0.0/24",
            "invalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain this address",
            "invalid subnet fd00::1/64: it should be fd00::/64",
        ),
    ),
    "an overlap with a network": (
        made_of({"Subnet": "10.9.0.0/16"}),
        403,
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
    "the network's own address as gateway": (
        made_of({"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.0"}),
        500,
        "failed to allocate gateway (10.1.0.0): Address already in use",
    ),
    "the gateway as an auxiliary address": (
        made_of({"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.9", "AuxiliaryAddresses": {"nas": "10.1.0.9"}}),
        500,
        "failed to allocate secondary ip address (nas:10.1.0.9): Address already in use",
    ),
    "no pool is long enough": (made_of({"Subnet": "0.0.0.0/8"}), 400, "all predefined address pools have been fully subnetted"),
    "two subnets": (made_of({"Subnet": "10.1.0.0/24"}, {"Subnet": "10.2.0.0/24"}), 403, "bridge driver doesn't support multiple subnets"),
    "no family": ({"EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
    "an empty pool": (made_of({"Subnet": "0.0.0.0/0"}), 400, "ipv4 pool is empty"),
    "a negative MTU": (options(mtu="-1"), 400, "invalid MTU number: -1"),
    "an MTU that the kernel would refuse": (options(mtu="67"), 400, "invalid MTU number: 67"),
    "no MTU": (
        options(mtu="big"),
        400,
        'failed to parse com.docker.network.driver.mtu value: big (strconv.Atoi: parsing "big": invalid syntax)',
    ),
    "icc neither true nor false": (
        options(enable_icc="maybe"),
        400,
        f'failed to parse {BRIDGE}enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)',
    ),
    "masquerade neither true nor false": (
        options(enable_ip_masquerade=""),
        400,
        f'failed to parse {BRIDGE}enable_ip_masquerade value:  (strconv.ParseBool: parsing "": invalid syntax)',
    ),
    "inhibit_ipv4 neither true nor false": (
        options(inhibit_ipv4="no"),
        400,
        f'failed to parse {BRIDGE}inhibit_ipv4 value: no (strconv.ParseBool: parsing "no": invalid syntax)',
    ),
    "no binding address": (options(host_binding_ipv4="x"), 400, f"failed to parse {BRIDGE}host_binding_ipv4 value: x (nil ip)"),
    "no source address": (options(host_ipv4="::1"), 400, "failed to parse com.docker.network.host_ipv4 value: ::1 (nil ip)"),
    "no IPv6 source address": (options(host_ipv6="1.2.3.4"), 400, "failed to parse com.docker.network.host_ipv6 value: 1.2.3.4 (nil ip)"),
    "an unknown gateway mode": (
        options(gateway_mode_ipv4="odd"),
        400,
        f"failed to parse {BRIDGE}gateway_mode_ipv4 value: odd (unknown gateway mode odd)",
    ),
    "an isolated gateway outside": (
        options(gateway_mode_ipv4="isolated"),
        400,
        "gateway mode 'isolated' can only be used for an internal network",
    ),
    "a bad bridge name": (options(name="a/b"), 400, "invalid interface name 'a/b'"),
    "a bad interface prefix": (options(prefix="a b"), 400, "invalid interface name 'a b'"),
    "an IPv6 multicast subnet": (made_of({"Subnet": "ff02::/64"}, EnableIPv6=True), 400, "multicast subnet 'ff02::/64' is not allowed"),
    "an IPv4 subnet in disguise": (
        made_of({"Subnet": "::ffff:10.0.0.0/104"}, EnableIPv6=True),
        400,
        "'::ffff:a00:0/104' is not a valid IPv6 subnet",
    ),
    "a link-local subnet": (
        made_of({"Subnet": "fe80::/64"}, EnableIPv6=True),
        400,
        "'fe80::/64' clashes with the Link-Local prefix 'fe80::/64'",
    ),
}


@pytest.fixture(scope="module")
def settled(machine: tuple[Engine, object]) -> Engine:
    engine, _ = machine
    engine.docker("network", "create", "--subnet", "10.9.7.0/24", "-o", f"{BRIDGE}name=br-taken", "taken")
    assert engine.api("POST", "/networks/create", {"Name": "plan", "ConfigOnly": True})[0] == 201
    return engine


@pytest.mark.parametrize("row", REFUSALS)
def test_what_is_refused(settled: Engine, row: str) -> None:
    body, status, message = REFUSALS[row]
    before = settled.host.sh("ip", "-br", "link")
    assert settled.api("POST", "/networks/create", {"Name": "new", **body}) == (status, {"message": message})
    assert settled.host.sh("ip", "-br", "link") == before


def test_two_networks_do_not_share_a_bridge(settled: Engine) -> None:
    status, answer = settled.api("POST", "/networks/create", {"Name": "new", **options(name="br-taken")})
    assert status == 403
    pattern = (
        r"cannot create network [0-9a-f]{64} \(br-taken\): conflicts with network [0-9a-f]{64} \(br-taken\): networks have same bridge name"
    )
    assert re.fullmatch(pattern, answer["message"])


def test_an_interface_that_is_no_bridge_is_not_used(settled: Engine) -> None:
    settled.host.sh("ip", "link", "add", "odd0", "type", "veth", "peer", "name", "odd1")
    status, answer = settled.api("POST", "/networks/create", {"Name": "new", **options(name="odd0")})
    assert (status, answer["message"]) == (409, "existing interface odd0 is not a bridge")
    settled.host.sh("ip", "link", "del", "odd0")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("DELETE", "/networks/bridge", 403, "bridge is a pre-defined network and cannot be removed"),
        ("DELETE", "/networks/host", 403, "host is a pre-defined network and cannot be removed"),
        ("DELETE", "/networks/nothing", 404, "network nothing not found"),
        ("GET", "/networks/nothing", 404, "network nothing not found"),
        ("GET", '/networks?filters={"type":["odd"]}', 400, "invalid filter: 'type'='odd'"),
        (
            "GET",
            '/networks?filters={"dangling":["x"]}',
            400,
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
        ),
        ("GET", '/networks?filters={"dangling":["true","false"]}', 400, 'got more than one value for filter key "dangling"'),
        ("GET", '/networks?filters={"odd":["x"]}', 400, "invalid filter 'odd'"),
        ("POST", '/networks/prune?filters={"until":["1h","2h"]}', 400, "more than one until filter specified"),
        ("POST", '/networks/prune?filters={"name":["x"]}', 400, "invalid filter 'name'"),
    ],
)
def test_what_else_is_refused(settled: Engine, method: str, path: str, status: int, message: str) -> None:
    assert settled.api(method, path.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")) == (status, {"message": message})


def test_a_configuration_network_in_use_stays(settled: Engine) -> None:
    assert settled.api("POST", "/networks/create", {"Name": "user", "ConfigFrom": {"Network": "plan"}})[0] == 201
    message = 'error while removing network: configuration network "plan" is in use'
    assert settled.api("DELETE", "/networks/plan") == (403, {"message": message})
    assert settled.api("DELETE", "/networks/user")[0] == 204


def test_nothing_can_be_put_on_a_configuration_network(settled: Engine) -> None:
    said = settled.refused("run", "--rm", "--net=plan", "busybox", "true")
    assert "cannot create endpoint on configuration-only network" in said


def test_an_ambiguous_beginning_of_an_id(settled: Engine) -> None:
    made = [settled.docker("network", "create", f"many{number}") for number in range(17)]
    first = next(sign for sign in "0123456789abcdef" if sum(identity.startswith(sign) for identity in made) > 1)
    status, answer = settled.api("GET", f"/networks/{first}")
    assert status == 400
    assert re.fullmatch(rf"network {first} is ambiguous \([0-9]+ matches found based on ID prefix\)", answer["message"])
    settled.docker("network", "rm", *made)
