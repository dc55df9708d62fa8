"""What a request for a network means, and what is wrong with it: Docker's checks in Docker's order and words (semantics 3.6).

Sources: moby daemon/network.go (validateIpamConfig), daemon/libnetwork/network.go (validateConfiguration, ipamAllocateVersion).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import TypeVar

from linkspan.errors import EngineError, Forbidden, InvalidInput, NotFound
from linkspan.model.network import PREDEFINED, IPAddress, IPInterface, IPNetwork, Network, Subnet
from linkspan.model.network_request import NetworkRequest, PoolRequest

T = TypeVar("T")

DRIVERS = ("bridge", "host", "null")
NO_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
ENABLE_IPV4, ENABLE_IPV6 = "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"
UNSUPPORTED_FIELDS = (
    "configuration network can only contain network specific fields. "
    "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
)
_LINK_LOCAL = IPv6Network("fe80::/64")
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A pool that is asked for: its subnet is given, or to be chosen."""

    version: int
    subnet: IPNetwork | None = None
    """None: any free one."""
    prefix: int | None = None
    """How long its prefix must be (`--subnet 0.0.0.0/24`); None: as the pools say."""
    range: IPNetwork | None = None
    gateway: IPAddress | None = None
    auxiliary: dict[str, IPAddress] = field(default_factory=dict)


def boolean(text: str) -> bool | None:
    """Return what Go's ParseBool makes of a text, None if that is an error."""
    return _BOOLEANS.get(text.lower()) if text in (text.lower(), text.upper(), text.capitalize()) else None


def families(request: NetworkRequest, options: Mapping[str, str]) -> tuple[bool, bool]:
    """Return whether the network has IPv4, and IPv6; raises InvalidInput for an option that is neither true nor false."""
    four = _switch(options, ENABLE_IPV4, default=True) if request.ipv4 is None else request.ipv4
    six = _switch(options, ENABLE_IPV6, default=False) if request.ipv6 is None else request.ipv6
    return four, six


def _switch(options: Mapping[str, str], option: str, *, default: bool) -> bool:
    value = boolean(options[option]) if option in options else default
    if value is None:
        raise InvalidInput(f"driver-opt {json.dumps(option)} is not a valid bool")
    return value


def check_driver(request: NetworkRequest) -> None:
    """Refuse predefined names and what only Swarm has; raises Forbidden."""
    if request.name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {request.name} network ")
    if request.driver == "overlay":
        raise Forbidden(NO_MANAGER)


def wishes(request: NetworkRequest, *, ipv6: bool) -> tuple[Wish, ...]:
    """Return the pools that are asked for; raises InvalidInput with all that is wrong with them, line by line."""
    problems = [problem for pool in request.pools for problem in _problems(pool, ipv6=ipv6)]
    if problems:
        raise InvalidInput("\n".join(("invalid network config:", *problems)))
    return tuple(_wish(pool) for pool in request.pools)


def check_configuration(request: NetworkRequest) -> None:
    """Refuse contradictions between a configuration network and one that takes it up; raises Forbidden, InvalidInput."""
    if request.config_only and (request.ingress or request.internal or request.attachable or request.scope):
        raise Forbidden(UNSUPPORTED_FIELDS)
    if request.config_from:
        _check_dependent(request)
    else:
        check_advertising(request.options)


def _check_dependent(request: NetworkRequest) -> None:
    if request.config_only:
        raise Forbidden("a configuration network cannot depend on another configuration network")
    own = (request.ipam_driver != "default", request.ipv4 is False, request.ipv6, request.labels, request.ipam_options, request.pools)
    if any(own):
        raise Forbidden("user-specified configurations are not supported if the network depends on a configuration network")
    if request.options:
        raise Forbidden("network driver options are not supported if the network depends on a configuration network")


_ADVERTISING = (
    ("com.docker.network.advertise_addr_nmsgs", 0, 3, "an integer"),
    ("com.docker.network.advertise_addr_ms", 100, 2000, "integer milliseconds"),
)


def check_advertising(options: Mapping[str, str]) -> None:
    """Check the options of how an endpoint announces its address; raises InvalidInput."""
    for option, least, most, kind in _ADVERTISING:
        if option not in options:
            continue
        try:
            number = int(options[option])
        except ValueError:
            raise InvalidInput(f"value for option {option} {json.dumps(options[option])} must be {kind}") from None
        if not least <= number <= most:
            raise InvalidInput(f"{option} must be in the range {least} to {most}")


def check_scope(request: NetworkRequest, *, ipv4: bool) -> None:
    """Refuse what the driver cannot do on one host; raises Forbidden, NotFound, InvalidInput."""
    if request.driver not in DRIVERS:
        raise NotFound(f"could not find plugin {request.driver} in v1 plugin registry: plugin not found")
    if request.ipam_driver not in ("default", "none", "null"):
        raise InvalidInput(f"invalid ipam driver: {json.dumps(request.ipam_driver)}")
    if request.scope == "swarm" and not ipv4:
        raise InvalidInput("IPv4 cannot be disabled in a Swarm scoped network")
    if request.scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    if request.scope not in ("", "local"):
        raise InvalidInput(f"invalid scope {json.dumps(request.scope)}: it is local here")
    if request.ingress:
        raise Forbidden("Ingress network can only be global scope network")
    if request.driver != "bridge":
        raise Forbidden(f'only one instance of "{request.driver}" network is allowed')


def taken_up(request: NetworkRequest, configuration: Network) -> NetworkRequest:
    """Return the request with what the configuration network says."""
    return replace(
        request,
        ipv4=configuration.ipv4,
        ipv6=configuration.ipv6,
        ipam_driver=configuration.ipam_driver,
        ipam_options=configuration.ipam_options,
        pools=tuple(_asked(pool) for pool in configuration.subnets),
        options=configuration.options,
        labels=configuration.labels,
    )


def _asked(pool: Subnet) -> PoolRequest:
    return PoolRequest(
        subnet=str(pool.subnet),
        range=str(pool.range) if pool.range != pool.subnet else "",
        gateway=str(pool.gateway or ""),
        auxiliary={name: str(address) for name, address in pool.auxiliary.items()},
    )


def as_asked(wish: Wish) -> Subnet:
    """Return what a configuration network keeps of a wish: nothing is chosen."""
    unspecified = IPv4Network((0, wish.prefix or 0)) if wish.version == 4 else IPv6Network((0, wish.prefix or 0))
    subnet = wish.subnet or unspecified
    return Subnet(subnet=subnet, gateway=wish.gateway, range=wish.range or subnet, auxiliary=wish.auxiliary)


def check_subnet(subnet: IPNetwork | None) -> None:
    """Refuse subnets that no bridge network can have; raises InvalidInput."""
    if subnet is None:
        return
    if subnet.prefixlen == 0:
        raise InvalidInput(f"ipv{subnet.version} pool is empty")
    if isinstance(subnet, IPv6Network):
        if subnet.network_address.ipv4_mapped:
            raise InvalidInput(f"'{subnet}' is not a valid IPv6 subnet")
        if subnet.is_multicast:
            raise InvalidInput(f"multicast subnet '{subnet}' is not allowed")
        if subnet.overlaps(_LINK_LOCAL):
            raise InvalidInput(f"'{subnet}' clashes with the Link-Local prefix '{_LINK_LOCAL}'")
    elif subnet.is_multicast or subnet.is_loopback:
        raise InvalidInput(f"subnet '{subnet}' is not allowed")


def pool(wish: Wish, subnet: IPNetwork, *, gateway: bool = True) -> Subnet:
    """Return the pool that a wish becomes on a subnet; raises Docker's errors for addresses that cannot be.

    Without `gateway`, none is chosen where none is asked for.
    """
    given = wish.gateway
    if given is not None and given in unusable(subnet):
        raise EngineError(f"failed to allocate gateway ({given}): Address already in use")
    usable = _first_usable(wish, subnet) if given is None and gateway else given
    for name, address in wish.auxiliary.items():
        if address not in subnet:
            raise Forbidden(f"auxiliary address: ({name}:{address}) must belong to the master pool: {subnet}")
    made = Subnet(subnet=subnet, gateway=usable, range=wish.range or subnet, auxiliary=wish.auxiliary)
    taken = {*unusable(subnet), usable}
    for name, address in wish.auxiliary.items():
        if address in taken:
            raise EngineError(f"failed to allocate secondary ip address ({name}:{address}): Address already in use")
        taken.add(address)
    return made


def unusable(subnet: IPNetwork) -> tuple[IPAddress, ...]:
    """The addresses that nobody can have: the network's own and, of IPv4, the broadcast address; none of a /31 or longer (RFC 3021)."""
    if subnet.max_prefixlen - subnet.prefixlen < 2:
        return ()
    return (subnet[0],) if isinstance(subnet, IPv6Network) else (subnet[0], subnet[-1])


def _first_usable(wish: Wish, subnet: IPNetwork) -> IPAddress:
    """The gateway, where none is asked for: the first address, of the range if there is one."""
    within = wish.range if wish.range is not None else subnet
    return next(address for address in (within[0], within[0] + 1) if address not in unusable(subnet))


def _wish(pool: PoolRequest) -> Wish:
    interface = ip_interface(pool.subnet)
    chosen = int(interface.ip) == 0 and interface.network.prefixlen > 0
    return Wish(
        version=interface.version,
        subnet=None if chosen else interface.network,
        prefix=interface.network.prefixlen if chosen else None,
        range=ip_network(pool.range) if pool.range else None,
        gateway=ip_address(pool.gateway) if pool.gateway else None,
        auxiliary={name: ip_address(text) for name, text in pool.auxiliary.items()},
    )


def _problems(pool: PoolRequest, *, ipv6: bool) -> Iterator[str]:
    parent = _parsed(ip_interface, pool.subnet) if "/" in pool.subnet else None
    if parent is None:
        yield f"invalid subnet {pool.subnet}: invalid CIDR block notation"
        return
    if parent.version == 6 and not ipv6:
        return
    if parent.ip != parent.network.network_address:
        yield f"invalid subnet {pool.subnet}: it should be {parent.network}"
    if pool.range:
        yield from _range_problems(pool.range, parent)
    entries = [("gateway", pool.gateway, pool.gateway)] if pool.gateway else []
    entries += [("auxiliary address", name, text) for name, text in sorted(pool.auxiliary.items())]
    for what, name, text in entries:
        if fault := _address_problem(text, parent):
            yield f"invalid {what} {name}: {fault}"


def _range_problems(text: str, parent: IPInterface) -> Iterator[str]:
    given = _parsed(ip_interface, text) if "/" in text else None
    if given is None:
        yield f"invalid ip-range {text}: invalid CIDR block notation"
        return
    if given.version != parent.version:
        yield f"invalid ip-range {text}: parent subnet is an IPv{parent.version} block"
        return
    if given.network.prefixlen < parent.network.prefixlen:
        yield f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {parent.network}"
    if given.ip != given.network.network_address:
        yield f"invalid ip-range {text}: it should be {given.network}"
    if not given.network.overlaps(parent.network):
        yield f"invalid ip-range {text}: parent subnet {parent.network} doesn't contain ip-range"


def _address_problem(text: str, parent: IPInterface) -> str:
    address = _parsed(ip_address, text)
    if address is None:
        return "invalid address"
    if address.version != parent.version:
        return f"parent subnet is an IPv{parent.version} block"
    return "" if address in parent.network else f"parent subnet {parent.network} doesn't contain this address"


def _parsed(parse: Callable[[str], T], text: str) -> T | None:
    """Return what a text says, None if that is nothing; a scope (fe80::1%eth0) has no place here, and Python takes anything as one."""
    if "%" in text:
        return None
    try:
        return parse(text)
    except ValueError:
        return None
