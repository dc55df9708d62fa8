"""Bridge networks with namespaces for containers, made by the driver and the rules alone: no engine, no processes.

with Lans(folder) as lans:
    net = lans.network("a", icc=False)
    box = lans.box("web", net)
    lans.publish(box, 80, at=8080)
    lans.outside.ask(box, 80)
"""

import contextlib
import itertools
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, Self

from linkspan.drivers.bridge import BridgeDriver
from linkspan.kernel import link, sysctl
from linkspan.kernel.nft import Firewall
from linkspan.model.endpoint import OUR_GROUP, Endpoint
from linkspan.model.network import UNSPECIFIED, UNSPECIFIED6, IPAddress, Network, Subnet
from linkspan.model.publish import Port, Publish
from linkspan.plan import firewall, guard
from linkspan.undo import Undo
from tests.hosts import Host, join

UPLINK: IPAddress = IPv4Address("10.99.0.1")
UPLINK6: IPAddress = IPv6Address("fd99::1")
OUTSIDE: IPAddress = IPv4Address("10.99.0.2")
OUTSIDE6: IPAddress = IPv6Address("fd99::2")


@dataclass(frozen=True)
class Box:
    """A container, as far as the network knows it: a namespace with an interface."""

    machine: Host
    network: Network
    endpoint: Endpoint

    def address(self, version: int) -> IPAddress:
        return next(ip for ip in self.endpoint.ips if ip.version == version)


class Lans:
    """A host with bridge networks, and a machine outside that has routes to all of them."""

    def __init__(self, folder: Path, *, filtered: bool = False) -> None:
        """`filtered`: frames between ports of a bridge meet the rules (br_netfilter)."""
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self._filtered = filtered
        self.networks: list[Network] = []

    def __enter__(self) -> Self:
        self.host, self.outside = self.machine("host"), self.machine("outside")
        join(self.host, self.outside)
        for machine, address in ((self.host, UPLINK6), (self.outside, OUTSIDE6)):
            machine.sh("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        for family in ("iptables", "ip6tables"):
            self.host.sh("sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}={int(self._filtered)}")
        self.host.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.rules = self.host.run(Firewall)
        self.driver = self.host.run(lambda: BridgeDriver(self.rules))
        self.rules.apply(firewall.ruleset() + guard.guard())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def machine(self, name: str) -> Host:
        return self._stack.enter_context(Host(self._folder / f"{name}.net"))

    def network(self, name: str, **fields: Any) -> Network:
        """Make a network of both families, with the driver."""
        number = next(self._numbers)
        subnet, subnet6 = IPv4Network(f"172.30.{number}.0/24"), IPv6Network(f"fd00:{number}::/64")
        pools = (Subnet(subnet=subnet, gateway=subnet[1], range=subnet), Subnet(subnet=subnet6, gateway=subnet6[1], range=subnet6))
        made = Network(id=name, name=name, driver="bridge", created=0, bridge=f"br-{name}", subnets=pools, ipv6=True, **fields)

        def create() -> None:
            with Undo() as undo:
                self.driver.create(made, undo)

        self.host.run(create)
        for pool, gateway in ((subnet, UPLINK), (subnet6, UPLINK6)):
            self.outside.sh("ip", "route", "add", str(pool), "via", str(gateway))
        self.networks.append(made)
        return made

    def box(self, name: str, network: Network) -> Box:
        """Plug a namespace into the network, with a default route by the bridge whatever the network says."""
        number, machine = 10 + next(self._numbers), self.machine(name)
        interfaces = [pool.interface(pool.subnet[number]) for pool in network.subnets]
        endpoint = Endpoint(
            id=name,
            network=network.id,
            sandbox=name,
            mac=f"02:42:ac:1e:00:{number:02x}",
            address=next(entry for entry in interfaces if isinstance(entry, IPv4Interface)),
            address6=next(entry for entry in interfaces if isinstance(entry, IPv6Interface)),
            host_interface=f"veth{name}",
        )
        end = ("type", "veth", "peer", "name", "eth0", "address", endpoint.mac, "netns", machine.path)
        self.host.sh("ip", "link", "add", endpoint.host_interface, "group", str(OUR_GROUP), "master", network.bridge, *end)
        self.plug(network, endpoint)
        machine.sh("ip", "link", "set", "eth0", "up")
        for pool, interface in zip(network.subnets, interfaces, strict=True):
            nodad = ["nodad"] if interface.version == 6 else []
            machine.sh("ip", "addr", "add", str(interface), "dev", "eth0", *nodad)
            assert pool.gateway is not None
            machine.sh("ip", "route", "add", "default", "via", str(pool.gateway))
        self.rules.apply(guard.owner(endpoint))
        return Box(machine, network, endpoint)

    def plug(self, network: Network, endpoint: Endpoint) -> None:
        """Set the port as the driver wants it on this host."""
        mode = self.host.run(lambda: self.driver.port(network))
        self.host.run(partial(link.open_port, endpoint.host_interface, hairpin=mode.hairpin, isolated=mode.isolated))

    def publish(self, box: Box, port: int, *, at: int, on: Sequence[IPAddress] = (UNSPECIFIED, UNSPECIFIED6)) -> None:
        """Lead a host port to the box; port 0: open it at the box's own address."""
        publishes = [Publish(host_ip=address, host_port=at, port=Port(port)) for address in on]
        self.rules.apply(firewall.publish_elements(publishes, *box.endpoint.ips))

    def serve(self, machine: Host, name: str, *ports: int) -> None:
        """Answer everybody on these ports with the name and the caller's address."""
        for port in ports:
            self._stack.enter_context(_Server(machine, name, port))

    def setting(self, key: str) -> str:
        return self.host.run(lambda: sysctl.get(key))


def ask(machine: Host, address: IPAddress, port: int, timeout: float = 4) -> str:
    """Return what a server answers, empty if nobody does."""

    def call() -> str:
        try:
            with socket.create_connection((str(address), port), timeout) as caller:
                return caller.recv(200).decode()
        except OSError:
            return ""

    return machine.run(call)


class _Server:
    def __init__(self, machine: Host, name: str, port: int) -> None:
        self._name = name
        self._socket = machine.run(lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = self._socket.accept()
                with connection, contextlib.suppress(ConnectionError):
                    connection.sendall(f"{self._name} {caller[0].removeprefix('::ffff:')}".encode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
