"""A client talks with a process over a raw connection, until one of them ends it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from linkspan.api.detach import DetachKeys
from linkspan.api.framing import frame
from linkspan.api.hijack import RawConnection
from linkspan.errors import EngineError

logger = logging.getLogger(__name__)


class Attachment(Protocol):
    """The other end: a container's streams, or an exec's. Iterate over it for (1 stdout | 2 stderr, bytes)."""

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]: ...
    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What becomes of what the client sends."""

    wanted: bool
    """Otherwise it is read and dropped, so that the end of the connection is seen."""
    ends_with_client: bool
    """Whether the process's input ends with the client's; otherwise the conversation does, and the process's input stays open."""
    detach_keys: DetachKeys | None = None


async def converse(connection: RawConnection, attachment: Attachment, given: Input, *, framed: bool) -> bool:
    """Carry output and input until the output ends, or the client detaches or hangs up. Returns whether it detached."""
    output = asyncio.create_task(_carry_output(attachment, connection, framed=framed))
    feeding = asyncio.create_task(_feed(connection, attachment, given))
    try:
        await asyncio.wait((output, feeding), return_when=asyncio.FIRST_COMPLETED)
        if not output.done() and not feeding.result():
            await output
        elif output.done():
            output.result()
        return feeding.done() and feeding.result() == _DETACHED
    except ConnectionError:
        return False
    except EngineError as error:
        logger.info("a conversation broke off: %s", error)
        return False
    finally:
        for task in (output, feeding):
            task.cancel()
        await asyncio.gather(output, feeding, return_exceptions=True)
        await attachment.close()
        connection.close()


_DETACHED = "detached"
_ENDED = "ended"


async def _carry_output(attachment: Attachment, connection: RawConnection, *, framed: bool) -> None:
    async for stream, data in attachment:
        await connection.write(frame(stream, data) if framed else data)


async def _feed(connection: RawConnection, attachment: Attachment, given: Input) -> str:
    """Return _DETACHED or _ENDED if the conversation is over with it, nothing if the output goes on."""
    while data := await connection.read():
        if not given.wanted:
            continue
        detached = False
        if given.detach_keys is not None:
            data, detached = given.detach_keys.feed(data)
        if data:
            await attachment.write(data)
        if detached:
            return _DETACHED
    if given.wanted and given.ends_with_client:
        await attachment.close_stdin()
    return _ENDED if given.wanted and not given.ends_with_client else ""
