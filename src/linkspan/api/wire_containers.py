"""Containers on the wire: the lines of ps, and the answers to small requests."""

from collections.abc import Sequence

from linkspan.api.times import SECOND, human_duration
from linkspan.api.wire_endpoints import networks
from linkspan.api.wire_mounts import mount_points
from linkspan.api.wire_publish import ports_list
from linkspan.engine.requests import WaitResult
from linkspan.engine.views import ContainerView
from linkspan.errors import InvalidInput
from linkspan.model.container import Container, Status
from linkspan.model.image import Image
from linkspan.model.reference import Reference, is_id

Json = dict[str, object]


def container_line(view: ContainerView, now: int, *, size: bool) -> Json:
    """Render a container as GET /containers/json lists it; `now` in nanoseconds."""
    container = view.container
    rendered: Json = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": image_name(container, view.image),
        "ImageID": container.spec.image,
        "Command": command_line(container.spec.process.args),
        "Created": container.created // SECOND,
        "Ports": ports_list(container),
        "Labels": container.spec.labels,
        "State": container.state.status.value,
        "Status": status_text(container, now),
        "HostConfig": {"NetworkMode": str(container.spec.network.mode)},
        "NetworkSettings": {"Networks": networks(view)},
        "Mounts": mount_points(container.spec),
    }
    if size:
        rendered |= sizes(view)
    return rendered


def sizes(view: ContainerView) -> Json:
    """Render the sizes that `ps --size` and `inspect --size` show."""
    return {"SizeRw": view.size_rw, "SizeRootFs": view.size_rw + (view.image.size if view.image else 0)}


def status_text(container: Container, now: int) -> str:
    """Return the STATUS column: `Up 5 minutes`, `Exited (0) 3 seconds ago`."""
    state = container.state
    match state.status:
        case Status.RUNNING:
            return f"Up {human_duration(now - state.started)}"
        case Status.PAUSED:
            return f"Up {human_duration(now - state.started)} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {human_duration(now - state.finished)} ago"
        case Status.EXITED if state.finished:
            return f"Exited ({state.exit_code}) {human_duration(now - state.finished)} ago"
        case _:
            return "Created"


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as ps shows it: arguments with blanks in single quotes."""
    program, *rest = arguments
    return " ".join([program, *(f"'{argument}'" if " " in argument else argument for argument in rest)])


def image_name(container: Container, image: Image | None) -> str:
    """Return the image's name as the user gave it, or its id if that name means another image now, or none."""
    name, identity = container.spec.image_name, container.spec.image
    if image is None:
        return identity
    if is_id(name) or identity.removeprefix("sha256:").startswith(name):
        return name
    try:
        reference = Reference.parse(name)
    except InvalidInput:
        return identity
    return name if reference.digest or str(reference.or_latest()) in image.tags else identity


def wait_answer(result: WaitResult) -> Json:
    """Render the answer to a wait."""
    return {"StatusCode": result.exit_code, **({"Error": {"Message": result.error}} if result.error else {})}
