"""network ls, create, rm, connect, disconnect, prune."""

from typing import Any

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.fake_engine import FakeEngine


def network(name: str, driver: str = "bridge") -> dict[str, Any]:
    return {"Id": name[0] * 64, "Name": name, "Driver": driver, "Scope": "local", "Created": "2026-11-24T01:00:00.5Z", "Labels": {"a": "1"}}


def test_ls(call: Call, engine: FakeEngine) -> None:
    engine.on_json("GET /networks", [network("net10"), network("bridge"), network("net2"), network("host", "host")])
    assert call("network", "ls", "-f", "driver=bridge").out == (
        "NETWORK ID     NAME      DRIVER    SCOPE\n"
        "bbbbbbbbbbbb   bridge    bridge    local\n"
        "hhhhhhhhhhhh   host      host      local\n"
        "nnnnnnnnnnnn   net2      bridge    local\n"
        "nnnnnnnnnnnn   net10     bridge    local\n"
    )
    assert engine.asked[0].query == {"filters": '{"driver": {"bridge": true}}'}
    assert call("network", "ls", "-q", "--no-trunc").out.splitlines()[0] == "b" * 64
    said = call("network", "ls", "--format", '{{.Name}} {{.CreatedAt}} {{.Label "a"}} {{.IPv6}}')
    assert said.out.splitlines()[0] == "bridge 2026-11-24 01:00:00.5 +0000 UTC 1 false"


def test_create(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /networks/create", {"Id": "n" * 64, "Warning": "careful"}, 201)
    words = "--subnet 10.0.0.0/24 --subnet 10.0.1.0/24 --gateway 10.0.1.1 --ip-range 10.0.0.128/25 --aux-address a=10.0.0.5"
    said = call("network", "create", *words.split(), "-o", "x=y", "--label", "l=m", "--internal", "--ipv6", "net")
    assert (said.out, said.err) == ("n" * 64 + "\n", "WARNING: careful\n")
    body = engine.asked[0].json
    assert body["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [
            {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25", "AuxiliaryAddresses": {"a": "10.0.0.5"}},
            {"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"},
        ],
    }
    assert (body["Name"], body["Driver"], body["Options"], body["Labels"]) == ("net", "bridge", {"x": "y"}, {"l": "m"})
    assert (body["Internal"], body["EnableIPv6"], "EnableIPv4" in body) == (True, True, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--subnet 10.0.0.0/24,10.0.0.128/25", "multiple overlapping subnet configuration is not supported"),
        ("--gateway 1.2.3.4", "every ip-range or gateway must have a corresponding subnet"),
        ("--subnet 10.0.0.0/24 --gateway 11.0.0.1", "no matching subnet for gateway 11.0.0.1"),
        ("--subnet 10.0.0.0/24 --aux-address a=11.0.0.1", "no matching subnet for aux-address 11.0.0.1"),
        (
            "--subnet 10.0.0.0/24 --subnet 10.1.0.0/24 --gateway 10.0.0.1 --gateway 10.0.0.2",
            "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
        ),
        ("--subnet 10.0.0.0/24 --gateway x", "invalid gateway x"),
    ],
)
def test_refused_create(call: Call, engine: FakeEngine, words: str, message: str) -> None:
    said = call("network", "create", *words.split(), "net")
    assert (said.status, said.err) == (1, message + "\n")
    assert engine.asked == []


def test_rm(call: Call, engine: FakeEngine) -> None:
    engine.on_json("DELETE /networks/net", None, 204)
    engine.refuse("DELETE /networks/bridge", 403, "bridge is a pre-defined network and cannot be removed")
    said = call("network", "rm", "bridge", "net")
    assert (said.status, said.out) == (1, "net\n")
    assert said.err == "Error response from daemon: bridge is a pre-defined network and cannot be removed\n"
    assert call("network", "rm", "nosuch").status == 1
    assert call("network", "rm", "-f", "nosuch").status == 0


def test_connect_and_disconnect(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /networks/net/connect", None)
    engine.on_json("POST /networks/net/disconnect", None)
    assert call("network", "connect", "--ip", "10.0.0.9", "--alias", "a", "--gw-priority", "5", "net", "web").status == 0
    assert engine.asked[0].json == {
        "Container": "web",
        "EndpointConfig": {"Aliases": ["a"], "GwPriority": 5, "IPAMConfig": {"IPv4Address": "10.0.0.9"}},
    }
    assert call("network", "disconnect", "-f", "net", "web").status == 0
    assert engine.asked[1].json == {"Container": "web", "Force": True}
    assert call("network", "connect", "--driver-opt", "x", "net", "web").err == "invalid key/value pair format in driver options\n"


def test_prune(call: Call, engine: FakeEngine) -> None:
    engine.on_json("POST /networks/prune", {"NetworksDeleted": ["net"]})
    assert call("network", "prune", "-f").out == "Deleted Networks:\nnet\n\n"
