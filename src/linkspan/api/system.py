"""/info, /version, /_ping, /events, /system/df: the engine as a whole."""

import time

from aiohttp import web

from linkspan.api import wire_system
from linkspan.api.answers import JSON, answer, lines, stream
from linkspan.api.call import Call
from linkspan.api.router import Route
from linkspan.errors import InvalidInput


async def ping(_: Call) -> web.Response:
    """GET and HEAD /_ping; the API version is in the headers of every answer."""
    headers = {"Builder-Version": "1", "Swarm": "inactive", "Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    return web.Response(text="OK", headers=headers)


async def info(call: Call) -> web.Response:
    """GET /info"""
    return answer(wire_system.info(await call.engine.system.info(), time.time_ns()))


async def version(call: Call) -> web.Response:
    """GET /version"""
    return answer(wire_system.version(await call.engine.system.info()))


async def events(call: Call) -> web.StreamResponse:
    """GET /events"""
    since, until = call.time("since"), call.time("until")
    if since and until and since > until:
        raise InvalidInput(f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})")
    found = call.engine.events.subscribe(since=since, until=until, filters=call.filters())
    return await stream(call.request, lines(found, wire_system.event), JSON, at_once=True)


async def disk_usage(call: Call) -> web.Response:
    """GET /system/df"""
    views = await call.engine.containers.measured(call.engine.containers.list(all=True))
    return answer(wire_system.disk_usage(call.engine.images.list({}), views, time.time_ns()))


ROUTES = (
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/info", info),
    Route("GET", "/version", version),
    Route("GET", "/events", events, streams=True),
    Route("GET", "/system/df", disk_usage),
)
