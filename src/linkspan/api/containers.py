"""/containers: everything but their streams."""

import os
import time

from aiohttp import web

from linkspan.api.answers import JSON, answer, empty
from linkspan.api.call import Call
from linkspan.api.listing import container_lines
from linkspan.api.router import Route
from linkspan.api.versions import Version
from linkspan.api.wire_containers import container_line
from linkspan.api.wire_create import parse_create, parse_restart
from linkspan.api.wire_endpoints import network_settings
from linkspan.api.wire_inspect import container_details
from linkspan.errors import Unsupported

_DNS_NAMES = Version(1, 45)
"""Since then the names that others know a container by stand in a field of their own."""
_LIMITS = (
    "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems",
    "KernelMemory", "Memory", "MemoryReservation", "MemorySwap", "NanoCpus", "PidsLimit",
)  # fmt: skip


async def list_containers(call: Call) -> web.Response:
    """GET /containers/json"""
    size = call.flag("size")
    listed = call.engine.containers.list(all=call.flag("all"), limit=call.integer("limit") or 0, filters=call.filters())
    if not size:
        return web.Response(body=container_lines(listed, time.time_ns()), content_type=JSON)
    views = await call.engine.containers.measured(listed)
    now = time.time_ns()
    return answer([container_line(view, now, size=True) for view in views])


async def create(call: Call) -> web.Response:
    """POST /containers/create"""
    cpus = len(os.sched_getaffinity(0))
    request = parse_create(await call.body(), name=call.text("name"), version=call.version, cpus=cpus)
    created = await call.engine.containers.create(request)
    return answer({"Id": created.id, "Warnings": list(created.warnings)}, 201)


async def inspect(call: Call) -> web.Response:
    """GET /containers/{id}/json"""
    size = call.flag("size")
    view = call.engine.containers.inspect(call.path["id"])
    [view] = await call.engine.containers.measured([view]) if size else [view]
    rendered = container_details(view, runtime=call.engine.system.runtime.name, size=size)
    if call.version < _DNS_NAMES:
        rendered["NetworkSettings"] = network_settings(view, aliases_have_names=True)
    return answer(rendered)


async def start(call: Call) -> web.Response:
    """POST /containers/{id}/start"""
    if call.text("checkpoint"):
        raise Unsupported("linkspan does not start containers from checkpoints")
    await call.engine.lifecycle.start(call.path["id"])
    return empty()


async def stop(call: Call) -> web.Response:
    """POST /containers/{id}/stop"""
    await call.engine.lifecycle.stop(call.path["id"], call.integer("t"), call.text("signal"))
    return empty()


async def restart(call: Call) -> web.Response:
    """POST /containers/{id}/restart"""
    await call.engine.lifecycle.restart(call.path["id"], call.integer("t"), call.text("signal"))
    return empty()


async def kill(call: Call) -> web.Response:
    """POST /containers/{id}/kill"""
    await call.engine.lifecycle.kill(call.path["id"], call.text("signal"))
    return empty()


async def pause(call: Call) -> web.Response:
    """POST /containers/{id}/pause"""
    await call.engine.lifecycle.pause(call.path["id"])
    return empty()


async def unpause(call: Call) -> web.Response:
    """POST /containers/{id}/unpause"""
    await call.engine.lifecycle.unpause(call.path["id"])
    return empty()


async def rename(call: Call) -> web.Response:
    """POST /containers/{id}/rename"""
    await call.engine.containers.rename(call.path["id"], call.text("name"))
    return empty()


async def update(call: Call) -> web.Response:
    """POST /containers/{id}/update"""
    body = await call.body()
    if given := [field for field in _LIMITS if body.has(field)]:
        raise Unsupported(f"the limits of a container cannot be changed ({', '.join(given)}): only its restart policy can")
    policy = body.child("RestartPolicy")
    warnings = await call.engine.containers.update(call.path["id"], parse_restart(policy) if policy.has("Name") else None)
    return answer({"Warnings": list(warnings) or None})


async def top(call: Call) -> web.Response:
    """GET /containers/{id}/top"""
    found = await call.engine.containers.top(call.path["id"], call.text("ps_args"))
    return answer({"Titles": list(found.titles), "Processes": [list(process) for process in found.processes]})


async def remove(call: Call) -> web.Response:
    """DELETE /containers/{id}"""
    if call.flag("link"):
        raise Unsupported("links cannot be removed: create the container anew without the link")
    await call.engine.lifecycle.remove(call.path["id"], force=call.flag("force"))
    return empty()


async def prune(call: Call) -> web.Response:
    """POST /containers/prune"""
    pruned = await call.engine.containers.prune(call.filters())
    return answer({"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.space})


ROUTES = (
    Route("GET", "/containers/json", list_containers),
    Route("GET", "/containers/ps", list_containers),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect),
    Route("GET", "/containers/{id}/top", top),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("DELETE", "/containers/{id}", remove),
)
