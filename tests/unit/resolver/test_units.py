"""What the engine tells the resolver, and what the resolver does not believe."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkspan.errors import InvalidInput
from linkspan.resolver.units import Member, Network, Sandbox, Server, Unit, from_json, to_json

UNITS = [
    Network(id="n", name="front"),
    Member(id="e", network="n", names=("web", "*.web"), addresses=("172.18.0.2", "fd00::2")),
    Sandbox(id="s"),
    Sandbox(
        id="s",
        networks=("n", "m"),
        links={"n": {"db": "abc"}},
        names={"host.docker.internal": ("172.18.0.1",)},
        servers=(Server(address="10.0.0.1", inside=True), Server(address="fe80::1%eth0")),
        routes={"corp.example": ("10.0.0.2",)},
        external=False,
        short_names_stay=True,
        lifetime=5,
    ),
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_comes_out_as_it_went_in(unit: Unit) -> None:
    assert from_json(json.loads(json.dumps(to_json(unit)))) == unit


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kind": "sandbox"},
        {"kind": "zebra", "id": "x"},
        {"kind": "network", "id": "x"},
        {"kind": "network", "id": "", "name": "x"},
        {"kind": "network", "id": "x", "name": 5},
        {"kind": "network", "id": "x", "name": "n" * 301},
        {"kind": "network", "id": "x", "name": "n", "more": 1},
        {"kind": "member", "id": "x", "network": "n", "addresses": ["1.2.3"]},
        {"kind": "member", "id": "x", "network": "n", "names": "web"},
        {"kind": "member", "id": "x", "network": "n", "names": ["a"] * 2001},
        {"kind": "sandbox", "id": "x", "lifetime": -1},
        {"kind": "sandbox", "id": "x", "lifetime": True},
        {"kind": "sandbox", "id": "x", "external": "no"},
        {"kind": "sandbox", "id": "x", "servers": [{"address": "localhost"}]},
        {"kind": "sandbox", "id": "x", "servers": ["10.0.0.1"]},
        {"kind": "sandbox", "id": "x", "routes": {"a": ["b"]}},
        {"kind": "sandbox", "id": "x", "links": {"n": ["a"]}},
    ],
)
def test_what_is_no_unit_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        from_json(value)


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from(["kind", "id", "network", "names", "addresses", "links", "servers", "routes", "external", "lifetime"])
    return st.dictionaries(keys, values, max_size=5)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | _objects(inner),
    max_leaves=6,
)


@given(_objects(JSON | st.sampled_from(["member", "sandbox", "network"])))
def test_nothing_else_comes_of_any_json(value: dict[str, Any]) -> None:
    try:
        unit = from_json(value)
    except InvalidInput:
        return
    assert from_json(json.loads(json.dumps(to_json(unit)))) == unit
