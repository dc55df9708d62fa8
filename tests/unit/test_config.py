"""dockerd's command line and daemon.json."""

import json
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from linkspan.config import Config, load
from linkspan.errors import InvalidInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


def configured(file: Path, content: object, *flags: str) -> Config:
    file.write_text(json.dumps(content))
    return load(["--config-file", str(file), *flags])


def test_the_defaults_are_dockers_but_for_the_mtu_that_follows_the_host(file: Path) -> None:
    config = configured(file, {})
    assert config.data_root == Path("/var/lib/linkspan")
    assert config.sockets == ("unix:///run/linkspan/linkspan.sock",)
    assert (config.mtu, config.icc, config.ip, config.ip_forward, config.ip_masq) == (0, True, IPv4Address(0), True, True)
    assert config.warnings == ()


def test_flags_that_act(file: Path) -> None:
    config = configured(
        file, {}, "--bip", "10.1.0.1/16", "--fixed-cidr=10.1.2.0/24", "--mtu", "1400", "--icc=false", "--ip", "127.0.0.1",
        "--dns", "192.0.2.1", "--dns", "192.0.2.2", "--dns-search", "a.example", "--dns-opt", "ndots:1",
        "-H", "unix:///tmp/a.sock", "-H", "tcp://127.0.0.1:2375", "-g", "/data", "--exec-root", "/run/x", "-D", "--live-restore=false",
    )  # fmt: skip
    assert config.bip == IPv4Interface("10.1.0.1/16")
    assert config.fixed_cidr == IPv4Network("10.1.2.0/24")
    assert (config.mtu, config.icc, config.ip) == (1400, False, IPv4Address("127.0.0.1"))
    assert (config.dns, config.dns_search, config.dns_options) == (("192.0.2.1", "192.0.2.2"), ("a.example",), ("ndots:1",))
    assert config.sockets == ("unix:///tmp/a.sock", "tcp://127.0.0.1:2375")
    assert (config.data_root, config.exec_root, config.log_level, config.live_restore) == (Path("/data"), Path("/run/x"), "debug", False)


def test_the_file_says_the_same(file: Path) -> None:
    config = configured(
        file, {"bip": "10.1.0.1/16", "mtu": 1400, "icc": False, "dns": ["192.0.2.1"], "hosts": ["unix:///a"], "debug": True}
    )
    assert (config.bip, config.mtu, config.icc, config.dns) == (IPv4Interface("10.1.0.1/16"), 1400, False, ("192.0.2.1",))
    assert (config.sockets, config.log_level) == (("unix:///a",), "debug")


@pytest.mark.parametrize(
    ("flags", "content", "names"),
    [
        (["--containerd", "/x"], {}, ["--containerd"]),
        (
            ["--userland-proxy=false", "--storage-driver", "overlay2", "--iptables"],
            {},
            ["--userland-proxy", "--storage-driver", "--iptables"],
        ),
        ([], {"storage-driver": "overlay2", "log-opts": {"max-size": "1m"}}, ['"storage-driver"', '"log-opts"']),
    ],
)
def test_parts_that_linkspan_lacks_are_warned_of_once_each(file: Path, flags: list[str], content: object, names: list[str]) -> None:
    warnings = configured(file, content, *flags).warnings
    assert len(warnings) == len(names)
    assert all(any(name in warning for warning in warnings) for name in names)


@pytest.mark.parametrize(
    ("flags", "content", "text"),
    [
        (["--nope"], {}, "--nope"),
        (["--mtu", "big"], {}, 'invalid argument "big" for "--mtu"'),
        (["--mtu", "1"], {}, "invalid MTU number: 1"),
        (["-b", "br0", "--bip", "10.0.0.1/8"], {}, "You specified -b & --bip, mutually exclusive options"),
        (["--mtu", "1400"], {"mtu": 1400}, "specified both as a flag and in the configuration file: mtu"),
        ([], {"nope": 1}, "the following directive in .* don't match any configuration option: nope"),
        ([], ["x"], "it must hold a JSON object"),
        (["--data-root", "relative"], {}, "must be absolute"),
        (["--tls"], {}, "tls"),
        (["-H", "http://x"], {}, "invalid bind address"),
    ],
)
def test_what_is_wrong_is_named(file: Path, flags: list[str], content: object, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        configured(file, content, *flags)


def test_a_file_that_is_no_json_or_not_there(file: Path) -> None:
    file.write_text("{")
    with pytest.raises(InvalidInput, match="unable to configure the engine with file"):
        load(["--config-file", str(file)])
    with pytest.raises(InvalidInput, match="no such file"):
        load(["--config-file", str(file.with_name("missing.json"))])


@pytest.mark.parametrize("key", ["dns", "dns-search", "dns-opts"])
@pytest.mark.parametrize("value", ["a\nnameserver 192.0.2.9", "fe80::1%a\nnameserver 192.0.2.9", "two words", ""])
def test_nothing_gets_a_line_of_its_own_in_resolv_conf(file: Path, key: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        configured(file, {key: [value]})


def test_pools_reserved_subnets_and_options_of_networks(file: Path) -> None:
    content = {
        "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}, {"base": "fd10::/48", "size": 64}],
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}},
    }
    flags = ("--default-address-pool", "base=10.20.0.0/16,size=26", "--reserved-subnet", "10.8.0.0/16")
    config = configured(file, content, *flags, "--default-network-opt", "bridge=com.docker.network.bridge.enable_icc=false")
    assert [(str(pool.base), pool.size) for pool in config.address_pools] == [("10.10.0.0/16", 24), ("fd10::/48", 64), ("10.20.0.0/16", 26)]
    assert config.reserved_subnets == (IPv4Network("10.8.0.0/16"),)
    assert config.network_options == (
        ("bridge", "com.docker.network.driver.mtu", "1400"),
        ("bridge", "com.docker.network.bridge.enable_icc", "false"),
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("default-address-pools", [{"base": "10.10.0.0/24", "size": 16}], "cannot be cut into subnets of size 16"),
        ("default-address-pools", [{"base": "10.10.0.0/24"}], "base=SUBNET,size=LENGTH is wanted"),
        ("default-address-pools", "10.10.0.0/24", "a list is wanted"),
        ("default-network-opts", {"bridge": "x"}, "a list is wanted"),
        ("default-network-opts", ["bridge"], "DRIVER=OPTION=VALUE is wanted"),
        ("reserved-subnets", ["10.8.0.1/16"], "has host bits set"),
    ],
)
def test_bad_pools_and_options_name_the_key(file: Path, key: str, value: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        configured(file, {key: value})
