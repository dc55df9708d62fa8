"""Many clients at once: the API over its socket, asynchronously.

async with Crowd(engine.socket) as crowd:
    answers = await crowd.all("POST", [f"/containers/{name}/start" for name in names])
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

LONG = 120.0
"""Seconds that no answer takes."""


@dataclass(frozen=True)
class Answer:
    """What the engine said."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        """The reason of a refusal."""
        return str(self.json["message"]) if self.status >= 400 else ""


class Crowd:
    """Clients without limit, each request on a connection of its own if it must."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: object = None, *, data: bytes | None = None) -> Answer:
        async with self._session.request(method, f"http://engine{path}", json=body, data=data) as answer:
            return Answer(answer.status, (await answer.read()).decode(errors="replace"))

    async def all(self, method: str, paths: Iterable[str], body: object = None) -> list[Answer]:
        """Ask all of it at once."""
        return await asyncio.gather(*(self.ask(method, path, body) for path in paths))

    async def leave(self, head: str, body: bytes = b"", *, listen: bool = False) -> None:
        """Send a request and hang up at once, or after the first byte of the answer."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            writer.write(head.encode().replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
            await writer.drain()
            if listen:
                await asyncio.wait_for(reader.read(1), LONG)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(str(self._socket), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(LONG))
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()


def statuses(answers: Iterable[Answer]) -> dict[int, int]:
    """How often each status came."""
    return dict(Counter(answer.status for answer in answers))


def box(command: str = "sleep 100", **host: Any) -> dict[str, Any]:
    """The body of a create request."""
    ports: dict[str, dict[str, str]] = {port: {} for port in host.get("PortBindings", {})}
    return {"Image": "busybox", "Cmd": ["sh", "-c", f"exec {command}"], "ExposedPorts": ports, "HostConfig": host}


def published(host_port: int) -> dict[str, Any]:
    """The body of a create request with `-p HOST_PORT:80`."""
    return box(PortBindings={"80/tcp": [{"HostPort": str(host_port)}]})
