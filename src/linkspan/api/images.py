"""/images"""

from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from linkspan.api.answers import JSON, answer, close, empty, encode, failure_line, lines, stream
from linkspan.api.call import Call
from linkspan.api.fields import Fields
from linkspan.api.router import Route
from linkspan.api.wire_images import image_details, image_history, image_line, progress_line, pruned_images, removals
from linkspan.errors import InvalidInput, Unsupported
from linkspan.images.registry import RegistryAuth

TAR = "application/x-tar"


async def list_images(call: Call) -> web.Response:
    """GET /images/json"""
    filters = call.filters()
    if old := call.text("filter"):  # how API 1.24 to 1.40 named the filter `reference`
        filters["reference"] = (*filters.get("reference", ()), old)
    return answer([image_line(image, call.version) for image in call.engine.images.list(filters)])


async def inspect(call: Call) -> web.Response:
    """GET /images/{name}/json"""
    return answer(image_details(call.engine.images.inspect(call.path["name"]), call.version))


async def history(call: Call) -> web.Response:
    """GET /images/{name}/history"""
    image = call.engine.images.inspect(call.path["name"])
    return answer(image_history(image, call.engine.images.history(call.path["name"])))


async def create(call: Call) -> web.StreamResponse:
    """POST /images/create: a pull (fromImage) or an import (fromSrc)"""
    if source := call.text("fromSrc"):
        return await _import(call, source)
    if not call.text("fromImage"):
        raise InvalidInput("fromImage or fromSrc must say what to make the image of")
    reference = _reference(call.text("fromImage"), call.text("tag"))
    steps = call.engine.images.pull(reference, platform=call.text("platform"), auth=_auth(call.credentials()))
    return await stream(call.request, lines(steps, progress_line), JSON, failure=failure_line)


async def push(call: Call) -> web.StreamResponse:
    """POST /images/{name}/push"""
    steps = call.engine.images.push(_reference(call.path["name"], call.text("tag")), auth=_auth(call.credentials()))
    return await stream(call.request, lines(steps, progress_line), JSON, failure=failure_line)


async def load(call: Call) -> web.StreamResponse:
    """POST /images/load"""
    loaded = call.engine.images.load(call.content())
    return await stream(call.request, lines(loaded, lambda line: {"stream": f"{line}\n"}), JSON, failure=failure_line)


async def save(call: Call) -> web.StreamResponse:
    """GET /images/{name}/get"""
    return await stream(call.request, _pieces(call.engine.images.save([call.path["name"]])), TAR)


async def save_several(call: Call) -> web.StreamResponse:
    """GET /images/get"""
    references = call.texts("names")
    if not references:
        raise InvalidInput("names must say which images to save")
    return await stream(call.request, _pieces(call.engine.images.save(references)), TAR)


async def tag(call: Call) -> web.Response:
    """POST /images/{name}/tag"""
    await call.engine.images.tag(call.path["name"], call.text("repo"), call.text("tag"))
    return empty(201)


async def remove(call: Call) -> web.Response:
    """DELETE /images/{name}"""
    removed = await call.engine.images.remove(call.path["name"], force=call.flag("force"), noprune=call.flag("noprune"))
    return answer(removals(removed))


async def prune(call: Call) -> web.Response:
    """POST /images/prune"""
    pruned = await call.engine.images.prune(call.filters())
    return answer({"ImagesDeleted": pruned_images(pruned.ids) or None, "SpaceReclaimed": pruned.space})


async def _import(call: Call, source: str) -> web.StreamResponse:
    if source != "-":
        raise Unsupported("an import from a URL is not supported: give the archive itself")
    repository, wanted_tag = call.text("repo"), call.text("tag")
    reference = _reference(repository, wanted_tag) if repository else ""
    changes, message = call.texts("changes"), call.text("message")
    made = await call.engine.images.import_root(call.content(), reference, changes=changes, message=message)
    return web.Response(body=encode({"status": made}), content_type=JSON)


async def _pieces(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in pieces:
            yield piece
    finally:
        await close(pieces)


def _reference(name: str, tag: str) -> str:
    """Join a name and a tag or digest as clients send them apart."""
    if not tag:
        return name
    return f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"


def _auth(credentials: Fields) -> RegistryAuth | None:
    auth = RegistryAuth(
        username=credentials.text("username"),
        password=credentials.text("password"),
        identity_token=credentials.text("identitytoken"),
    )
    return auth if auth != RegistryAuth() else None


ROUTES = (
    Route("GET", "/images/json", list_images),
    Route("POST", "/images/create", create, streams=True),
    Route("POST", "/images/load", load, streams=True),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/get", save_several, streams=True),
    Route("GET", "/images/{name*}/get", save, streams=True),
    Route("GET", "/images/{name*}/json", inspect),
    Route("GET", "/images/{name*}/history", history),
    Route("POST", "/images/{name*}/push", push, streams=True),
    Route("POST", "/images/{name*}/tag", tag),
    Route("DELETE", "/images/{name*}", remove),
)
