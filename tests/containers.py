"""Containers of the tests: busybox under the real OCI runtime and conmon."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from linkspan.model.container import Container, Exec, NetworkConfig, NetworkMode, Process, Resources, Security, Spec
from linkspan.runtime import logs
from linkspan.runtime.attach import Attachment
from linkspan.runtime.conmon import Running
from linkspan.runtime.exec import Execution
from linkspan.runtime.monitor import Runtime
from linkspan.runtime.spec import Launch
from linkspan.runtime.users import User

BUSYBOX = Path("/bin/busybox")
APPLETS = "awk cat df env false grep head hostname id ls mount readlink seq sh sleep stty tail tr true tty unshare wc yes".split()
ROOT = User(groups=(0,))


class Bench:
    """A runtime with folders of its own, and a root with busybox in it. Every container that it made ends with it."""

    def __init__(self, folder: Path, namespace: Path, runtime: Runtime) -> None:
        self.folder = folder
        self.namespace = namespace
        self.runtime = runtime
        self.ids: list[str] = []

    def launch(self, *args: str, security: Security = Security(), resources: Resources = Resources(), **more: Any) -> Launch:
        """A launch of a new container that runs `args`; `more` are fields of Process, Spec or Launch."""
        container_id = os.urandom(32).hex()
        self.ids.append(container_id)
        (self.folder / "containers" / container_id).mkdir(parents=True)
        fields = {kind: {key: more[key] for key in more if key in kind.__dataclass_fields__} for kind in (Process, Spec, Launch)}
        spec = Spec(
            process=Process(args=args, **fields[Process]),
            network=NetworkConfig(mode=NetworkMode(kind="none")),
            image="sha256:0",
            image_name="busybox",
            security=security,
            resources=resources,
            **fields[Spec],
        )
        container = Container(id=container_id, name="test", created=0, spec=spec)
        given = {"namespace": self.namespace, "hostname": "box", "user": ROOT, **fields[Launch]}
        return Launch(container=container, rootfs=self.folder / "rootfs", **given)

    async def start(self, launch: Launch) -> Running:
        running = await self.runtime.create(launch)
        await self.runtime.start(launch.container.id)
        return running

    async def run(self, launch: Launch) -> tuple[int, bytes, bytes]:
        """Run a container to its end; returns its exit code, stdout and stderr."""
        running = await self.start(launch)
        code = await self.wait(launch, running)
        return code, await self.log(launch, 1), await self.log(launch, 2)

    async def wait(self, launch: Launch, running: Running) -> int:
        return await self.runtime.wait(launch.container.id, running.monitor_pid, running.monitor_start)

    async def log(self, launch: Launch, stream: int) -> bytes:
        path = self.folder / "containers" / launch.container.id / "container.log"
        return b"".join(
            [record.data async for record in logs.read(path, follow=None, tail=None, since=0, until=0) if record.stream == stream]
        )

    async def exec(
        self,
        launch: Launch,
        *args: str,
        attach: bool = True,
        privileged: bool = False,
        user: User = ROOT,
        **fields: Any,
    ) -> Execution:
        """Run a command in a running container; `fields` are Process's."""
        made = Exec(id=os.urandom(8).hex(), container=launch.container.id, process=Process(args=args, **fields), privileged=privileged)
        return await self.runtime.exec(launch.container, made, user=user, attach=attach)


Scenario = Callable[[Callable[[Bench], Awaitable[None]]], None]
"""Runs a test's coroutine with a bench."""


async def collect(attachment: Attachment) -> tuple[bytes, bytes]:
    """Everything that comes to its end: stdout, stderr."""
    streams: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    async for stream, data in attachment:
        streams[stream] += data
    return bytes(streams[1]), bytes(streams[2])


def processes_naming(folder: Path) -> list[str]:
    """The command lines that name a folder: monitors and runtimes that should be gone."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdecimal() else ""
        except OSError:
            continue
        if str(folder) in line and int(entry.name) != os.getpid():
            found.append(line)
    return found
