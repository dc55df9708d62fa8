"""Which endpoints a container gets: chosen and recorded in the store, whatever a driver makes of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from linkspan.config import load
from linkspan.engine.attachments import Joined
from linkspan.engine.endpoints import Endpoints
from linkspan.errors import AddressInUse, Exhausted
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container, NetworkConfig, NetworkMode, Process, Spec
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import Network, Subnet
from linkspan.plan.converge import PortMode
from linkspan.store.base import Store
from linkspan.store.sqlite import SqliteStore
from linkspan.undo import Undo

SPEC = Spec(process=Process(args=("sh",)), network=NetworkConfig(mode=NetworkMode(kind="bridge")), image="i", image_name="i")


class IdleDriver:
    """A network type that makes nothing."""

    name = "bridge"

    def __init__(self) -> None:
        self.ipv6 = True
        """Whether this kernel has IPv6."""

    def validate(self, network: Network) -> None:
        pass

    def create(self, network: Network, undo: Undo) -> None:
        pass

    def attach(self, network: Network, endpoint: Endpoint, namespace: Path, undo: Undo) -> None:
        pass

    def detach(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        pass

    def settings(self, network: Network) -> Mapping[str, str]:
        return {}

    def port(self, network: Network) -> PortMode:
        return PortMode()

    def restore(self, network: Network, endpoint: Endpoint, namespace: Path) -> None:
        pass

    def resize(self, network: Network, plugged: Iterable[tuple[Endpoint, Path]]) -> None:
        pass

    def reshape(self, former: Network, network: Network, undo: Undo) -> None:
        pass

    def retire(self, network: Network) -> tuple[str, ...]:
        return ()

    def delete(self, network: Network) -> None:
        pass

    def possible(self, network: Network) -> Network:
        return network if self.ipv6 else replace(network, subnets=tuple(pool for pool in network.subnets if pool.subnet.version == 4))


def network(name: str, subnet: str) -> Network:
    pool = Subnet(subnet=IPv4Network(subnet), gateway=IPv4Network(subnet)[1], range=IPv4Network(subnet))
    return Network(id=f"id-{name}", name=name, driver="bridge", created=0, bridge=f"br-{name}", subnets=(pool,))


ONE, TWO = network("one", "10.1.0.0/24"), network("two", "10.2.0.0/29")


def container(name: str, *attachments: Attachment) -> Container:
    return Container(id=name * 8, name=name, created=1, spec=SPEC, attachments=attachments)


def on(known: Network, ipv4: str = "") -> Attachment:
    return Attachment(network=known.id, name=known.name, ipv4=IPv4Address(ipv4) if ipv4 else None)


@pytest.fixture
def store() -> Store:
    made = SqliteStore(":memory:")
    made.put_network(ONE)
    made.put_network(TWO)
    return made


@pytest.fixture
def driver() -> IdleDriver:
    return IdleDriver()


@pytest.fixture
def endpoints(store: Store, driver: IdleDriver, tmp_path: Path) -> Endpoints:
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({}))
    return Endpoints(load(["--config-file", str(settings)]), store, {"bridge": driver}, most=2)


def started(endpoints: Endpoints, store: Store, box: Container) -> list[Endpoint]:
    store.put_container(box)
    with Undo() as undo:
        return [endpoints.attach(endpoint, Path("/nowhere"), undo) for endpoint in endpoints.wanted(box, undo)]


def test_they_are_named_and_led_in_the_order_of_the_networks(endpoints: Endpoints, store: Store) -> None:
    first, second = started(endpoints, store, container("a", on(TWO), on(ONE)))
    assert (first.network, first.interface, first.leads) == (TWO.id, "eth0", ())
    assert (second.network, second.interface, second.leads) == (ONE.id, "eth1", (4,))


def test_an_endpoint_too_many_is_refused_before_anything_is_recorded(endpoints: Endpoints, store: Store) -> None:
    for name in ("a", "b"):
        started(endpoints, store, container(name, on(ONE)))
    before = (store.endpoints(), dict(store.taken(ONE.id)))
    late = container("c", on(TWO), on(ONE))
    with pytest.raises(Exhausted, match="network one has 2 endpoints, the most that one bridge of Linux can have: make another"):
        started(endpoints, store, late)
    with pytest.raises(Exhausted, match="network one has 2 endpoints"), Undo() as undo:
        endpoints.one_more(late, Joined(on(ONE), ONE), undo)
    assert (store.endpoints(), dict(store.taken(ONE.id))) == before
    store.delete_endpoint(next(endpoint.id for endpoint in store.endpoints()))
    assert len(started(endpoints, store, late)) == 2


def test_one_of_many_containers_gets_the_address_that_all_ask_for(endpoints: Endpoints, store: Store) -> None:
    wishes = [container(f"c{number}", on(ONE, "10.1.0.50")) for number in range(100)]
    for box in wishes:
        store.put_container(box)
        endpoints.hold(box)
    won, refusals = [], set()
    for box in reversed(wishes):
        try:
            won += started(endpoints, store, box)
        except AddressInUse as refusal:
            refusals.add(str(refusal))
    assert refusals == {"failed to set up container networking: Address already in use"}
    [endpoint] = won
    assert endpoint.sandbox == wishes[0].id, "it is held from the create on"


def test_a_start_that_fails_on_its_last_network_records_nothing(endpoints: Endpoints, store: Store) -> None:
    for number in range(2, 7):
        store.reserve(TWO.id, "somebody", lambda *_, number=number: IPv4Address(f"10.2.0.{number}"))
    with pytest.raises(Exhausted, match=r"no available IPv4 addresses on this network's address pools: two \(id-two\)"):
        started(endpoints, store, container("a", on(ONE), on(TWO)))
    assert (store.endpoints(), dict(store.taken(ONE.id))) == ((), {})


def test_a_kernel_without_ipv6_gives_addresses_of_the_other_family(endpoints: Endpoints, store: Store, driver: IdleDriver) -> None:
    six = Subnet(subnet=IPv6Network("fd00::/64"), gateway=IPv6Address("fd00::1"), range=IPv6Network("fd00::/64"))
    dual = replace(ONE, subnets=(*ONE.subnets, six), ipv6=True)
    store.put_network(dual)
    [both] = started(endpoints, store, container("a", on(dual)))
    assert (str(both.address6), both.gateway6, both.leads) == ("fd00::2/64", IPv6Address("fd00::1"), (4, 6))
    driver.ipv6 = False
    [one] = started(endpoints, store, container("b", on(dual)))
    assert (one.address6, one.gateway6, one.leads) == (None, None, (4,))
