"""Talks to a server over a real unix socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import yarl

from linkspan.api.connections import Limits
from linkspan.api.server import Server
from tests.unit.api.fake_engine import FakeEngine

PATIENCE = 5.0
"""Seconds after which a test that waits for something has failed."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Client:
    def __init__(self, path: Path, session: aiohttp.ClientSession) -> None:
        self.path = path
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, data: Any = None, **headers: str) -> Answer:
        url = yarl.URL(f"http://d{path}", encoded="%" in path)
        async with asyncio.timeout(PATIENCE), self.session.request(method, url, json=body, data=data, headers=headers) as said:
            return Answer(said.status, said.headers, await said.read())

    async def connect(self) -> "RawClient":
        return RawClient(*await asyncio.open_unix_connection(str(self.path)))


class RawClient:
    """A connection whose every byte the test decides."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self, method: str, path: str, body: str = "", *, upgrade: bool = True, early: bytes = b"") -> str:
        """Send a request, and `early` right behind it in the same packet; return the head of the answer."""
        self.send_request(method, path, body, upgrade=upgrade, early=early)
        return await self.head()

    def send_request(self, method: str, path: str, body: str = "", *, upgrade: bool = True, early: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: d", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json"] if body else []
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self.writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body.encode() + early)

    async def head(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(engine: FakeEngine, folder: Path, limits: Limits = Limits()) -> AsyncIterator[Client]:
    path = folder / "s"
    server = Server(cast("Any", engine), limits)
    await server.serve([f"unix://{path}"])
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            yield Client(path, session)
    finally:
        await server.close()
