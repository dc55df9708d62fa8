"""Docker's endpoints that linkspan does not have: each answers 501 with one sentence, and says what to do instead if there is something.

Of volumes, build cache and plugins there are none: lists and prunes of them say so instead.
"""

from aiohttp import web

from linkspan.api.answers import answer
from linkspan.api.call import Call
from linkspan.api.router import Handler, Route
from linkspan.errors import NotFound, Unsupported

NO_BUILD = "linkspan does not build images: build with buildah or docker and `linkspan load` the result"
NO_SWARM = "linkspan has no swarm mode"
NO_VOLUMES = "linkspan has no volumes: mount a host path with -v HOST_PATH:PATH"
NO_COPY = "linkspan does not copy files into or out of containers: mount a host path with -v, or use exec with tar"
NO_PLUGINS = "linkspan has no plugins"
NO_CHECKPOINTS = "linkspan does not checkpoint containers"


def _refuses(sentence: str) -> Handler:
    async def refuse(call: Call) -> web.StreamResponse:
        await call.drop_body()
        raise Unsupported(sentence)

    return refuse


async def _no_volumes(_: Call) -> web.Response:
    """GET /volumes"""
    return answer({"Volumes": [], "Warnings": None})


async def _no_volume(call: Call) -> web.Response:
    """GET and DELETE /volumes/{name}"""
    raise NotFound(f"get {call.path['name']}: no such volume")


async def _pruned_volumes(_: Call) -> web.Response:
    """POST /volumes/prune"""
    return answer({"VolumesDeleted": None, "SpaceReclaimed": 0})


async def _pruned_build_cache(_: Call) -> web.Response:
    """POST /build/prune"""
    return answer({"CachesDeleted": None, "SpaceReclaimed": 0})


_SENTENCES = (
    ("POST", "/build", NO_BUILD),
    ("POST", "/build/cancel", NO_BUILD),
    ("POST", "/session", NO_BUILD),
    ("POST", "/grpc", NO_BUILD),
    ("POST", "/commit", "linkspan does not make images out of containers: build with buildah or docker and `linkspan load` the result"),
    (
        "POST",
        "/auth",
        "linkspan does not check credentials: keep them in the client's configuration, they are used when pulling and pushing",
    ),
    ("GET", "/images/search", "linkspan does not search registries"),
    ("GET", "/distribution/{name*}/json", "linkspan does not look into registries without pulling: use skopeo inspect"),
    ("GET", "/containers/{id}/attach/ws", "linkspan does not attach over websockets: use POST /containers/{id}/attach"),
    ("GET", "/containers/{id}/changes", "linkspan does not list changed files"),
    ("GET", "/containers/{id}/export", "linkspan does not export containers: use exec with tar"),
    ("GET", "/containers/{id}/stats", "linkspan does not measure containers: read their cgroup, or use top"),
    ("GET", "/containers/{id}/archive", NO_COPY),
    ("HEAD", "/containers/{id}/archive", NO_COPY),
    ("PUT", "/containers/{id}/archive", NO_COPY),
    ("POST", "/containers/{id}/copy", NO_COPY),
    ("GET", "/containers/{id}/checkpoints", NO_CHECKPOINTS),
    ("POST", "/containers/{id}/checkpoints", NO_CHECKPOINTS),
    ("DELETE", "/containers/{id}/checkpoints/{checkpoint}", NO_CHECKPOINTS),
    ("POST", "/volumes/create", NO_VOLUMES),
    ("PUT", "/volumes/{name}", NO_VOLUMES),
    *((method, f"/plugins{rest}", NO_PLUGINS) for method in ("GET", "POST", "DELETE") for rest in ("", "/{rest*}")),
    *(
        (method, f"/{kind}{rest}", NO_SWARM)
        for kind in ("swarm", "nodes", "services", "tasks", "secrets", "configs")
        for method in ("GET", "POST", "DELETE")
        for rest in ("", "/{rest*}")
    ),
)

ROUTES = (
    Route("GET", "/volumes", _no_volumes),
    Route("POST", "/volumes/prune", _pruned_volumes),
    Route("POST", "/build/prune", _pruned_build_cache),
    Route("GET", "/volumes/{name}", _no_volume),
    Route("DELETE", "/volumes/{name}", _no_volume),
    *(Route(method, path, _refuses(sentence)) for method, path, sentence in _SENTENCES),
)
