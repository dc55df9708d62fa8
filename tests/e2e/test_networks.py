"""User-defined networks by the real docker client: making, showing, removing (semantics 3.6, 3.7)."""

import json
from typing import Any

import pytest

from tests.engines import Engine
from tests.hosts import until

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
