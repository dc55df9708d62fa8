"""Readers of single values of `run` and `create`: they raise ValueError in Docker's words, which the parser wraps."""
# ruff: noqa: PLC0415 - fractions are wanted by --cpus alone, and cost 5 ms

import ipaddress
import re
from typing import Any

from linkspan.cli.options import Kind
from linkspan.cli.units import read_size, read_size_or_unlimited

_DOMAIN = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?\.?)+")
_SYSCTLS = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni")
_SYSCTL_FAMILIES = ("kernel.shm_rmid_forced", "net.", "fs.mqueue.")
_ULIMITS = ("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack").split()


def _stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def _variable(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid environment variable: {text}")
    return text


def _extra_host(text: str) -> str:
    name, separator, address = text.partition("=") if "=" in text else text.partition(":")
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if bare != "host-gateway" and not _is_address(bare):
        raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{bare}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> str:
    if not _is_address(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def _search_domain(text: str) -> str:
    if text.strip(" ") == ".":
        return text
    if len(text) > 255 or not _DOMAIN.fullmatch(text.strip()) or not re.search(r"[a-zA-Z]", text):
        raise ValueError(f"{text} is not a valid domain")
    return text.strip()


def _link(text: str) -> str:
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def _sysctl(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(_SYSCTL_FAMILIES)):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def _ulimit(text: str) -> dict[str, Any]:
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    if limits.count(":") > 1:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft_text, colon, hard_text = limits.partition(":")
    soft = _limit(soft_text)
    hard = _limit(hard_text) if colon else soft
    if hard != -1 and (soft == -1 or soft > hard):
        shown = f"{soft} > {hard}" if soft != -1 else f"soft: -1 (unlimited), hard: {hard}"
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {shown}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def _limit(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _billionths(text: str) -> int:
    from fractions import Fraction

    try:
        exact = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"failed to parse {text} as a rational number") from error
    if exact.denominator != 1:
        raise ValueError("value is too precise")
    return int(exact)


def _network(text: str) -> dict[str, Any]:
    """Read the name, or `name=NET,alias=…,ip=…`: the keys of the result are those of the long form."""
    if "=" not in text:
        return {"name": text}
    options: dict[str, Any] = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field {field}")
        _network_field(options, key.strip().lower(), value.strip())
    if not options.get("name"):
        raise ValueError("network name/id is not specified")
    return options


def _network_field(options: dict[str, Any], key: str, value: str) -> None:
    if key in ("alias", "link-local-ip", "link"):
        options.setdefault(key, []).append(value)
    elif key in ("name", "ip", "ip6", "mac-address"):
        options[key] = value
    elif key == "driver-opt":
        name, equals, setting = value.partition("=")
        if not equals:
            raise ValueError("invalid key value pair format in driver options")
        options.setdefault(key, {})[name.strip().lower()] = setting.strip()
    elif key == "gw-priority":
        try:
            options[key] = int(value)
        except ValueError as error:
            raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from error
    else:
        raise ValueError(f"invalid field key {key}")


_MOUNT_NAMES = {"type": "Type", "source": "Source", "src": "Source", "target": "Target", "dst": "Target", "destination": "Target"}


def _mount(text: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": "volume"}
    if not text:
        raise ValueError("value is empty")
    for field in text.split(","):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals and key not in ("readonly", "ro", "bind-nonrecursive"):
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        _mount_field(mount, key, value if equals else "true", field)
    if not mount.get("Target"):
        raise ValueError("target is required")
    for kind, options in (("bind", "BindOptions"), ("tmpfs", "TmpfsOptions")):
        if options in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    return mount


def _mount_field(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    if key in _MOUNT_NAMES:
        mount[_MOUNT_NAMES[key]] = value.lower() if key == "type" else value
    elif key in ("readonly", "ro"):
        mount["ReadOnly"] = _truth(key, value)
    elif key == "consistency":
        mount["Consistency"] = value.lower()
    elif key == "bind-propagation":
        mount.setdefault("BindOptions", {})["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        mount.setdefault("BindOptions", {})["NonRecursive"] = _truth(key, value)
    elif key == "tmpfs-size":
        mount.setdefault("TmpfsOptions", {})["SizeBytes"] = _tmpfs_size(value)
    elif key == "tmpfs-mode":
        mount.setdefault("TmpfsOptions", {})["Mode"] = _octal(value)
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _truth(key: str, value: str) -> bool:
    if value not in ("true", "1", "false", "0"):
        raise ValueError(f"invalid value for {key}: {value}")
    return value in ("true", "1")


def _tmpfs_size(value: str) -> int:
    try:
        return read_size(value)
    except ValueError as error:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from error


def _octal(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError as error:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from error


STREAMS = Kind("list", _stream, many=True)
ENVIRONMENT = Kind("list", _variable, many=True)
EXTRA_HOSTS = Kind("list", _extra_host, many=True)
ADDRESSES = Kind("list", _address, many=True)
SEARCH_DOMAINS = Kind("list", _search_domain, many=True)
LINKS = Kind("list", _link, many=True)
SYSCTLS = Kind("map", _sysctl, many=True)
ULIMITS = Kind("ulimit", _ulimit, many=True)
NETWORKS = Kind("network", _network, many=True)
MOUNTS = Kind("mount", _mount, many=True)
BYTES = Kind("bytes", read_size)
BYTES_OR_UNLIMITED = Kind("bytes", read_size_or_unlimited)
CPUS = Kind("decimal", _billionths)
