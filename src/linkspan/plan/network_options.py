"""What the driver options of a bridge network mean (com.docker.network.*), with Docker's errors for bad values.

Sources: moby daemon/libnetwork/drivers/bridge (fromLabels, Validate).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from linkspan.errors import InvalidInput
from linkspan.model.network import LEAST_MTU6, GatewayMode, Network, interface_name
from linkspan.plan import dns_options
from linkspan.plan.network_config import boolean

BRIDGE = "com.docker.network.bridge."
NAME = f"{BRIDGE}name"
MTU = "com.docker.network.driver.mtu"


class _Bad(Exception):
    """The value is none of its kind; the text is Go's."""


def _switch(text: str) -> bool:
    value = boolean(text)
    if value is None:
        raise _Bad(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return value


def _whole(text: str) -> int:
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        raise _Bad(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if len(digits) > 18:
        raise _Bad(f'strconv.Atoi: parsing "{text}": value out of range')
    return int(text)


def _mtu(text: str) -> int:
    mtu = _whole(text)
    if mtu != 0 and not 68 <= mtu <= 65535:
        raise InvalidInput(f"invalid MTU number: {mtu}")
    return mtu


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text) if "%" not in text else _no_address()
    except ValueError:
        return _no_address()


def _no_address() -> IPv4Address:
    raise _Bad("nil ip")


def _ipv4(text: str) -> IPv4Address:
    address = _address(text)
    return address if isinstance(address, IPv4Address) else _no_address()


def _ipv6(text: str) -> IPv6Address:
    address = _address(text)
    if isinstance(address, IPv4Address):
        raise _Bad("nil ip")
    return address


def _mode(text: str) -> GatewayMode:
    try:
        return GatewayMode(text) if text else GatewayMode.NAT
    except ValueError:
        raise _Bad(f"unknown gateway mode {text}") from None


def _interfaces(text: str) -> tuple[str, ...]:
    return tuple(interface_name(name) for name in text.split(":") if name)


def _prefix(text: str) -> str:
    return interface_name(text) if text else "eth"


_FIELDS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    NAME: ("bridge", interface_name),
    MTU: ("mtu", _mtu),
    f"{BRIDGE}enable_icc": ("icc", _switch),
    f"{BRIDGE}enable_ip_masquerade": ("masquerade", _switch),
    f"{BRIDGE}gateway_mode_ipv4": ("gateway_mode", _mode),
    f"{BRIDGE}gateway_mode_ipv6": ("gateway_mode6", _mode),
    f"{BRIDGE}host_binding_ipv4": ("default_host_ip", _address),
    f"{BRIDGE}host_binding_ipv6": ("default_host_ip6", _ipv6),
    f"{BRIDGE}inhibit_ipv4": ("addressed", lambda text: not _switch(text)),
    f"{BRIDGE}trusted_host_interfaces": ("trusted", _interfaces),
    "com.docker.network.container_iface_prefix": ("prefix", _prefix),
    "com.docker.network.host_ipv4": ("source", _ipv4),
    "com.docker.network.host_ipv6": ("source6", _ipv6),
}
_IGNORED = (f"{BRIDGE}default_bridge", "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6")
_IGNORED_PREFIXES = ("com.docker.network.advertise_addr_", "com.docker.network.endpoint.")


def with_options(network: Network, options: Mapping[str, str]) -> Network:
    """Return the network as the options want it, and with them; raises InvalidInput in Docker's words."""
    values: dict[str, object] = {}
    for option, text in options.items():
        if option not in _FIELDS or (option in (NAME, MTU) and text in ("", "0")):
            continue
        field, parse = _FIELDS[option]
        try:
            values[field] = parse(text)
        except _Bad as error:
            raise InvalidInput(f"failed to parse {option} value: {text} ({error})") from None
    if isinstance(values.get("default_host_ip"), IPv6Address):  # Docker takes an IPv6 address here too
        values["default_host_ip6"] = values.pop("default_host_ip")
    if values.get("mtu") == 0:
        del values["mtu"]
    if "mtu" in values:
        values["mtu_follows"] = False
    made = replace(network, options=dict(options), **values)  # type: ignore[arg-type]  # each parser returns its field's type
    _check(made)
    return made


def unknown(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return one sentence for each option that looks like Docker's and means nothing: it is misspelt, mostly."""
    known = (*_FIELDS, *_IGNORED)
    return tuple(
        f"the driver option {option} is unknown and has no effect"
        for option in options
        if option.startswith("com.docker.network.") and option not in known and not option.startswith(_IGNORED_PREFIXES)
    )


def _check(network: Network) -> None:
    dns_options.check(network.options)
    if GatewayMode.ISOLATED in (network.gateway_mode, network.gateway_mode6) and not network.internal:
        raise InvalidInput("gateway mode 'isolated' can only be used for an internal network")
    if network.ipv6 and network.mtu < LEAST_MTU6:
        raise InvalidInput(f"invalid MTU number: {network.mtu}: IPv6 needs {LEAST_MTU6} at least")
