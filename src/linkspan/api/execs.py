"""/containers/{id}/exec and /exec"""

from aiohttp import web

from linkspan.api.answers import answer, empty
from linkspan.api.call import Call
from linkspan.api.container_streams import stream_type, terminal_size
from linkspan.api.conversation import Attachment, Input, converse
from linkspan.api.detach import DetachKeys
from linkspan.api.framing import frame
from linkspan.api.hijack import NoAnswer, take_over
from linkspan.api.router import Route
from linkspan.api.wire_execs import exec_details, parse_exec
from linkspan.errors import EngineError


async def create(call: Call) -> web.Response:
    """POST /containers/{id}/exec"""
    request = parse_exec(await call.body())
    if request.detach_keys:
        DetachKeys(request.detach_keys)  # refuses wrong ones now
    return answer({"Id": await call.engine.execs.create(call.path["id"], request)}, 201)


async def start(call: Call) -> web.StreamResponse:
    """POST /exec/{id}/start"""
    body = await call.body()
    detach, tty = body.boolean("Detach"), body.boolean("Tty")
    made = call.engine.execs.inspect(call.path["id"])
    if detach:
        await call.operations.finish(call.engine.execs.start(made.id, detach=True))
        return empty(200)
    # First the connection, then the command, as dockerd does it: docker-py loses output that arrives together with the headers,
    # and clients read in the output why a command cannot run (its exit code is then 126 or 127).
    connection = await take_over(call.request, stream_type(call.version, tty=tty))
    try:
        attachment = await call.operations.finish(call.engine.execs.start(made.id, detach=False), _close)
    except EngineError as error:
        text = f"{error}\r\n".encode()
        await connection.write(text if tty else frame(1, text))
        attachment = None
    if attachment is None:
        connection.close()
        return NoAnswer()
    keys = DetachKeys(made.detach_keys) if made.process.tty else None
    given = Input(wanted=made.attach_stdin, ends_with_client=True, detach_keys=keys)
    await converse(connection, attachment, given, framed=not tty)
    return NoAnswer()


async def _close(attachment: Attachment | None) -> None:
    if attachment is not None:
        await attachment.close()


async def resize(call: Call) -> web.Response:
    """POST /exec/{id}/resize"""
    await call.engine.execs.resize(call.path["id"], *terminal_size(call))
    return web.Response(status=201)


async def inspect(call: Call) -> web.Response:
    """GET /exec/{id}/json"""
    return answer(exec_details(call.engine.execs.inspect(call.path["id"])))


ROUTES = (
    Route("POST", "/containers/{id}/exec", create),
    Route("POST", "/exec/{id}/start", start, streams=True),
    Route("POST", "/exec/{id}/resize", resize),
    Route("GET", "/exec/{id}/json", inspect),
)
