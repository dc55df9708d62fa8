"""The description of the API says what is served, all of it and nothing else."""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linkspan.api.description import document
from linkspan.api.router import Route
from linkspan.api.server import ROUTES
from linkspan.api.versions import CURRENT
from linkspan.engine import containers, filters, images, network_views

DESCRIPTION: dict[str, Any] = json.loads(document())
READERS = ("text", "texts", "flag", "integer", "time")
BY_ROUTE = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


def resolved(node: Any) -> Any:
    """The node that a `$ref` leads to, or the node itself."""
    while "$ref" in node:
        found: Any = DESCRIPTION
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation for path, item in DESCRIPTION["paths"].items() for method, operation in resolved(item).items()
}


def described(route: Route) -> dict[str, Any]:
    return OPERATIONS[route.method, route.path.replace("*}", "}")]


def names(route: Route, where: str) -> set[str]:
    return {parameter["name"] for parameter in described(route).get("parameters", ()) if parameter["in"] == where}


def calls(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """What a handler, and whoever it hands its call to, reads: ("text", "name"), ("body", ""), ("take_over", "") …"""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if not isinstance(node, ast.Call):
            continue
        given = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
        match node.func:
            case ast.Attribute(value=ast.Name(id="call"), attr=reader):
                yield reader, str(given)
            case ast.Name(id=name) if any(isinstance(argument, ast.Name) and argument.id == "call" for argument in node.args):
                yield from calls(inspect.unwrap(function).__globals__[name])
            case ast.Name(id=name):
                yield name, ""
            case _:
                pass


def test_every_route_is_described_and_nothing_else() -> None:
    assert {(route.method, route.path.replace("*}", "}")) for route in ROUTES} == OPERATIONS.keys()


def test_the_description_names_the_newest_version() -> None:
    assert DESCRIPTION["info"]["version"] == str(CURRENT)
    assert DESCRIPTION["servers"][0] == {"url": f"/v{CURRENT}"}


def test_no_two_operations_have_one_id() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values() if "operationId" in operation]
    assert len(ids) == len(set(ids))


@BY_ROUTE
def test_parameters_are_those_that_the_code_reads(route: Route) -> None:
    read = {name for reader, name in calls(route.handler) if reader in READERS}
    read |= {"filters"} & {reader for reader, _ in calls(route.handler)}
    assert names(route, "query") == read


@BY_ROUTE
def test_variables_of_the_path_and_headers_are_described(route: Route) -> None:
    assert names(route, "path") == set(re.findall(r"{(\w+)\*?}", route.path))
    used = {name for name, _ in calls(route.handler)}
    headers = {"credentials": "X-Registry-Auth", "take_over": "Upgrade"}
    assert names(route, "header") == {header for name, header in headers.items() if name in used}


@BY_ROUTE
def test_bodies_are_described_where_they_are_read(route: Route) -> None:
    read = {reader for reader, _ in calls(route.handler)} & {"body", "content"}
    kinds = {"application/json": "body", "application/x-tar": "content"}
    assert {kinds[kind] for kind in described(route).get("requestBody", {}).get("content", ())} == read
    assert ({"408", "413"} <= described(route)["responses"].keys()) == ("body" in read)


@BY_ROUTE
def test_streams_are_marked(route: Route) -> None:
    assert described(route).get("x-streams", False) == route.streams


@BY_ROUTE
def test_whoever_asks_for_a_version_that_is_not_served_gets_400(route: Route) -> None:
    assert "400" in described(route)["responses"]


@pytest.mark.parametrize(
    ("method", "path", "keys"),
    [
        ("GET", "/containers/json", filters._TESTS),
        ("POST", "/containers/prune", containers.PRUNE_FILTERS),
        ("GET", "/images/json", images.LIST_FILTERS),
        ("POST", "/images/prune", images.PRUNE_FILTERS),
        ("GET", "/networks", network_views.TESTS),
    ],
)
def test_filters_are_those_of_the_code(method: str, path: str, keys: Any) -> None:
    given = next(parameter for parameter in OPERATIONS[method, path]["parameters"] if parameter["name"] == "filters")
    assert given["content"]["application/json"]["schema"]["properties"].keys() == set(keys)


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    referred = set(re.findall(r'"\$ref": "#/components/(\w+/\w+)"', document().decode()))
    there = {f"{kind}/{name}" for kind, group in DESCRIPTION["components"].items() for name in group}
    assert referred == there
