"""What a container will run: the request merged with its image's configuration, by Docker's rules. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from linkspan.engine.requests import CreateRequest
from linkspan.errors import InvalidInput
from linkspan.model.container import Process, Spec
from linkspan.model.image import Image, ImageConfig
from linkspan.model.signals import signal_number

DEFAULT_STOP_TIMEOUT = 10


def merged_spec(request: CreateRequest, image: Image) -> Spec:
    """Return the container's specification; raises InvalidInput if nothing is left to run."""
    entrypoint, cmd = _command(request, image.config)
    if not entrypoint and not cmd:
        raise InvalidInput("no command specified")
    working_dir = request.working_dir or image.config.working_dir or "/"
    if not working_dir.startswith("/"):
        raise InvalidInput(f"the working directory '{working_dir}' is invalid, it needs to be an absolute path")
    stop_signal = request.stop_signal or image.config.stop_signal or "SIGTERM"
    signal_number(stop_signal)
    network = replace(request.network, exposed=tuple(sorted({*image.config.exposed, *request.network.exposed})))
    return Spec(
        process=Process(
            args=(*entrypoint, *cmd),
            env=merged_env(image.config.env, request.env),
            working_dir=working_dir,
            user=request.user or image.config.user,
            tty=request.tty,
            open_stdin=request.open_stdin,
            stdin_once=request.stdin_once,
        ),
        network=network,
        image=image.id,
        image_name=request.image,
        hostname=request.hostname,
        domainname=request.domainname,
        entrypoint=entrypoint,
        cmd=cmd,
        labels=image.config.labels | request.labels,
        mounts=request.mounts,
        binds=request.binds,
        resources=request.resources,
        security=request.security,
        shm_size=request.shm_size,
        init=bool(request.init),
        auto_remove=request.auto_remove,
        stop_signal=stop_signal,
        stop_timeout=DEFAULT_STOP_TIMEOUT if request.stop_timeout is None else request.stop_timeout,
        attach_stdin=request.attach_stdin,
        attach_stdout=request.attach_stdout,
        attach_stderr=request.attach_stderr,
    )


def _command(request: CreateRequest, config: ImageConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An entry point of the request's own also replaces the image's command; `("",)` clears the image's."""
    if request.entrypoint:
        return tuple(filter(None, request.entrypoint)), request.cmd or ()
    return config.entrypoint, request.cmd or config.cmd


def merged_env(base: Sequence[str], changes: Iterable[str]) -> tuple[str, ...]:
    """Return `base` with `NAME=value` of `changes` set and `NAME` alone removed; the order of first appearance stays."""
    merged = {entry.partition("=")[0]: entry for entry in base}
    for entry in changes:
        name, given, _ = entry.partition("=")
        if given:
            merged[name] = entry
        else:
            merged.pop(name, None)
    return tuple(merged.values())
