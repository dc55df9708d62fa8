"""The engine's settings: dockerd's command line and daemon.json, turned into one value.

Source: dockerd's reference (docs.docker.com/reference/cli/dockerd). A command line flag that is also set in the file is an
error, as it is for dockerd; options that may be given several times are plural in the file (`dns`, `hosts`, `labels`).
"""

import argparse
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from linkspan import settings, strict_json
from linkspan.errors import InvalidInput
from linkspan.settings import AddressPool as AddressPool  # noqa: PLC0414  for those who need it with Config

DEFAULT_CONFIG_FILE = Path("/etc/linkspan/daemon.json")
DEFAULT_DATA_ROOT = Path("/var/lib/linkspan")
DEFAULT_EXEC_ROOT = Path("/run/linkspan")
EVERY_ADDRESS = ipaddress.IPv4Address(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The engine's settings, valid by construction. Empty strings and None mean: the engine chooses."""

    data_root: Path = DEFAULT_DATA_ROOT
    exec_root: Path = DEFAULT_EXEC_ROOT
    hosts: tuple[str, ...] = ()
    pidfile: Path | None = None
    group: str = "linkspan"
    log_level: str = "info"
    bridge: str = ""
    bip: ipaddress.IPv4Interface | None = None
    fixed_cidr: ipaddress.IPv4Network | None = None
    default_gateway: ipaddress.IPv4Address | None = None
    mtu: int = 0
    """Of networks that are not told theirs; 0: the smallest of the host's ways out, whatever becomes of them."""
    icc: bool = True
    ip: ipaddress.IPv4Address = EVERY_ADDRESS
    ip_forward: bool = True
    ip_masq: bool = True
    address_pools: tuple[AddressPool, ...] = ()
    reserved_subnets: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Where networks never get their subnets from, be there a route or not: a VPN that is down."""
    network_options: tuple[tuple[str, str, str], ...] = ()
    """(driver, option, value): the options of networks that do not give them."""
    host_gateway_ip: ipaddress.IPv4Address | None = None
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_routes: tuple[str, ...] = ()
    """DOMAIN=SERVER: whom containers' questions about a domain go to."""
    dns_ttl: int = 600
    """Seconds that the answer to a container's name may be kept."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    """Where the host's name servers are found."""
    default_bridge_dns: bool = False
    """Whether containers on the network `bridge` know each other by name too."""
    hosts_file: Path | None = None
    """A file in the form of /etc/hosts, in which the host finds the containers by name."""
    host_docker_internal: bool = True
    """Whether containers know the host by the names host.docker.internal and gateway.docker.internal."""
    insecure_registries: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    runtime: str = ""
    init: bool = False
    shm_size: int = 64 << 20
    live_restore: bool = True
    shutdown_timeout: int = 15
    repair: bool = True
    warnings: tuple[str, ...] = ()
    """One sentence for each accepted option that has no effect here."""

    @property
    def sockets(self) -> tuple[str, ...]:
        """Where the API is served: `unix://PATH`, `tcp://HOST:PORT` or `fd://`."""
        return self.hosts or (f"unix://{self.exec_root}/linkspan.sock",)

    @property
    def namespaces(self) -> Path:
        """The folder of the files that network namespaces are bound to, each named by its sandbox."""
        return self.exec_root / "netns"

    @property
    def pid_path(self) -> Path:
        return self.pidfile or self.exec_root / "linkspan.pid"

    def __post_init__(self) -> None:
        if self.bridge and self.bip:
            raise InvalidInput("You specified -b & --bip, mutually exclusive options. Please specify only one")
        if self.mtu and not 68 <= self.mtu <= 65535:
            raise InvalidInput(f"invalid MTU number: {self.mtu}")
        if not self.data_root.is_absolute() or not self.exec_root.is_absolute():
            raise InvalidInput("--data-root and --exec-root must be absolute paths")
        for host in self.sockets:
            if host.partition("://")[0] not in ("unix", "tcp", "fd"):
                raise InvalidInput(f"invalid bind address ({host}): use unix://PATH, tcp://HOST:PORT or fd://")


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of dockerd that acts here: its flags, its key in daemon.json, its field in Config, and its parser."""

    flags: tuple[str, ...]
    key: str
    field: str
    parse: Callable[[str], object]
    help: str
    many: bool = False
    switch: bool = False


_OPTIONS = (
    _Option(("--data-root", "-g", "--graph"), "data-root", "data_root", settings.path, "folder of images, containers and the store"),
    _Option(("--exec-root",), "exec-root", "exec_root", settings.path, "folder of what lasts until the next boot: socket, namespaces"),
    _Option(("--host", "-H"), "hosts", "hosts", settings.host, "where to serve the API (unix://PATH, tcp://HOST:PORT)", many=True),
    _Option(("--pidfile", "-p"), "pidfile", "pidfile", settings.path, "path of the engine's pid file"),
    _Option(("--group", "-G"), "group", "group", str, "group of the unix socket"),
    _Option(("--log-level", "-l"), "log-level", "log_level", settings.level, "debug, info, warn or error"),
    _Option(("--bridge", "-b"), "bridge", "bridge", str, "use this existing bridge instead of docker0; none: no default network"),
    _Option(("--bip",), "bip", "bip", ipaddress.IPv4Interface, "address and prefix of the bridge, e.g. 172.17.0.1/16"),
    _Option(("--fixed-cidr",), "fixed-cidr", "fixed_cidr", ipaddress.IPv4Network, "part of the subnet that containers get addresses of"),
    _Option(("--default-gateway",), "default-gateway", "default_gateway", ipaddress.IPv4Address, "gateway of the default network"),
    _Option(("--mtu",), "mtu", "mtu", settings.whole, "MTU of networks, bytes; 0: the smallest of the host's ways out"),
    _Option(
        ("--default-address-pool",),
        "default-address-pools",
        "address_pools",
        settings.address_pool,
        "where networks get their subnets from (base=SUBNET,size=LENGTH)",
        many=True,
    ),
    _Option(
        ("--reserved-subnet",),
        "reserved-subnets",
        "reserved_subnets",
        settings.subnet,
        "subnet to keep clear of (not dockerd's)",
        many=True,
    ),
    _Option(
        ("--default-network-opt",),
        "default-network-opts",
        "network_options",
        settings.driver_option,
        "option of new networks (DRIVER=OPTION=VALUE)",
        many=True,
    ),
    _Option(("--icc",), "icc", "icc", settings.boolean, "containers of the default network may talk to each other", switch=True),
    _Option(("--ip",), "ip", "ip", ipaddress.IPv4Address, "host address that ports are published on when -p names none"),
    _Option(("--ip-forward",), "ip-forward", "ip_forward", settings.boolean, "switch net.ipv4.ip_forward on", switch=True),
    _Option(("--ip-masq",), "ip-masq", "ip_masq", settings.boolean, "masquerade what containers send to the outside", switch=True),
    _Option(
        ("--host-gateway-ip",), "host-gateway-ip", "host_gateway_ip", ipaddress.IPv4Address, "what `--add-host NAME:host-gateway` means"
    ),
    _Option(("--dns",), "dns", "dns", settings.name_server, "name server of containers", many=True),
    _Option(("--dns-search",), "dns-search", "dns_search", settings.word, "search domain of containers", many=True),
    _Option(("--dns-opt", "--dns-option"), "dns-opts", "dns_options", settings.word, "resolver option of containers", many=True),
    _Option(
        ("--dns-route",),
        "dns-routes",
        "dns_routes",
        settings.route,
        "DOMAIN=ADDRESS: server for the names of a domain (not dockerd's)",
        many=True,
    ),
    _Option(
        ("--dns-ttl",), "dns-ttl", "dns_ttl", settings.lifetime, "seconds that answers to containers' names may be kept (not dockerd's)"
    ),
    _Option(("--resolv-conf",), "resolv-conf", "resolv_conf", settings.path, "file with the host's name servers (not dockerd's)"),
    _Option(
        ("--hosts-file",), "hosts-file", "hosts_file", settings.path, "keep the names of containers in this hosts file (not dockerd's)"
    ),
    _Option(
        ("--default-bridge-dns",),
        "default-bridge-dns",
        "default_bridge_dns",
        settings.boolean,
        "names on the default network too (not dockerd's)",
        switch=True,
    ),
    _Option(
        ("--host-docker-internal",),
        "host-docker-internal",
        "host_docker_internal",
        settings.boolean,
        "containers know the host as host.docker.internal (not dockerd's)",
        switch=True,
    ),
    _Option(("--insecure-registry",), "insecure-registries", "insecure_registries", str, "registry without TLS", many=True),
    _Option(("--label",), "labels", "labels", str, "label of this engine, shown by info", many=True),
    _Option(("--default-runtime",), "default-runtime", "runtime", str, "crun or runc; default: what this host can run"),
    _Option(("--init",), "init", "init", settings.boolean, "run an init in every container", switch=True),
    _Option(("--default-shm-size",), "default-shm-size", "shm_size", settings.size, "size of /dev/shm in containers"),
    _Option(
        ("--live-restore",),
        "live-restore",
        "live_restore",
        settings.boolean,
        "containers outlive the engine (false: it stops them)",
        switch=True,
    ),
    _Option(
        ("--repair",), "repair", "repair", settings.boolean, "mend by itself what others break on the host (not dockerd's)", switch=True
    ),
    _Option(
        ("--shutdown-timeout",),
        "shutdown-timeout",
        "shutdown_timeout",
        settings.whole,
        "seconds to stop containers in, with --live-restore=false",
    ),
)

_DEBUG = _Option(("--debug", "-D"), "debug", "debug", settings.boolean, "same as --log-level=debug", switch=True)
_IGNORED_SWITCHES = (
    "iptables ip6tables ipv6 userland-proxy selinux-enabled experimental rootless raw-logs no-new-privileges "
    "allow-nondistributable-artifacts ip-forward-no-drop allow-direct-routing"
).split()
_IGNORED_VALUES = (
    "add-runtime allow-nondistributable-artifact api-cors-header bip6 bridge-accept-fwmark cdi-spec-dir cgroup-parent "
    "config-only containerd containerd-namespace containerd-plugins-namespace cpu-rt-period cpu-rt-runtime "
    "default-cgroupns-mode default-gateway-v6 default-ipc-mode default-ulimit exec-opt feature firewall-backend "
    "fixed-cidr-v6 http-proxy https-proxy no-proxy init-path log-driver log-format log-opt max-concurrent-downloads "
    "max-concurrent-uploads max-download-attempts metrics-addr network-control-plane-mtu node-generic-resource oom-score-adjust "
    "registry-mirror seccomp-profile storage-driver storage-opt swarm-default-advertise-addr "
    "userland-proxy-path userns-remap"
).split()
# Accepting one of these without doing what it says would open a door that the admin believes to be shut.
_REFUSED = "tls tlsverify tlscacert tlscert tlskey authorization-plugin".split()
_PLURALS = {
    "add-runtime": "runtimes",
    "default-ulimit": "default-ulimits",
    "exec-opt": "exec-opts",
    "feature": "features",
    "log-opt": "log-opts",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
_IGNORED_KEYS = {_PLURALS.get(name, name): name for name in _IGNORED_SWITCHES + _IGNORED_VALUES}


class _Parser(argparse.ArgumentParser):
    """argparse that raises InvalidInput instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `linkspan daemon`; values are still text (None: not given)."""
    made = _Parser(
        prog="linkspan daemon",
        description="Run the engine in the foreground. Takes dockerd's command line and daemon.json; what linkspan has no part for is "
        "accepted with a warning.",
        epilog="Instead of running: --validate checks the flags and the file; --purge takes off the host what an engine with these "
        "flags made there; --doctor examines the host and prints a report (`linkspan doctor` shows it).",
        allow_abbrev=False,
    )
    made.add_argument("--config-file", metavar="FILE", default=None, help=f"settings in JSON (default {DEFAULT_CONFIG_FILE})")
    made.add_argument("--debug", "-D", nargs="?", const="true", default=None, metavar="BOOL", help="same as --log-level=debug")
    for option in _OPTIONS:
        shape: dict[str, Any] = {"nargs": "?", "const": "true", "metavar": "BOOL"} if option.switch else {"metavar": "VALUE"}
        action = "append" if option.many else "store"
        made.add_argument(*option.flags, dest=option.field, default=None, action=action, help=option.help, **shape)
    for name in _IGNORED_SWITCHES:
        made.add_argument(f"--{name}", nargs="?", const="true", default=None, help=argparse.SUPPRESS)
    for name in _REFUSED:
        made.add_argument(f"--{name}", nargs="?", const="true", default=None, help=argparse.SUPPRESS)
    for name in _IGNORED_VALUES:
        made.add_argument(f"--{name}", action="append", default=None, help=argparse.SUPPRESS)
    return made


def load(arguments: Sequence[str]) -> Config:
    """Turn a command line and the file it names into settings.

    Raises InvalidInput, naming the flag or the key of the file.
    """
    given = {name: value for name, value in vars(parser().parse_args(list(arguments))).items() if value is not None}
    path = given.pop("config_file", None)
    file = _read_file(Path(path) if path else DEFAULT_CONFIG_FILE, required=path is not None)
    _refuse(given, file)
    debug = _value(_DEBUG, given.pop("debug", file.pop("debug", "false")))
    values = _merge(given, file)
    if debug:
        values["log_level"] = "debug"
    return Config(**values, warnings=_warnings(given, file))


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if required:
            raise InvalidInput(f"unable to configure the engine with file {path}: no such file") from None
        return {}
    except OSError as error:
        raise InvalidInput(f"unable to configure the engine with file {path}: {error.strerror}") from error
    try:
        content = strict_json.parse(text or b"{}")
    except ValueError as error:
        raise InvalidInput(f"unable to configure the engine with file {path}: {error}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"unable to configure the engine with file {path}: it must hold a JSON object")
    known = {option.key for option in _OPTIONS} | _IGNORED_KEYS.keys() | {"debug", *_REFUSED, "authorization-plugins"}
    if unknown := sorted(content.keys() - known):
        word = "directives" if len(unknown) > 1 else "directive"
        raise InvalidInput(f"the following {word} in {path} don't match any configuration option: {', '.join(unknown)}")
    return content


def _refuse(given: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    for name in (*_REFUSED, "authorization-plugins"):
        if name.replace("-", "_") in given or name in file:
            raise InvalidInput(
                f"{name} is not supported: linkspan serves no TLS and asks no plugin; serve a unix socket, and reach it by ssh"
            )


def _merge(given: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in _OPTIONS:
        if option.field in given and option.key in file and not option.many:
            raise InvalidInput(
                f"the following directives are specified both as a flag and in the configuration file: {option.key}: "
                f"(from flag: {given[option.field]}, from file: {file[option.key]})"
            )
        flags, entries = given.get(option.field), file.get(option.key)
        if option.key in ("default-address-pools", "default-network-opts"):
            entries = settings.listed(entries)
        if flags is None and entries is None:
            continue
        if option.many:
            if not isinstance(entries, list | None):
                raise InvalidInput(f"invalid value for {option.key}: a list is wanted, not {json.dumps(entries)}")
            values[option.field] = tuple(_value(option, text) for text in (*(entries or ()), *(flags or ())))
        else:
            values[option.field] = _value(option, flags if flags is not None else entries)
    return values


def _value(option: _Option, raw: object) -> object:
    if isinstance(raw, (dict, list)):
        raise InvalidInput(f"invalid value for {option.key}: {json.dumps(raw)}")
    try:
        return option.parse(str(raw))
    except ValueError as error:
        raise InvalidInput(f'invalid argument "{raw}" for "{option.flags[0]}": {error}') from error


def _warnings(given: Mapping[str, Any], file: Mapping[str, Any]) -> tuple[str, ...]:
    flags = [f"--{name}" for name in _IGNORED_SWITCHES + _IGNORED_VALUES if name.replace("-", "_") in given]
    keys = [f'"{key}" of the configuration file' for key in _IGNORED_KEYS if key in file]
    return tuple(f"{name} has no effect: linkspan has no such part" for name in flags + keys)
