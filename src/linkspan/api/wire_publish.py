"""Ports on the wire: `PortBindings` and `ExposedPorts` of a create, and the ports that inspect and ps show."""

import ipaddress
import re
from collections.abc import Iterable

from linkspan.api.fields import Fields
from linkspan.errors import InvalidInput
from linkspan.model.container import Container, NetworkConfig
from linkspan.model.network import IPAddress
from linkspan.model.publish import Port, PortRequest, Publish

Json = dict[str, object]

_HOST_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_bindings(host: Fields) -> tuple[tuple[PortRequest, ...], tuple[str, ...]]:
    """Parse HostConfig.PortBindings; returns the requests and warnings. Raises InvalidInput."""
    requests: list[PortRequest] = []
    unbound: list[str] = []
    for key, bindings in host.children_map("PortBindings").items():
        port = Port.parse(key)
        if not bindings:
            unbound.append(key)
        requests += [_binding(port, binding) for binding in bindings or [Fields({})]]
    if not unbound:
        return tuple(requests), ()
    warning = (
        f"Following container port(s) have an empty list of port-bindings: {', '.join(unbound)}. "
        "Such bindings will be discarded in a future version."
    )
    return tuple(requests), (warning,)


def parse_exposed(body: Fields, requests: Iterable[PortRequest]) -> tuple[Port, ...]:
    """Parse Config.ExposedPorts; what is published is exposed too."""
    exposed = {Port.parse(key) for key in body.child_map("ExposedPorts")}
    return tuple(sorted(exposed | {request.port for request in requests}))


def _binding(port: Port, binding: Fields) -> PortRequest:
    text = binding.text("HostPort")
    match = _HOST_PORT.fullmatch(text or "0")
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if not 0 <= first <= last <= 65535:
        raise InvalidInput(f'invalid port specification: "{text}"')
    return PortRequest(port=port, host_ip=_host_ip(binding.text("HostIp")), first=first, last=last)


def _host_ip(text: str) -> IPAddress | None:
    if not text:
        return None
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise InvalidInput(f"invalid IP address: {text}") from None


def port_bindings(config: NetworkConfig) -> Json:
    """Render HostConfig.PortBindings: the bindings as they were asked for."""
    rendered: dict[str, list[Json]] = {}
    for request in config.requests:
        binding: Json = {"HostIp": str(request.host_ip or ""), "HostPort": _host_port(request)}
        rendered.setdefault(str(request.port), []).append(binding)
    return dict(rendered)


def exposed_ports(ports: Iterable[Port]) -> dict[str, Json]:
    """Render Config.ExposedPorts."""
    return {str(port): {} for port in ports}


def ports_map(container: Container) -> Json:
    """Render NetworkSettings.Ports: what is bound now, and null for what is only exposed; nothing while it does not run."""
    if not container.state.running or not _has_ports(container):
        return {}
    bound: dict[str, list[Json] | None] = {str(port): None for port in container.spec.network.exposed}
    for publish in sorted(container.publishes):
        bindings = bound.get(str(publish.port)) or []
        bound[str(publish.port)] = [*bindings, {"HostIp": str(publish.host_ip), "HostPort": str(publish.host_port or "")}]
    return dict(bound)


def ports_list(container: Container) -> list[Json]:
    """Render the ports of a line of ps."""
    if not container.state.running or not _has_ports(container):
        return []
    publishes = container.publishes
    bound = {publish.port for publish in publishes}
    exposed = [_port(port) for port in container.spec.network.exposed if port not in bound]
    return exposed + [_published(publish) for publish in sorted(publishes)]


def _has_ports(container: Container) -> bool:
    return container.spec.network.mode.kind in ("bridge", "network")


def _host_port(request: PortRequest) -> str:
    if request.first == request.last:
        return str(request.first or "")
    return f"{request.first}-{request.last}"


def _port(port: Port) -> Json:
    return {"PrivatePort": port.number, "Type": port.protocol}


def _published(publish: Publish) -> Json:
    host = {} if publish.routed else {"PublicPort": publish.host_port}
    return {"IP": str(publish.host_ip), **_port(publish.port), **host}
