"""GET /linkspan/openapi.json: what is served, in OpenAPI's form; a test compares it with the routes."""

import functools
import importlib.resources

from aiohttp import web

from linkspan.api.answers import JSON
from linkspan.api.call import Call
from linkspan.api.router import Route


@functools.cache
def document() -> bytes:
    """Return the description, as the package holds it."""
    return importlib.resources.files("linkspan.api").joinpath("openapi.json").read_bytes()


async def show(_: Call) -> web.Response:
    """GET /linkspan/openapi.json"""
    return web.Response(body=document(), content_type=JSON)


ROUTES = (Route("GET", "/linkspan/openapi.json", show),)
