"""/networks"""

from aiohttp import web

from linkspan.api.answers import answer, empty
from linkspan.api.call import Call
from linkspan.api.router import Route
from linkspan.api.versions import Version
from linkspan.api.wire_endpoint_config import parse_endpoint
from linkspan.api.wire_network_create import parse_network_create, parse_network_update
from linkspan.api.wire_networks import network_details

_LEAN_LIST = Version(1, 28)
"""Since then the list does not say who is on a network."""


async def list_networks(call: Call) -> web.Response:
    """GET /networks"""
    views = await call.engine.networks.list(call.filters())
    return answer([network_details(view, members=call.version < _LEAN_LIST) for view in views])


async def inspect(call: Call) -> web.Response:
    """GET /networks/{id}"""
    return answer(network_details(await call.engine.networks.inspect(call.path["id"]), members=True))


async def create(call: Call) -> web.Response:
    """POST /networks/create"""
    made, warnings = await call.engine.networks.create(parse_network_create(await call.body(), call.version))
    return answer({"Id": made, "Warning": "; ".join(warnings)}, 201)


async def update(call: Call) -> web.Response:
    """POST /networks/{id}/update"""
    await call.engine.networks.update(call.path["id"], parse_network_update(await call.body()))
    return empty(200)


async def remove(call: Call) -> web.Response:
    """DELETE /networks/{id}"""
    await call.engine.networks.remove(call.path["id"])
    return empty()


async def connect(call: Call) -> web.Response:
    """POST /networks/{id}/connect"""
    body = await call.body()
    asked = parse_endpoint(call.path["id"], body.child("EndpointConfig"))
    await call.engine.connections.connect(call.path["id"], body.text("Container"), asked)
    return empty(200)


async def disconnect(call: Call) -> web.Response:
    """POST /networks/{id}/disconnect"""
    body = await call.body()
    await call.engine.connections.disconnect(call.path["id"], body.text("Container"), force=body.boolean("Force"))
    return empty(200)


async def prune(call: Call) -> web.Response:
    """POST /networks/prune"""
    pruned = await call.engine.networks.prune(call.filters())
    return answer({"NetworksDeleted": list(pruned.ids) or None})


ROUTES = (
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/", list_networks),
    Route("GET", "/networks/{id}", inspect),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/update", update),
    Route("POST", "/networks/{id}/disconnect", disconnect),
    Route("DELETE", "/networks/{id}", remove),
)
