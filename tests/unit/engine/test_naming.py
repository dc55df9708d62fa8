"""What the resolver is told of a container."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import pytest

from linkspan.config import Config
from linkspan.engine.naming import Place, in_order, is_served, told
from linkspan.engine.tracing import candidates
from linkspan.errors import InvalidInput
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container, NetworkConfig, NetworkMode, Process, Spec
from linkspan.model.endpoint import Endpoint
from linkspan.model.network import GatewayMode, Network, Subnet
from linkspan.plan.dns_options import ROUTES, SERVERS, check
from linkspan.plan.files import Resolver
from linkspan.resolver.units import Member, Sandbox, Server
from linkspan.resolver.units import Network as Told

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
CONFIG = Config()


def network(name: str, number: int = 18, **more: Any) -> Network:
    pool = IPv4Network(f"172.{number}.0.0/24")
    subnet = Subnet(subnet=pool, gateway=pool[1], range=pool)
    return Network(
        **{"id": f"id-{name}", "name": name, "driver": "bridge", "created": 0, "bridge": f"br-{number}", "subnets": (subnet,), **more}
    )


def endpoint(of: Network, **more: Any) -> Endpoint:
    pool = of.subnets[0].subnet
    address, gateway = IPv4Interface((str(pool[2]), pool.prefixlen)), IPv4Address(str(pool[1]))
    fields = {"id": f"e-{of.name}", "network": of.id, "sandbox": ID, "mac": "02:00:00:00:00:01", "address": address, "gateway": gateway}
    return Endpoint(**{**fields, **more})


def container(*attachments: Attachment, hostname: str = "", **more: Any) -> Container:
    config = NetworkConfig(mode=NetworkMode(kind="network", target="front"), **more)
    spec = Spec(process=Process(args=("x",)), network=config, image="i", image_name="i", hostname=hostname)
    return Container(id=ID, name="web", created=0, spec=spec, attachments=attachments)


FRONT, BACK = network("front"), network("back", 19)


def place(*networks: Network, of: Container | None = None, **more: Any) -> Place:
    attached = [(each, endpoint(each)) for each in networks or (FRONT,)]
    return Place(**{"container": of or container(), "sandbox": ID, "attached": attached, **more})


def sandbox(at: Place, config: Config = CONFIG) -> Sandbox:
    return next(unit for unit in told(at, config) if isinstance(unit, Sandbox))


def test_a_container_on_one_network() -> None:
    wish = Attachment(network="id-front", aliases=("www", "web", "api"))
    units = told(place(of=container(wish, hostname="host1")), CONFIG)
    names = ("web", "www", "api", ID[:12], "host1")
    assert units[:2] == [
        Told(id="id-front", name="front"),
        Member(id="e-front", network="id-front", names=names, addresses=("172.18.0.2",)),
    ]
    assert units[2] == Sandbox(
        id=ID,
        networks=("id-front",),
        names={"host.docker.internal": ("172.18.0.1",), "gateway.docker.internal": ("172.18.0.1",)},
    )


def test_aliases_are_those_of_their_network() -> None:
    wishes = Attachment(network="id-front", aliases=("a",)), Attachment(network="back", aliases=("b",))
    members = [unit for unit in told(place(FRONT, BACK, of=container(*wishes)), CONFIG) if isinstance(unit, Member)]
    assert [member.names for member in members] == [("web", "a", ID[:12]), ("web", "b", ID[:12])]


def test_both_families() -> None:
    both = endpoint(FRONT, address6=IPv6Interface("fd00::2/64"))
    member = told(Place(container=container(), sandbox=ID, attached=[(FRONT, both)]), CONFIG)[1]
    assert isinstance(member, Member)
    assert member.addresses == ("172.18.0.2", "fd00::2")


def test_the_default_network_has_names_only_when_it_is_asked_for() -> None:
    bridge = network("bridge", 17)
    assert [type(unit) for unit in told(place(bridge), CONFIG)] == [Sandbox]
    assert not is_served(place(bridge).attached, CONFIG)
    assert is_served(place(bridge, FRONT).attached, CONFIG)
    assert [type(unit) for unit in told(place(bridge), replace(CONFIG, default_bridge_dns=True))] == [Told, Member, Sandbox]
    on_both = told(place(bridge, FRONT), CONFIG)
    assert [unit.id for unit in on_both] == ["id-front", "e-front", ID]


def test_the_names_of_a_removed_container_are_gone_but_its_namespace_is_served() -> None:
    at = place(of=replace(container(), id=OTHER, name="side"))
    member = told(at, CONFIG)[1]
    assert isinstance(member, Member)
    assert member.names == ()
    assert sandbox(at).id == ID


def test_links_are_of_their_network_and_by_an_id_that_no_rename_changes() -> None:
    wish = Attachment(network="id-front", links=((OTHER, "db"), ("later", "soon")))
    assert sandbox(place(of=container(wish))).links == {"id-front": {"db": OTHER[:12], "soon": "later"}}


@pytest.mark.parametrize(
    ("wishes", "more", "order"),
    [
        ((), {}, ["back", "front"]),  # by name
        ((Attachment(network="id-front", gateway_priority=1),), {}, ["front", "back"]),
        ((Attachment(network="id-back", gateway_priority=-1),), {}, ["front", "back"]),
        ((), {"internal": True}, ["front", "back"]),
    ],
)
def test_networks_are_in_the_order_of_gateway_preference(wishes: tuple[Attachment, ...], more: dict[str, Any], order: list[str]) -> None:
    networks = (FRONT, replace(BACK, **more))
    at = place(*networks, of=container(*wishes))
    assert [each.name for each in in_order(at)] == order
    assert sandbox(at).networks == tuple(f"id-{name}" for name in order)


def test_two_gateways_come_before_one() -> None:
    dual = endpoint(FRONT, gateway6=IPv6Address("fd00::1"))
    at = Place(container=container(), sandbox=ID, attached=[(BACK, endpoint(BACK)), (FRONT, dual)])
    assert [each.name for each in in_order(at)] == ["front", "back"]


def test_internal_networks_alone_have_no_way_out() -> None:
    closed = replace(FRONT, internal=True)
    assert not sandbox(place(closed)).external
    assert sandbox(place(closed, BACK)).external


def test_who_is_asked() -> None:
    own = replace(FRONT, options={SERVERS: "10.0.0.3, 10.0.0.4"})
    assert sandbox(place()).servers is None
    assert sandbox(place(own)).servers == (Server(address="10.0.0.3"), Server(address="10.0.0.4"))
    assert sandbox(place(own), replace(CONFIG, dns=("10.0.0.1",))).servers == (Server(address="10.0.0.1", inside=True),)
    asked = container(dns=("10.0.0.9",))
    assert sandbox(place(own, of=asked), replace(CONFIG, dns=("10.0.0.1",))).servers == (Server(address="10.0.0.9", inside=True),)


def test_domains_have_all_the_servers_that_are_named_for_them() -> None:
    own = replace(FRONT, options={ROUTES: "corp.example=10.0.0.3,lab.example=fd00::3"})
    config = replace(CONFIG, dns_routes=("corp.example=10.0.0.1",))
    assert sandbox(place(own), config).routes == {"corp.example": ("10.0.0.1", "10.0.0.3"), "lab.example": ("fd00::3",)}


@pytest.mark.parametrize("options", [{SERVERS: "x"}, {ROUTES: "10.0.0.1"}, {ROUTES: "a=b"}])
def test_options_that_name_no_server_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check(options)
    check({SERVERS: "10.0.0.1,fd00::1", ROUTES: "a.example=10.0.0.1", "other": "x"})


def test_the_hosts_names_are_where_the_container_reaches_the_host() -> None:
    v6 = IPv6Network("fd00::/64")
    dual = replace(FRONT, subnets=(*FRONT.subnets, Subnet(subnet=v6, gateway=v6[1], range=v6)))
    assert sandbox(place(dual)).names["host.docker.internal"] == ("172.18.0.1", "fd00::1")
    isolated = replace(FRONT, internal=True, gateway_mode=GatewayMode.ISOLATED)
    assert sandbox(place(isolated)).names == {}
    assert sandbox(place(replace(FRONT, addressed=False), BACK)).names["host.docker.internal"] == ("172.19.0.1",)
    chosen = sandbox(place(), replace(CONFIG, host_gateway_ip=IPv4Address("192.0.2.7")))
    assert chosen.names == {"host.docker.internal": ("192.0.2.7",), "gateway.docker.internal": ("172.18.0.1",)}
    assert sandbox(place(), replace(CONFIG, host_docker_internal=False)).names == {}


@pytest.mark.parametrize(
    ("own", "daemon", "host", "stay"),
    [
        ((), (), (), False),
        (("ndots:2",), (), (), True),
        ((), ("ndots:1",), (), True),
        ((), (), ("edns0", "ndots:5"), True),
        (("edns0",), (), ("ndots:5",), False),
        (("ndots:0",), (), (), False),
    ],
)
def test_short_names_stay_where_somebody_chose_ndots(
    own: tuple[str, ...], daemon: tuple[str, ...], host: tuple[str, ...], stay: bool
) -> None:
    at = place(of=container(dns_options=own), host_options=host)
    assert sandbox(at, replace(CONFIG, dns_options=daemon)).short_names_stay == stay


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("web", ("ndots:0",), ["web", "web.a.example", "web.b"]),
        ("web", (), ["web.a.example", "web.b", "web"]),
        ("web.x", (), ["web.x", "web.x.a.example", "web.x.b"]),
        ("web.x", ("ndots:2",), ["web.x.a.example", "web.x.b", "web.x"]),
        ("web.x.", ("ndots:2",), ["web.x"]),
        ("web", ("ndots:0", "ndots:5", "ndots:x"), ["web.a.example", "web.b", "web"]),
    ],
)
def test_a_c_library_asks_for_these(name: str, options: tuple[str, ...], names: list[str]) -> None:
    assert candidates(name, Resolver(search=("a.example", "b."), options=options)) == names
