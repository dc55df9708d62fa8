"""The endpoints of containers: chosen, recorded, wired into their namespace. Everything here runs on the kernel thread.

An endpoint holds its addresses from the first start (or from the create, if they were asked for) until its container leaves the
network or is removed.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

from linkspan.config import Config
from linkspan.drivers.base import Driver
from linkspan.engine.attachments import Attachments, Joined
from linkspan.errors import AddressInUse, Exhausted
from linkspan.kernel import route, survey
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint, random_mac
from linkspan.model.network import GatewayMode, IPAddress, IPInterface, Network, Subnet
from linkspan.plan import addresses
from linkspan.plan.interfaces import IFNAME, SYSCTLS, Candidate, endpoint_sysctls, interface_names, leading
from linkspan.store.base import Store
from linkspan.undo import Undo

FAILED = "failed to set up container networking: "
MOST = 1023
"""The ports that a Linux bridge can have (BR_MAX_PORTS, linux/net/bridge/br_private.h): its number 0 is nobody's."""


class Endpoints:
    """Makes and unmakes the attachments of sandboxes to networks."""

    def __init__(self, config: Config, store: Store, drivers: Mapping[str, Driver], *, most: int = MOST) -> None:
        self._config = config
        self._store = store
        self._drivers = drivers
        self._most = most
        self.attachments = Attachments(store)

    def of(self, container: Container) -> tuple[Endpoint, ...]:
        """Return the container's endpoints in the order in which their networks were asked for."""
        return self.in_order(container, self._store.endpoints_of(container.id))

    def in_order(self, container: Container, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        """Return those of the endpoints whose networks the container is on, in the order in which they were asked for."""
        found = {endpoint.network: endpoint for endpoint in endpoints}
        networks = (network.id for _, network in self.attachments.of(container) if network)
        return tuple(found[network] for network in networks if network in found)

    def on(self, sandbox_id: str, network_id: str) -> Endpoint | None:
        """Return the endpoint of a sandbox on a network, None if there is none."""
        return next((endpoint for endpoint in self._store.endpoints_of(sandbox_id) if endpoint.network == network_id), None)

    def leader(self, sandbox_id: str, version: int = 4) -> Endpoint | None:
        """Return the endpoint that the default route of a family goes by, and that published ports lead to; None if there is none."""
        return next((endpoint for endpoint in self._store.endpoints_of(sandbox_id) if version in endpoint.leads), None)

    def on_default_bridge(self, sandbox_id: str) -> Endpoint | None:
        """Return the endpoint on the default network, where legacy links are, None if there is none."""
        network = self._store.network("bridge")
        return self.on(sandbox_id, network.id) if network else None

    def wanted(self, container: Container, undo: Undo) -> tuple[Endpoint, ...]:
        """Return the endpoints of a container that is to start, recorded, in order: those it had, and new ones.

        Raises NotFound for a network, Exhausted, AddressInUse.
        """
        joined = [each for each in self.attachments.joined(container, prefix=FAILED) if each.network.driver == "bridge"]
        former = {endpoint.id: endpoint for endpoint in self._store.endpoints_of(container.id)}
        kept = {endpoint.network: endpoint for endpoint in former.values()}
        for each in joined:
            if each.network.id not in kept or not kept[each.network.id].attached:
                self._check_room(each.network)
        with self._store.transaction():  # an address that a crash leaves without its endpoint would be nobody's for good
            self._drop_others(former.values(), joined)
            made = [kept.get(each.network.id) or self._new(container, each, prefix=FAILED) for each in joined]
            chosen = self._led(joined, self._named(joined, made))
            changed = [endpoint for endpoint in chosen if former.get(endpoint.id) != endpoint]
            for endpoint in changed:
                self._store.put_endpoint(endpoint)
        for endpoint in changed:
            if endpoint.id in former:
                undo.push(f"name endpoint {endpoint.id[:12]} as before", partial(self._store.put_endpoint, former[endpoint.id]))
            else:
                undo.push(f"forget endpoint {endpoint.id[:12]}", partial(self._store.delete_endpoint, endpoint.id))
        return tuple(chosen)

    def _drop_others(self, endpoints: Iterable[Endpoint], joined: Sequence[Joined]) -> None:
        """Give back what was held on networks that the container is not on any more, or that are gone."""
        networks = {each.network.id for each in joined}
        for endpoint in endpoints:
            if not endpoint.attached and endpoint.network not in networks:
                self._store.delete_endpoint(endpoint.id)

    def one_more(self, container: Container, joined: Joined, undo: Undo) -> Endpoint:
        """Return a new endpoint for a container that runs, recorded; raises Exhausted, AddressInUse."""
        present = self._store.endpoints_of(container.id)
        self._check_room(joined.network)
        with self._store.transaction():
            new = self._new(container, joined)
            [name] = interface_names([_name_asked(joined)], [endpoint.interface for endpoint in present])
            named = replace(new, interface=name)
            self._store.put_endpoint(named)
        undo.push(f"forget endpoint {new.id[:12]}", partial(self._store.delete_endpoint, new.id))
        return named

    def hold(self, container: Container) -> None:
        """Hold the addresses that a new container asked for, so that nobody is given them before it starts; those that are free."""
        for attachment, network in self.attachments.of(container):
            if network is None or network.driver != "bridge" or not (attachment.ipv4 or attachment.ipv6):
                continue
            try:
                with self._store.transaction():
                    self._store.put_endpoint(self._new(container, Joined(attachment, network)))
            except (AddressInUse, Exhausted):
                continue  # who is made to replace another gets its address at the start

    def attach(self, endpoint: Endpoint, namespace: Path, undo: Undo) -> Endpoint:
        """Plug an endpoint in, and record that."""
        network = self._network(endpoint)
        self._drivers[network.driver].attach(network, endpoint, namespace, undo)
        attached = replace(endpoint, attached=True)
        undo.push(f"mark endpoint {endpoint.id[:12]} as detached", partial(self._store.put_endpoint, endpoint))
        self._store.put_endpoint(attached)
        return attached

    def detach(self, endpoints: Iterable[Endpoint]) -> None:
        """Take the interfaces of endpoints away, together; the record stays. Idempotent."""
        by_network: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints:
            by_network.setdefault(endpoint.network, []).append(endpoint)
        for together in by_network.values():
            network = self._network(together[0])
            self._drivers[network.driver].detach(network, together)

    def plug_in_again(self, endpoint: Endpoint, namespace: Path) -> None:
        """Make an interface that was taken away, or half so, as it was, but for default routes."""
        network = self._network(endpoint)
        self._drivers[network.driver].detach(network, [endpoint])
        with Undo() as undo:
            self._drivers[network.driver].attach(network, replace(endpoint, leads=()), namespace, undo)

    def reroute(
        self, container: Container, present: Sequence[Endpoint], former: Iterable[Endpoint], namespace: Path, undo: Undo
    ) -> tuple[Endpoint, ...]:
        """Let the default routes go by the right ones of `present`, after `former`; returns them as they are then, unrecorded."""
        joined = {each.network.id: each for each in self.attachments.joined(container)}
        led = self._led([joined[endpoint.network] for endpoint in present], present)
        before, after = _leaders(former), _leaders(led)
        for version in (4, 6):
            if _way(before.get(version), version) != _way(after.get(version), version):
                undo.push(f"lead the default route of {container.name} as before", partial(_lead, namespace, version, before.get(version)))
                _lead(namespace, version, after.get(version))
        return led

    def straighten(self, sandbox_id: str, namespace: Path) -> None:
        """Let a default route that goes by another of a sandbox's endpoints go by the right one. What is not ours stays."""
        endpoints = [endpoint for endpoint in self._store.endpoints_of(sandbox_id) if endpoint.attached]
        leaders = _leaders(endpoints)
        for endpoint in endpoints if len(endpoints) > 1 else ():
            inside = survey.inside(namespace, endpoint.interface)
            for gateway in inside.gateways if inside else ():
                own = (endpoint.gateway, endpoint.gateway6)
                if gateway in own and gateway.version not in endpoint.leads:
                    _lead(namespace, gateway.version, leaders.get(gateway.version))

    def _check_room(self, network: Network) -> None:
        if sum(other.attached for other in self._store.endpoints_on(network.id)) >= self._most:
            raise Exhausted(
                f"{FAILED}network {network.name} has {self._most} endpoints, the most that one bridge of Linux can have: "
                "make another network for more, and connect to both what both must reach"
            )

    def _new(self, container: Container, joined: Joined, *, prefix: str = "") -> Endpoint:
        """Return a new endpoint, which holds its addresses already and is to be recorded in the same transaction."""
        try:
            return self._chosen(container, joined)
        except AddressInUse as error:
            raise AddressInUse(f"{prefix}{error}") from error

    def _chosen(self, container: Container, joined: Joined) -> Endpoint:
        attachment, network = joined.attachment, joined.network
        endpoint_id = os.urandom(32).hex()
        mine = (endpoint_id, attachment, network)
        given, given6 = self._address(4, *mine), self._address(6, *mine)
        return Endpoint(
            id=endpoint_id,
            network=network.id,
            sandbox=container.id,
            mac=attachment.mac or random_mac(os.urandom(6)),
            address=given if isinstance(given, IPv4Interface) else None,
            gateway=way if given and isinstance(way := self._way_out(4, network), IPv4Address) else None,
            address6=given6 if isinstance(given6, IPv6Interface) else None,
            gateway6=way if given6 and isinstance(way := self._way_out(6, network), IPv6Address) else None,
            link_local=tuple(map(_link_local, attachment.link_local)),
            host_interface=f"veth{endpoint_id[:7]}",
            guarded=container.spec.security.anti_spoofing,
            sysctls=endpoint_sysctls(attachment.options.get(SYSCTLS, "")),
        )

    def _address(self, version: int, endpoint_id: str, attachment: Attachment, network: Network) -> IPInterface | None:
        pool = self._drivers[network.driver].possible(network).pool(version)
        enabled = network.ipv4 if version == 4 else network.ipv6
        if pool is None or not enabled or network.ipam_driver == "none":
            return None
        wanted = attachment.ipv4 if version == 4 else attachment.ipv6
        return pool.interface(self._store.reserve(network.id, endpoint_id, partial(self._choose, network, pool, wanted)))

    def _choose(
        self, network: Network, pool: Subnet, asked: IPAddress | None, held: AbstractSet[int], released: Collection[int]
    ) -> IPAddress:
        used = addresses.Used(held, released)
        gateway = self._gateway(network, pool)
        reserved = () if gateway is None else (gateway,)
        if asked is not None:
            return addresses.asked(pool, asked, used, reserved=reserved)
        return addresses.choose(pool, used, reserved=reserved, network=f"{network.name} ({network.id})")

    def _gateway(self, network: Network, pool: Subnet) -> IPAddress | None:
        """The containers' way out: the bridge, unless the daemon's --default-gateway names another router on it."""
        other = self._config.default_gateway if network.name == "bridge" and pool.subnet.version == 4 else None
        return other or pool.gateway

    def _way_out(self, version: int, network: Network) -> IPAddress | None:
        pool = network.pool(version)
        if pool is None or network.internal or network.mode(version) is GatewayMode.ISOLATED:
            return None
        return self._gateway(network, pool)

    def _named(self, joined: Sequence[Joined], endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Give those that are not plugged in their names: eth0, eth1, … in the order in which the networks were asked for."""
        plugged = [endpoint.interface for endpoint in endpoints if endpoint.attached]
        loose = [each for each, endpoint in zip(joined, endpoints, strict=True) if not endpoint.attached]
        names = iter(interface_names([_name_asked(each) for each in loose], plugged))
        return [endpoint if endpoint.attached else replace(endpoint, interface=next(names)) for endpoint in endpoints]

    def _led(self, joined: Sequence[Joined], endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Return the endpoints with the families that each of them leads."""
        candidates = [
            Candidate(endpoint=endpoint, network=each.network, priority=each.attachment.gateway_priority)
            for each, endpoint in zip(joined, endpoints, strict=True)
        ]
        leaders = leading(candidates)
        leads = {
            endpoint.id: tuple(sorted(version for version, leader in leaders.items() if leader == endpoint.id)) for endpoint in endpoints
        }
        return tuple(
            endpoint if endpoint.leads == leads[endpoint.id] else replace(endpoint, leads=leads[endpoint.id]) for endpoint in endpoints
        )

    def _network(self, endpoint: Endpoint) -> Network:
        return self.attachments.network(endpoint.network)


def _name_asked(joined: Joined) -> tuple[str, str]:
    return joined.network.prefix, joined.attachment.options.get(IFNAME, "")


def _link_local(asked: IPAddress) -> IPInterface:
    """The address as its interface carries it: IPv4LL has /16 (RFC 3927), fe80:: has /64."""
    return IPv4Interface((asked, 16)) if isinstance(asked, IPv4Address) else IPv6Interface((asked, 64))


def _leaders(endpoints: Iterable[Endpoint]) -> dict[int, Endpoint]:
    return {version: endpoint for endpoint in endpoints for version in endpoint.leads}


def _way(endpoint: Endpoint | None, version: int) -> tuple[str, IPAddress | None]:
    return (endpoint.interface, endpoint.gateway if version == 4 else endpoint.gateway6) if endpoint else ("", None)


def _lead(namespace: Path, version: int, endpoint: Endpoint | None) -> None:
    interface, gateway = _way(endpoint, version)
    route.set_default_inside(namespace, version, gateway, interface)
