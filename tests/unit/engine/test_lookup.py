"""What users call things: full id, name, or the beginning of an id."""

from dataclasses import replace

import pytest

from linkspan.engine.lookup import Lookup
from linkspan.errors import InvalidInput, NotFound
from linkspan.model.container import Container, NetworkConfig, NetworkMode, Process, Spec
from linkspan.model.network import Network
from linkspan.store.sqlite import SqliteStore

SPEC = Spec(process=Process(args=("sh",)), network=NetworkConfig(mode=NetworkMode.parse("bridge")), image="i", image_name="i")
WEB = Container(id="abc1" + "0" * 60, name="web", created=1, spec=SPEC)
DB = replace(WEB, id="abc2" + "0" * 60, name="db")
ODD = replace(WEB, id="ffff" + "0" * 60, name="abc1")
"""Its name is the beginning of another's id."""


@pytest.fixture
def lookup() -> Lookup:
    store = SqliteStore(":memory:")
    for container in (WEB, DB, ODD):
        store.put_container(container)
    for number, name in enumerate(("bridge", "host")):
        store.put_network(Network(id=f"1{number}" * 32, name=name, driver=name if name == "host" else "null", created=0))
    return Lookup(store)


@pytest.mark.parametrize(
    ("ref", "name"), [(WEB.id, "web"), ("web", "web"), ("/web", "web"), ("abc2", "db"), ("ff", "abc1"), ("abc1", "abc1")]
)
def test_containers(lookup: Lookup, ref: str, name: str) -> None:
    assert lookup.container(ref).name == name


def test_containers_that_are_none_or_several(lookup: Lookup) -> None:
    with pytest.raises(InvalidInput, match=r"multiple IDs found with provided prefix: abc$"):
        lookup.container("abc")
    for ref in ("nobody", "", "/"):
        with pytest.raises(NotFound, match=f"No such container: {ref}"):
            lookup.container(ref)


def test_networks(lookup: Lookup) -> None:
    assert lookup.network("host").name == lookup.network("11").name == "host"
    with pytest.raises(InvalidInput, match=r"network 1 is ambiguous \(2 matches found based on ID prefix\)"):
        lookup.network("1")
    with pytest.raises(NotFound, match=r"^failed: network x not found"):
        lookup.network("x", prefix="failed: ")
