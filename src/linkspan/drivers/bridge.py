"""Bridge networks: a Linux bridge on the host, and a veth pair for each endpoint (Docker's `bridge` driver)."""

import contextlib
import errno
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from linkspan.errors import Conflict, InvalidInput, KernelError, NotFound
from linkspan.kernel import address, bridge, link, neighbour, netns, route, sysctl
from linkspan.model.endpoint import Endpoint, random_mac
from linkspan.model.network import IPInterface, Network
from linkspan.plan import firewall
from linkspan.plan.converge import PortMode
from linkspan.undo import Undo

logger = logging.getLogger(__name__)


class Rules(Protocol):
    """What takes the ruleset: `kernel.nft.Firewall`."""

    def apply(self, ruleset: str) -> None: ...


class BridgeDriver:
    """Docker's `bridge` driver."""

    name = "bridge"

    def __init__(self, rules: Rules, *, ipv6: bool | None = None) -> None:
        """`ipv6` tells whether the kernel has IPv6; None: look."""
        self._rules = rules
        self._ipv6 = sysctl.has_ipv6() if ipv6 is None else ipv6
        self._told = False

    def validate(self, network: Network) -> None:
        for version, enabled in ((4, network.ipv4), (6, network.ipv6)):
            pools = [pool for pool in network.subnets if pool.subnet.version == version]
            if enabled and not pools and network.ipam_driver == "default":
                raise InvalidInput(f"ipv{version} pool is empty")
            if len(pools) > 1:
                raise InvalidInput("bridge driver doesn't support multiple subnets")

    def create(self, network: Network, undo: Undo) -> None:
        """Make the bridge, or adopt the one that is there: then only what differs is changed."""
        network = self.possible(network)
        name = network.bridge
        if link.index(name) is None:
            # One that is made anew after an accident must be known to its neighbours: the same network has the same address.
            undo.push(f"delete bridge {name}", partial(_delete_ours, name))  # first: the kernel's answer may be lost
            link.create_bridge(name, mtu=network.mtu, mac=random_mac(hashlib.sha256(network.id.encode()).digest()))
        elif not link.is_bridge(name):
            raise Conflict(f"existing interface {name} is not a bridge")
        elif not link.is_foreign(name):
            link.revive(name)  # a removal that was not completed may have marked it
        ours = not link.is_foreign(name)
        bridge.learn_no_link_locals(name)

        self._rules.apply(firewall.network_rules(network))
        undo.push(f"remove the rules of {name}", partial(self._rules.apply, firewall.network_removal(network)))

        for key, value in self.settings(network).items():
            sysctl.put(key, value)
        self._set_addresses(network, undo, ours=ours)
        if ours:
            link.set_mtu(name, network.mtu)
        link.set_up(name)  # last: no packet passes before the rules are there
        for gateway in network.bridge_addresses:
            route.add_connected(name, gateway.network, gateway.ip)  # the kernel did, but somebody may have taken it away
        if network.pool(6) and not network.internal:
            route.take_loopback(name)

    def attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> None:
        endpoint = self._usable(endpoint)
        # Before: when the kernel's answer is lost, the interface is there all the same.
        undo.push(f"delete {endpoint.host_interface}", partial(link.delete, endpoint.host_interface))
        link.create_veth(endpoint.host_interface, network.bridge, namespace, endpoint.interface, mac=endpoint.mac, mtu=network.mtu)

        inside = (namespace, endpoint.interface, endpoint.addresses, endpoint.default_gateways)
        address.configure_inside(*inside, settings=_inside_settings(endpoint))
        port = self.port(network)
        link.open_port(endpoint.host_interface, hairpin=port.hairpin, isolated=port.isolated)

    def detach(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        link.delete_many(endpoint.host_interface for endpoint in endpoints)

    def settings(self, network: Network) -> dict[str, str]:
        # What the host sends from 127.0.0.1 to a published port leaves by the bridge; the ruleset drops 127/8 coming in by it.
        own = f"net/ipv4/conf/{network.bridge}"
        settings = {f"{own}/route_localnet": "1"}
        if not network.icc and not _bridged_packets_are_filtered(network):
            # The ports are isolated from each other: neighbours reach each other's published ports through the host,
            # which answers ARP for them (RFC 3069) and must not tell them of a shorter way.
            settings |= {f"{own}/proxy_arp_pvlan": "1", f"{own}/send_redirects": "0"}
        return settings | (_settings6(network.bridge) if network.pool(6) and self._ipv6 else {})

    def port(self, network: Network) -> PortMode:
        filtered = _bridged_packets_are_filtered(network)
        # Hairpin is for a container that calls its own published port: the bridge sends the frame back where it came from.
        return PortMode(hairpin=filtered, isolated=not filtered and not network.icc)

    def restore(self, network: Network, endpoint: Endpoint, namespace: Path) -> None:
        endpoint = self._usable(endpoint)
        port = self.port(network)
        link.plug(endpoint.host_interface, network.bridge)
        address.restore_inside(namespace, endpoint.interface, endpoint.addresses, endpoint.default_gateways)
        link.open_port(endpoint.host_interface, hairpin=port.hairpin, isolated=port.isolated)
        for own in endpoint.addresses:
            neighbour.forget(network.bridge, own.ip)

    def resize(self, network: Network, plugged: Iterable[tuple[Endpoint, Path]]) -> None:
        for endpoint, namespace in plugged:
            with contextlib.suppress(NotFound), netns.open_socket(namespace) as inside:  # it is being taken away
                link.set_mtu(endpoint.interface, network.mtu, inside)
                link.set_mtu(endpoint.host_interface, network.mtu)
        if not link.is_foreign(network.bridge):
            link.set_mtu(network.bridge, network.mtu)

    def reshape(self, former: Network, network: Network, undo: Undo) -> None:
        undo.push(f"make {network.bridge} what it was", partial(self._reshape, network, former))
        self._reshape(former, network)

    def _reshape(self, former: Network, network: Network) -> None:
        self._rules.apply(firewall.network_change(self.possible(former), self.possible(network)))
        for key in self.settings(former).keys() - self.settings(network).keys():
            sysctl.put(key, "0" if key.endswith("proxy_arp_pvlan") else "1")
        with Undo() as undo:
            self.create(network, undo)

    def retire(self, network: Network) -> tuple[str, ...]:
        self._rules.apply(firewall.network_removal(network))
        if network.adopted or link.index(network.bridge) is None or link.is_foreign(network.bridge):
            return ()
        link.doom(network.bridge)
        carried: list[IPInterface] = [*address.of(network.bridge), *address.of6(network.bridge)]
        for present in carried:
            address.remove(network.bridge, present)  # and the routes with it
        return (network.bridge,)

    def delete(self, network: Network) -> None:
        self._rules.apply(firewall.network_removal(network))
        if not link.is_foreign(network.bridge):
            link.delete(network.bridge)

    def possible(self, network: Network) -> Network:
        # Without IPv6 in the kernel the other family must not go without too.
        if self._ipv6 or not network.pool(6):
            return network
        if not self._told:
            logger.warning("this kernel has no IPv6: networks have what they have of IPv4 only, %s is the first", network.name)
            self._told = True
        return replace(network, subnets=tuple(pool for pool in network.subnets if pool.subnet.version == 4))

    def _usable(self, endpoint: Endpoint) -> Endpoint:
        """Return what the host can give of an endpoint."""
        if self._ipv6:
            return endpoint
        own = tuple(entry for entry in endpoint.link_local if entry.version == 4)
        return replace(endpoint, address6=None, gateway6=None, link_local=own)

    @staticmethod
    def _set_addresses(network: Network, undo: Undo, *, ours: bool) -> None:
        name, wanted = network.bridge, network.bridge_addresses
        present: list[IPInterface] = [*address.of(name), *(entry for entry in address.of6(name) if not entry.is_link_local)]
        for gateway in wanted:
            if gateway not in present:
                address.add(name, gateway)
                undo.push(f"remove {gateway} from {name}", partial(address.remove, name, gateway))
        if ours:
            for former in set(present).difference(wanted):
                address.remove(name, former)


def _settings6(bridge: str) -> dict[str, str]:
    own = f"net/ipv6/conf/{bridge}"
    # Nobody on the bridge is the host's router, and who has which address there is for us to say: nobody is asked first.
    return {f"{own}/disable_ipv6": "0", f"{own}/accept_ra": "0", f"{own}/accept_dad": "0"}


def _inside_settings(endpoint: Endpoint) -> dict[str, str]:
    """What the interface is set to before it comes up."""
    own = f"net/ipv6/conf/{endpoint.interface}"
    if any(address.version == 6 for address in endpoint.addresses):
        # Addresses and routes are ours to give; nobody else has them, so that nobody need be asked before they are used.
        settings = {f"{own}/disable_ipv6": "0", f"{own}/accept_ra": "0", f"{own}/accept_dad": "0"}
        settings[f"{own}/addr_gen_mode"] = "0"  # the link-local address follows from the MAC: the guard knows it so
    else:
        settings = {f"{own}/disable_ipv6": "1"}
    return settings | endpoint.settings


def _bridged_packets_are_filtered(network: Network) -> bool:
    """Whether frames between two ports of the network's bridge meet the ruleset (br_netfilter; kernel: networking/bridge.rst).

    Then the forward chain keeps containers apart where icc is off, and a published port that leads to the same bridge is
    reached without routing. Where it is not so in each of the network's families, ports are isolated, and the host routes.
    """
    families = [keyword for keyword, version in (("iptables", 4), ("ip6tables", 6)) if network.pool(version)]
    try:
        return all(sysctl.get(f"net/bridge/bridge-nf-call-{keyword}") == "1" for keyword in families or ["iptables"])
    except KernelError as error:
        if error.errno == errno.ENOENT:  # there is no br_netfilter
            return False
        raise


def _delete_ours(name: str) -> None:
    if not link.is_foreign(name):
        link.delete(name)
