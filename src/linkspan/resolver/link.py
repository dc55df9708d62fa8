"""The engine's connection to its resolver."""

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from linkspan.resolver import messages
from linkspan.resolver.listening import Listening
from linkspan.resolver.messages import Message, RefusedError, ResolverError
from linkspan.resolver.units import Unit, to_json

PATIENCE = 5.0
"""Seconds that the resolver has for an answer; it never needs a hundredth of that."""


class Link:
    """Asks one thing at a time; any thread may. What it raises is ResolverError."""

    def __init__(self, exec_root: Path, patience: float = PATIENCE) -> None:
        """Connect; raises ResolverError if there is no resolver."""
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(str(exec_root / messages.SOCKET))
        except OSError as error:
            self._socket.close()
            raise ResolverError(f"no resolver answers in {exec_root}: {error.strerror}") from error

    def fileno(self) -> int:
        """Return the connection's file: of one that asks nothing, it is readable when the resolver has ended."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, operation: str, files: Sequence[int] = (), **fields: object) -> Message:
        """Return the answer to an operation."""
        message, received = self._ask({"op": operation, **fields}, files)
        messages.close_all(received)
        return message

    def change(self, put: Sequence[Unit], drop: Sequence[tuple[str, str]] = (), files: Sequence[int] = ()) -> None:
        """Tell units, and which there are no more; files are the sockets and the namespace of the one sandbox among them."""
        self.ask("change", files, put=[to_json(unit) for unit in put], drop=list(drop))

    def held(self) -> Iterator[str]:
        """Yield the sandboxes whose sockets the resolver has."""
        after, more = "", True
        while more:
            answer = self.ask("held", after=after)
            ids = answer.get("ids")
            names = [each for each in ids if isinstance(each, str)] if isinstance(ids, list) else []
            yield from names
            after, more = (names[-1] if names else ""), bool(names) and bool(answer.get("more"))

    def listening(self, sandbox: str) -> Listening:
        """Return copies of the sandbox's sockets and of its namespace."""
        _, files = self._ask({"op": "sockets", "id": sandbox}, ())
        if len(files) != messages.MOST_FILES:
            messages.close_all(files)
            raise ResolverError(f"the resolver gave {len(files)} files for sandbox {sandbox[:12]}")
        return Listening(socket.socket(fileno=files[0]), socket.socket(fileno=files[1]), files[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, message: Message, files: Sequence[int]) -> tuple[Message, list[int]]:
        with self._lock:
            try:
                messages.send(self._socket, message, files)
                answer, received = messages.receive(self._socket)
            except TimeoutError as error:
                self._socket.close()  # a late answer would be taken for that of the next question
                raise ResolverError("the resolver does not answer") from error
            except OSError as error:
                raise ResolverError(f"the resolver is gone: {error.strerror or error}") from error
        if "error" in answer:
            messages.close_all(received)
            raise RefusedError(f"the resolver refused: {answer['error']}")
        return answer, received
