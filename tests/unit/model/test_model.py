"""Values that exist are valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import InvalidInput
from linkspan.model.container import NetworkMode, container_name
from linkspan.model.endpoint import mac_address, random_mac
from linkspan.model.network import interface_name
from linkspan.model.publish import Port, PortRequest
from linkspan.model.signals import signal_number


@pytest.mark.parametrize("name", ["web", "/web", "a1", "My.Web_app-2", "x" * 255])
def test_container_names(name: str) -> None:
    assert container_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "/", "a", "-web", "a/b", "..", "../etc", "a\nb", "a b", "web\n", "é1", "x" * 300])
def test_names_that_docker_refuses(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"Invalid container name .*, only \[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\] are allowed"):
        container_name(name)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [("", "bridge", ""), ("default", "bridge", ""), ("bridge", "bridge", ""), ("host", "host", ""), ("none", "none", ""),
     ("container:web", "container", "web"), ("mynet", "network", "mynet")],
)  # fmt: skip
def test_network_modes(text: str, kind: str, target: str) -> None:
    mode = NetworkMode.parse(text)
    assert (mode.kind, mode.target) == (kind, target)
    assert str(mode) == (text if text not in ("", "default") else "bridge")


@pytest.mark.parametrize("text", ["container", "container:"])
def test_a_container_mode_needs_a_target(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"invalid network mode: invalid container format container:<name\|id>"):
        NetworkMode.parse(text)


@pytest.mark.parametrize(
    ("text", "port"), [("80", Port(80)), ("80/tcp", Port(80)), ("53/UDP", Port(53, "udp")), ("9/sctp", Port(9, "sctp"))]
)
def test_ports(text: str, port: Port) -> None:
    assert Port.parse(text) == port
    assert Port.parse(str(port)) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80/", "80/icmp", "http", "80/tcp/udp", "٨٠"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        Port.parse(text)


@pytest.mark.parametrize(("first", "last"), [(2, 1), (-1, 5), (1, 65536)])
def test_port_ranges_that_are_none(first: int, last: int) -> None:
    with pytest.raises(InvalidInput, match=f"invalid port range: {first}-{last}"):
        PortRequest(port=Port(80), first=first, last=last)


@given(st.binary(min_size=6, max_size=6))
def test_random_macs_are_local_unicast(entropy: bytes) -> None:
    mac = random_mac(entropy)
    assert mac_address(mac) == mac
    assert int(mac[:2], 16) & 3 == 2


@pytest.mark.parametrize("text", ["", "02:42", "02:42:ac:11:00:0g", "01:00:5e:00:00:01", "02:42:ac:11:00:02\n:"])
def test_macs_that_an_interface_cannot_have(text: str) -> None:
    with pytest.raises(InvalidInput):
        mac_address(text)


@pytest.mark.parametrize("name", ["", "a" * 16, "eth 0", 'x"', "a/b", "-x", "x\n"])
def test_names_that_an_interface_cannot_have(name: str) -> None:
    with pytest.raises(InvalidInput):
        interface_name(name)


@pytest.mark.parametrize(("text", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37)])
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "TERM+x", "-9"])
def test_signals_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid signal"):
        signal_number(text)
