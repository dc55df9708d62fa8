"""Commands run in a running container, each under a monitor of its own."""

import json
from dataclasses import dataclass
from pathlib import Path

from linkspan.errors import CommandFailed, EngineError
from linkspan.model.container import Exec, Process
from linkspan.runtime import attach as attachments
from linkspan.runtime.attach import Attachment
from linkspan.runtime.conmon import Conmon, Folder, Running, refused
from linkspan.runtime.host import Host
from linkspan.runtime.spec import exec_process
from linkspan.runtime.users import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A command that was started in a container; `attachment` is None if nobody asked for its streams."""

    id: str
    container: str
    pid: int
    monitor_pid: int
    monitor_start: int
    attachment: Attachment | None


def exec_folder(container: Folder, exec_id: str) -> Folder:
    """Return where the files of an exec are: inside the container's, so that they go with it."""
    folder = container.bundle / "exec" / exec_id
    return Folder(bundle=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """What every start of a command needs, whichever the container."""

    conmon: Conmon
    host: Host

    async def start(self, container: Folder, made: Exec, user: User, *, attach: bool) -> Execution:
        """Start a command in a container. Raises what `Conmon.run` raises, in Docker's words; EngineError."""
        folder = exec_folder(container, made.id)
        specification = self._specify(container, folder, made, user)
        options = ("--exec", "--exec-process-spec", specification, "--cid", made.container, "--cuuid", made.id, "--log-path", "off")
        attached: list[Attachment] = []

        async def connect() -> None:
            attached.append(await attachments.connect(folder.bundle, stdin=made.process.open_stdin))

        try:
            streams = _stream_options(made.process, attach=attach)
            running = await self.conmon.run(folder, *options, *streams, attach=connect if attach else None)
        except BaseException as error:
            for attachment in attached:
                await attachment.close()
            if isinstance(error, CommandFailed):
                raise refused("OCI runtime exec failed", error) from error
            raise
        return _execution(made, running, next(iter(attached), None))

    def _specify(self, container: Folder, folder: Folder, made: Exec, user: User) -> Path:
        """Write what is to run, out of what the container itself runs as."""
        specification = folder.bundle / "process.json"
        try:
            folder.bundle.mkdir(parents=True)
            running = json.loads(container.config.read_text())["process"]
            rendered = exec_process(running, made.process, user, privileged=made.privileged, host=self.host)
            specification.write_text(json.dumps(rendered))
        except OSError as error:  # a full disk, or the container is gone
            raise EngineError(f"OCI runtime exec failed: {error.filename or specification}: {error.strerror}") from error
        return specification


def _execution(made: Exec, running: Running, attachment: Attachment | None) -> Execution:
    return Execution(
        id=made.id,
        container=made.container,
        pid=running.pid,
        monitor_pid=running.monitor_pid,
        monitor_start=running.monitor_start,
        attachment=attachment,
    )


def _stream_options(process: Process, *, attach: bool) -> list[str]:
    streams = ["--exec-attach"] if attach else []
    if process.tty:
        return [*streams, "--terminal"]
    return [*streams, "--stdin"] if process.open_stdin else streams
