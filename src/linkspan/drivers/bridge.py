"""Bridge networks: a Linux bridge on the host, and a veth pair for each endpoint (Docker's `bridge` driver)."""

import errno
import hashlib
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Protocol

from linkspan.errors import Conflict, InvalidInput, KernelError
from linkspan.kernel import address, bridge, link, neighbour, route, sysctl
from linkspan.model.endpoint import Endpoint, random_mac
from linkspan.model.network import Network
from linkspan.plan import firewall
from linkspan.plan.converge import PortMode
from linkspan.undo import Undo


class Rules(Protocol):
    """What takes the ruleset: `kernel.nft.Firewall`."""

    def apply(self, ruleset: str) -> None: ...


class BridgeDriver:
    """Docker's `bridge` driver."""

    name = "bridge"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def validate(self, network: Network) -> None:
        if not network.subnets:
            raise InvalidInput("ipv4 pool is empty")
        if len(network.subnets) > 1:
            raise InvalidInput("bridge driver doesn't support multiple subnets")

    def create(self, network: Network, undo: Undo) -> None:
        """Make the bridge, or adopt the one that is there: then only what differs is changed."""
        name = network.bridge
        if link.index(name) is None:
            # One that is made anew after an accident must be known to its neighbours: the same network has the same address.
            link.create_bridge(name, mtu=network.mtu, mac=random_mac(hashlib.sha256(network.id.encode()).digest()))
            undo.push(f"delete bridge {name}", partial(link.delete, name))
        elif not link.is_bridge(name):
            raise Conflict(f"existing interface {name} is not a bridge")
        bridge.learn_no_link_locals(name)

        self._rules.apply(firewall.network_rules(network))
        undo.push(f"remove the rules of {name}", partial(self._rules.apply, firewall.network_removal(network)))

        for key, value in self.settings(network).items():
            sysctl.put(key, value)
        self._set_address(network, undo)
        link.set_mtu(name, network.mtu)
        link.set_up(name)  # last: no packet passes before the rules are there
        for gateway in _gateways(network):
            route.add_connected(name, gateway.network, gateway.ip)  # the kernel did, but somebody may have taken it away

    def attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> None:
        link.create_veth(endpoint.host_interface, network.bridge, namespace, endpoint.interface, mac=endpoint.mac, mtu=network.mtu)
        undo.push(f"delete {endpoint.host_interface}", partial(link.delete, endpoint.host_interface))

        settings = {f"net/ipv6/conf/{endpoint.interface}/disable_ipv6": "1"}
        address.configure_inside(namespace, endpoint.interface, [endpoint.ipv4], filter(None, [endpoint.gateway]), settings=settings)
        port = self.port(network)
        link.open_port(endpoint.host_interface, hairpin=port.hairpin, isolated=port.isolated)

    def detach(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        link.delete_many(endpoint.host_interface for endpoint in endpoints)

    def settings(self, network: Network) -> dict[str, str]:
        # What the host sends from 127.0.0.1 to a published port leaves by the bridge; the ruleset drops 127/8 coming in by it.
        own = f"net/ipv4/conf/{network.bridge}"
        settings = {f"{own}/route_localnet": "1"}
        if not network.icc and not _bridged_packets_are_filtered():
            # The ports are isolated from each other: neighbours reach each other's published ports through the host,
            # which answers ARP for them (RFC 3069) and must not tell them of a shorter way.
            settings |= {f"{own}/proxy_arp_pvlan": "1", f"{own}/send_redirects": "0"}
        return settings

    def port(self, network: Network) -> PortMode:
        filtered = _bridged_packets_are_filtered()
        # Hairpin is for a container that calls its own published port: the bridge sends the frame back where it came from.
        return PortMode(hairpin=filtered, isolated=not filtered and not network.icc)

    def restore(self, network: Network, endpoint: Endpoint, namespace: Path) -> None:
        port = self.port(network)
        link.plug(endpoint.host_interface, network.bridge)
        address.restore_inside(namespace, endpoint.interface, [endpoint.ipv4], filter(None, [endpoint.gateway]))
        link.open_port(endpoint.host_interface, hairpin=port.hairpin, isolated=port.isolated)
        neighbour.forget(network.bridge, endpoint.ipv4.ip)

    def delete(self, network: Network) -> None:
        self._rules.apply(firewall.network_removal(network))
        if not link.is_foreign(network.bridge):
            link.delete(network.bridge)

    @staticmethod
    def _set_address(network: Network, undo: Undo) -> None:
        for gateway in _gateways(network):
            present = address.of(network.bridge)
            if gateway in present:
                continue
            address.add(network.bridge, gateway)
            undo.push(f"remove {gateway} from {network.bridge}", partial(address.remove, network.bridge, gateway))
            if not link.is_foreign(network.bridge):
                for former in present:
                    address.remove(network.bridge, former)


def _gateways(network: Network) -> list[IPv4Interface]:
    return [gateway for pool in network.subnets if isinstance(gateway := pool.gateway_interface, IPv4Interface)]


def _bridged_packets_are_filtered() -> bool:
    """Whether frames between two ports of a bridge meet the ruleset (br_netfilter; kernel: Documentation/networking/bridge.rst).

    Then the forward chain keeps containers apart where icc is off, and a published port that leads to the same bridge is
    reached without routing. Where it is not so, ports are isolated, and the host routes between them.
    """
    try:
        return sysctl.get("net/bridge/bridge-nf-call-iptables") == "1"
    except KernelError as error:
        if error.errno == errno.ENOENT:  # there is no br_netfilter
            return False
        raise
