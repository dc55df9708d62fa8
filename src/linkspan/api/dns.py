"""/linkspan/dns/…: the names that containers know."""

from aiohttp import web

from linkspan.api import wire_dns
from linkspan.api.answers import answer
from linkspan.api.call import Call
from linkspan.api.router import Route
from linkspan.errors import InvalidInput


async def trace(call: Call) -> web.Response:
    """GET /linkspan/dns/trace: ask for a name as a container would, and tell each step."""
    container, name = call.text("container"), call.text("name")
    if not container or not name:
        raise InvalidInput("a container and a name are wanted")
    return answer(wire_dns.trace(await call.engine.tracer.trace(container, name, call.text("type") or "A")))


async def status(call: Call) -> web.Response:
    """GET /linkspan/dns/status: the figures of the resolver."""
    return answer(wire_dns.status(await call.engine.resolution.status()))


ROUTES = (
    Route("GET", "/linkspan/dns/trace", trace),
    Route("GET", "/linkspan/dns/status", status),
)
