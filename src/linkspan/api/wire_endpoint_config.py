"""EndpointSettings as clients send them: what a container asks of a network, at create and at connect (semantics 3.4, 3.5)."""

import ipaddress
import re
from collections.abc import Iterator

from linkspan.api.fields import Fields
from linkspan.errors import InvalidInput
from linkspan.model.attachment import ALIAS_ON_PREDEFINED, STATIC_ON_PREDEFINED, Attachment
from linkspan.model.endpoint import mac_address
from linkspan.model.network import PREDEFINED, IPAddress, interface_name
from linkspan.plan.interfaces import IFNAME, SYSCTLS, endpoint_sysctls

_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")


def parse_endpoint(network: str, settings: Fields) -> Attachment:
    """Parse the settings for a network, which may be given by name or id; raises InvalidInput with all that is wrong with them."""
    addresses, options = settings.child("IPAMConfig"), settings.mapping("DriverOpts")
    problems = [*_problems_of_predefined(network, addresses, settings), *_problems(addresses, settings, options)]
    if problems:
        details = "\n".join(problems)
        raise InvalidInput(f"invalid endpoint settings:\n{details}")
    mac = settings.text("MacAddress")
    return Attachment(
        network=network,
        ipv4=parse_address(addresses.text("IPv4Address")),
        ipv6=parse_address(addresses.text("IPv6Address")),
        link_local=tuple(filter(None, map(parse_address, addresses.texts("LinkLocalIPs")))),
        mac=mac_address(mac) if mac else "",
        aliases=tuple(dict.fromkeys(settings.texts("Aliases"))),
        links=tuple(_link(text) for text in settings.texts("Links")),
        options=options,
        gateway_priority=settings.integer("GwPriority"),
    )


def parse_address(text: str) -> IPAddress | None:
    """Return the address, None for text that is none."""
    if _BLANK.search(text):
        return None  # Python takes anything as the scope of an IPv6 address: fe80::1%\nnameserver …
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _problems_of_predefined(network: str, addresses: Fields, settings: Fields) -> Iterator[str]:
    """Yield what the default network, host and none do not give. One that is named by its id is judged by the engine."""
    if network in PREDEFINED and (addresses.has("IPv4Address") or addresses.has("IPv6Address")):
        yield STATIC_ON_PREDEFINED
    if network in PREDEFINED and settings.has("Aliases"):
        yield ALIAS_ON_PREDEFINED


def _problems(addresses: Fields, settings: Fields, options: dict[str, str]) -> Iterator[str]:
    for field, version in (("IPv4Address", 4), ("IPv6Address", 6)):
        text = addresses.text(field)
        if text and not _is_usable(parse_address(text), version):
            yield f"invalid IPv{version} address: {text}"
    for text in addresses.texts("LinkLocalIPs"):
        address = parse_address(text)
        if address is None or address.is_unspecified or not _is_usable(address, address.version):
            yield f"invalid link-local IP address: {text}"
    for check, text in ((endpoint_sysctls, options.get(SYSCTLS, "")), (interface_name, options.get(IFNAME, ""))):
        try:
            if text:
                check(text)
        except InvalidInput as error:
            yield str(error)
    yield from (f"invalid alias: {alias!r}" for alias in settings.texts("Aliases") if not alias or _BLANK.search(alias))


def _is_usable(address: IPAddress | None, version: int) -> bool:
    if address is None or address.version != version or address.is_unspecified:
        return False
    return not (isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped))


def _link(text: str) -> tuple[str, str]:
    name, colon, alias = text.partition(":")
    if not text:
        raise InvalidInput("empty string specified for links")
    if not name or (colon and not alias) or ":" in alias or _BLANK.search(text):
        raise InvalidInput(f"bad format for links: {text}")
    return name.removeprefix("/"), alias.removeprefix("/") or name.removeprefix("/")
