"""The network part of a create: mode, ports, addresses, names. Docker's checks and words (semantics 3.1, 3.2, 3.4)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from linkspan.api.fields import Fields
from linkspan.api.versions import Version
from linkspan.api.wire_endpoint_config import parse_address, parse_endpoint
from linkspan.api.wire_publish import parse_bindings, parse_exposed
from linkspan.errors import InvalidInput
from linkspan.model.attachment import Attachment
from linkspan.model.container import NetworkConfig, NetworkMode
from linkspan.model.endpoint import mac_address

UNDEFINED = "This would result in undefined behavior"
ENDPOINT_MAC = Version(1, 44)
"""Since then a MAC address belongs to the endpoint."""
ENDPOINT_SYSCTLS = Version(1, 48)
"""Since then sysctls of one interface belong to the endpoint."""

_INTERFACE_SYSCTL = re.compile(r"net\.[^.]+\.[^.]+\.eth0\..+")
_SYSCTL = re.compile(r"kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+|net\..+")
_DOMAIN = re.compile(r"\.|[A-Za-z0-9_.-]{1,255}")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")


def parse_network_config(body: Fields, version: Version) -> tuple[NetworkConfig, tuple[Attachment, ...], tuple[str, ...]]:
    """Parse everything about a new container's network; returns it, the networks to be on, and warnings. Raises InvalidInput."""
    host = body.child("HostConfig")
    mode = NetworkMode.parse(host.text("NetworkMode"))
    _check_mode(mode, body, host)
    endpoints = _endpoints(body)
    mac, mac_warnings = _mac(mode, body, endpoints, version)
    sysctls = _sysctls(mode, host, version)
    extra_hosts = tuple(_extra_host(text) for text in host.texts("ExtraHosts"))
    requests, port_warnings = parse_bindings(host)
    attachments = tuple(_attachments(mode, mac, endpoints, version))
    config = NetworkConfig(
        mode=mode,
        mac=mac,
        requests=requests,
        publish_all=host.boolean("PublishAllPorts"),
        exposed=parse_exposed(body, requests),
        extra_hosts=extra_hosts,
        dns=tuple(_name_server(text) for text in host.texts("Dns")),
        dns_search=tuple(_search_domain(text) for text in host.texts("DnsSearch")),
        dns_options=tuple(_one_word("DNS option", text) for text in host.texts("DnsOptions")),
        sysctls=sysctls,
    )
    discarded = ("Published ports are discarded when using host network mode",) if mode.kind == "host" and requests else ()
    return config, attachments, (*mac_warnings, *port_warnings, *discarded)


def _check_mode(mode: NetworkMode, body: Fields, host: Fields) -> None:
    """Refuse what contradicts the mode, in Docker's order: the first hit wins."""
    conflicts: tuple[tuple[bool, str], ...]
    if mode.kind == "container":
        conflicts = (
            (body.has("Hostname"), "hostname and the network mode"),
            (host.has("Links"), f"container type network can't be used with links. {UNDEFINED}"),
            (host.has("Dns"), "dns and the network mode"),
            (host.has("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
            (host.has("PortBindings") or host.has("PublishAllPorts"), "port publishing and the container type network mode"),
            (body.has("ExposedPorts"), "port exposing and the container type network mode"),
        )
    else:
        conflicts = (
            (host.text("UTSMode") == "host" and body.has("Hostname"), "hostname and the UTS mode"),
            (mode.kind == "host" and host.has("Links"), f"host type networking can't be used with links. {UNDEFINED}"),
        )
    for found, text in conflicts:
        if found:
            raise InvalidInput(f"conflicting options: {text}")


def _endpoints(body: Fields) -> dict[str, Fields]:
    given = body.child("NetworkingConfig").child_map("EndpointsConfig")
    return {"bridge" if name == "default" else name: endpoint for name, endpoint in given.items()}


def _mac(mode: NetworkMode, body: Fields, endpoints: Mapping[str, Fields], version: Version) -> tuple[str, tuple[str, ...]]:
    """Return the MAC address, and a warning if it stands where it stood before API 1.44."""
    modern = version >= ENDPOINT_MAC
    wide = body.text("MacAddress")
    main = endpoints.get(str(mode)) or (next(iter(endpoints.values())) if len(endpoints) == 1 else Fields({}))
    own = main.text("MacAddress") if modern else ""
    if not wide and not own:
        return "", ()
    if mode.kind in ("host", "none", "container"):
        raise InvalidInput("conflicting options: mac-address and the network mode")
    if wide and own and mac_address(wide) != mac_address(own):
        raise InvalidInput(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
        )
    if not (wide and modern):
        return mac_address(wide or own), ()
    warning = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
    return mac_address(wide), (warning,)


def _attachments(mode: NetworkMode, mac: str, endpoints: Mapping[str, Fields], version: Version) -> Iterator[Attachment]:
    """Yield what is asked of each network; the container-wide MAC address is for that of the mode."""
    if mode.kind == "container":
        return
    if version < ENDPOINT_MAC and len(endpoints) > 1:
        raise InvalidInput(f"Container cannot be created with multiple network endpoints: {', '.join(endpoints)}")
    for name, settings in endpoints.items():
        try:
            attachment = parse_endpoint(name, settings)
        except InvalidInput as error:
            raise InvalidInput(f"invalid config for network {name}: {error}") from error
        yield replace(attachment, mac=mac) if mac and (name == str(mode) or len(endpoints) == 1) else attachment


def _sysctls(mode: NetworkMode, host: Fields, version: Version) -> dict[str, str]:
    values = host.mapping("Sysctls")
    for name in values:
        if version >= ENDPOINT_SYSCTLS and _INTERFACE_SYSCTL.fullmatch(name):
            raise InvalidInput(
                f"interface specific sysctl setting {json.dumps(name)} must be supplied using driver option "
                "'com.docker.network.endpoint.sysctls'"
            )
        if not _SYSCTL.fullmatch(name):
            raise InvalidInput(f"sysctl '{name}' is not allowed")
        if name.startswith("net.") and mode.kind == "host":
            raise InvalidInput(f"sysctl {json.dumps(name)} not allowed in host network namespace")
    return values


def _extra_host(text: str) -> tuple[str, str]:
    """Parse `NAME:ADDRESS` or `NAME=ADDRESS`; the address may be in brackets, or `host-gateway`."""
    name, found, address = text.partition("=") if "=" in text else text.partition(":")
    if not found or not name or ":" in name or _BLANK.search(name):
        raise InvalidInput(f"bad format for add-host: {json.dumps(text, ensure_ascii=False)}")
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if bare != "host-gateway" and not _ip_version(bare):
        raise InvalidInput(f"invalid IP address in add-host: {json.dumps(address, ensure_ascii=False)}")
    return name, bare


def _name_server(text: str) -> str:
    if not _ip_version(text):
        raise InvalidInput(f"IP address is not correctly formatted: {text}")
    return text


def _search_domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise InvalidInput(f"{text} is not a valid domain")
    return text


def _one_word(what: str, text: str) -> str:
    if not text or _BLANK.search(text):
        raise InvalidInput(f"invalid {what}: {json.dumps(text, ensure_ascii=False)}")
    return text


def _ip_version(text: str) -> int:
    """Return 4 or 6, 0 if it is no address."""
    address = parse_address(text)
    return address.version if address else 0
