"""/linkspan/…: what Docker's API has no place for."""

from aiohttp import web

from linkspan.api import wire_doctor
from linkspan.api.answers import answer
from linkspan.api.call import Call
from linkspan.api.router import Route


async def examine(call: Call) -> web.Response:
    """GET /linkspan/doctor: compare the store with the kernel, and look at the host; nothing is changed."""
    return answer(wire_doctor.report(await call.engine.upkeep.examine()))


async def repair(call: Call) -> web.Response:
    """POST /linkspan/repair: mend what can be mended."""
    return answer(wire_doctor.report(await call.engine.upkeep.repair()))


ROUTES = (
    Route("GET", "/linkspan/doctor", examine),
    Route("POST", "/linkspan/repair", repair),
)
