"""The grammar of -p and --expose: every row of Docker's table, and every error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.cli.ports import Binding, bindings_by_port, parse_expose, parse_publish


@pytest.mark.parametrize(
    ("spec", "bindings"),
    [
        ("80", [Binding("80/tcp")]),
        (":80", [Binding("80/tcp")]),
        ("8080:80", [Binding("80/tcp", "", "8080")]),
        ("8080:80/udp", [Binding("80/udp", "", "8080")]),
        ("8080:80/UDP", [Binding("80/udp", "", "8080")]),
        ("80/sctp", [Binding("80/sctp")]),
        ("80/", [Binding("80/tcp")]),
        ("127.0.0.1:8080:80", [Binding("80/tcp", "127.0.0.1", "8080")]),
        ("127.0.0.1::80", [Binding("80/tcp", "127.0.0.1")]),
        ("127.0.0.1:0:80", [Binding("80/tcp", "127.0.0.1", "0")]),
        ("[::1]:8080:80", [Binding("80/tcp", "::1", "8080")]),
        ("::1:8080:80", [Binding("80/tcp", "::1", "8080")]),
        ("[::1]::80", [Binding("80/tcp", "::1")]),
        ("8000-8002:9000-9002", [Binding("9000/tcp", "", "8000"), Binding("9001/tcp", "", "8001"), Binding("9002/tcp", "", "8002")]),
        ("8000-8010:80", [Binding("80/tcp", "", "8000-8010")]),
        ("9000-9002", [Binding("9000/tcp"), Binding("9001/tcp"), Binding("9002/tcp")]),
        ("0:80", [Binding("80/tcp", "", "0")]),
        ("published=8080,target=80,protocol=udp", [Binding("80/udp", "", "8080")]),
        ("target=80", [Binding("80/tcp")]),
        ("mode=host,target=80,published=1-3", [Binding("80/tcp", "", "1-3")]),
        ("host_ip=127.0.0.1,published=1,target=2", [Binding("2/tcp", "", "1")]),
    ],
)
def test_publish(spec: str, bindings: list[Binding]) -> None:
    assert parse_publish(spec) == bindings


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no port specified: <empty>"),
        ("80:", "no port specified: 80:<empty>"),
        ("published=8080", "no port specified: 8080:/tcp<empty>"),
        ("80/foo", "invalid proto: foo"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("localhost:80:80", "invalid IP address: localhost"),
        ("80:80:80:80", "invalid IP address: 80:80"),
        ("fe80::1%eth0:80:80", "invalid IP address: fe80::1%eth0"),
        ("80:a", "invalid containerPort: a"),
        ("65536", "invalid containerPort: 65536"),
        ("9002-9000", "invalid containerPort: 9002-9000"),
        ("80-a", "invalid containerPort: 80-a"),
        (" 80", "invalid containerPort:  80"),
        ("a:80", "invalid hostPort: a"),
        ("70000:80", "invalid hostPort: 70000"),
        ("1-:80", "invalid hostPort: 1-"),
        ("-1:80", "invalid hostPort: -1"),
        ("1.2.3.4:80", "invalid hostPort: 1.2.3.4"),
        ("8000-8002:9000-9001", "invalid ranges specified for container and host Ports: 9000-9001 and 8000-8002"),
        ("8080:80-81", "invalid ranges specified for container and host Ports: 80-81 and 8080"),
        ("published=8080,target=80,foo", "invalid publish opts format (should be name=value but got 'foo')"),
        ("target=80,protocol=foo", "invalid proto: foo"),
    ],
)
def test_refused_publish(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        parse_publish(spec)
    assert str(caught.value) == message


def test_check_order_is_protocol_address_container_host() -> None:
    for spec, part in (("x:y:z/foo", "proto"), ("x:y:z", "IP address"), ("y:z", "containerPort"), ("y:80", "hostPort")):
        with pytest.raises(ValueError, match=f"invalid {part}: "):
            parse_publish(spec)


@given(
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.ip_addresses(),
)
def test_what_is_written_is_read(host: int, container: int, protocol: str, address: object) -> None:
    written = f"[{address}]" if ":" in str(address) else str(address)
    assert parse_publish(f"{written}:{host}:{container}/{protocol}") == [Binding(f"{container}/{protocol}", str(address), str(host))]


@pytest.mark.parametrize(("spec", "ports"), [("80", ["80/tcp"]), ("80/udp", ["80/udp"]), ("9000-9001", ["9000/tcp", "9001/tcp"])])
def test_expose(spec: str, ports: list[str]) -> None:
    assert parse_expose(spec) == ports


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("x", 'invalid range format for --expose: x, error: strconv.ParseUint: parsing "x": invalid syntax'),
        ("9-8", "invalid range format for --expose: 9-8, error: invalid range specified for port: 9-8"),
        ("", "invalid range format for --expose: , error: empty string specified for ports"),
        ("80:80", "invalid port format for --expose: 80:80"),
        ("65536", 'invalid range format for --expose: 65536, error: strconv.ParseUint: parsing "65536": value out of range'),
        ("80/foo", "invalid proto: foo"),
    ],
)
def test_refused_expose(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        parse_expose(spec)
    assert str(caught.value) == message


def test_two_bindings_of_one_port_are_kept() -> None:
    bindings = [*parse_publish("8080:80"), *parse_publish("8081:80")]
    assert bindings_by_port(bindings) == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "", "HostPort": "8081"}]}
