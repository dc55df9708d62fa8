"""The values that settings can have, out of the texts of flags and of daemon.json. Every parser raises ValueError."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPool:
    """Where networks that name no subnet get theirs: `base`, cut into subnets whose prefix is `size` long."""

    base: ipaddress.IPv4Network | ipaddress.IPv6Network
    size: int

    def __post_init__(self) -> None:
        if not self.base.prefixlen <= self.size <= self.base.max_prefixlen:
            raise InvalidInput(f"invalid default address pool: {self.base} cannot be cut into subnets of size {self.size}")


def boolean(text: str) -> bool:
    """Parse true or false, in the words of Go."""
    if text.lower() in ("true", "1", "t"):
        return True
    if text.lower() in ("false", "0", "f"):
        return False
    raise ValueError(f"{text!r} is not true or false")


def size(text: str) -> int:
    """Parse a size such as 64m, in bytes."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([kmg]?)b?", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 64m")
    return int(float(match[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[match[2]])


def level(text: str) -> str:
    """Parse the name of a log level."""
    if text.lower() not in ("debug", "info", "warn", "error", "fatal"):
        raise ValueError(f"{text!r} is not one of debug, info, warn, error, fatal")
    return text.lower()


def word(text: str) -> str:
    """Return a text that is one word."""
    if not text or not text.isprintable() or " " in text:
        raise ValueError("one word is wanted")  # a line break would make a line of its own in resolv.conf
    return text


def name_server(text: str) -> str:
    """Parse the address of a name server."""
    return str(ipaddress.ip_address(word(text)))


def route(text: str) -> str:
    """Parse DOMAIN=ADDRESS."""
    domain, found, server = word(text).partition("=")
    if not found or not domain.strip("."):
        raise ValueError(f"{text!r} is not DOMAIN=ADDRESS")
    return f"{domain.strip('.').lower()}={name_server(server)}"


def lifetime(text: str) -> int:
    """Parse seconds of up to a day."""
    if not 0 <= (seconds := whole(text)) <= 86_400:
        raise ValueError("0 to 86400 seconds are possible")
    return seconds


def path(text: str) -> Path:
    """Parse a path."""
    if "\0" in text:
        raise ValueError("a path holds no NUL character")
    return Path(text)


def whole(text: str) -> int:
    """Parse a whole number."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def host(text: str) -> str:
    """Return where the API is served, with its scheme."""
    return text if "://" in text else f"unix://{text}" if text.startswith("/") else f"tcp://{text}"


def subnet(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Parse a subnet in CIDR notation."""
    return ipaddress.ip_network(text)


def address_pool(text: str) -> AddressPool:
    """Parse `base=172.30.0.0/16,size=24`."""
    fields = dict(entry.partition("=")[::2] for entry in text.split(","))
    if fields.keys() != {"base", "size"}:
        raise ValueError("base=SUBNET,size=LENGTH is wanted")
    return AddressPool(base=subnet(fields["base"]), size=whole(fields["size"]))


def driver_option(text: str) -> tuple[str, str, str]:
    """Parse `bridge=com.docker.network.driver.mtu=1400`."""
    driver, _, option = text.partition("=")
    name, found, value = option.partition("=")
    if not driver or not name or not found:
        raise ValueError("DRIVER=OPTION=VALUE is wanted")
    return driver, name, value


def listed(entries: object) -> object:
    """Return what daemon.json has as objects as the texts that the flag takes: pools by their fields, options by driver."""
    if isinstance(entries, dict) and all(isinstance(options, dict) for options in entries.values()):
        return [f"{driver}={name}={value}" for driver, options in entries.items() for name, value in options.items()]
    if isinstance(entries, list):
        return [",".join(f"{key}={value}" for key, value in entry.items()) if isinstance(entry, dict) else entry for entry in entries]
    return entries
