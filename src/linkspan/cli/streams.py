"""Docker's multiplexed stream: frames of eight bytes of header (stream, 0, 0, 0, length) and a payload."""

from collections.abc import Iterator

from linkspan.cli.failures import CommandError

_HEADER = 8
_SYSTEM_ERROR = 3


class Demultiplexer:
    """Takes frames apart as their bytes arrive; a payload is handed on before its frame is complete."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 1
        self._left = 0
        self._error = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (1 for stdout or 2 for stderr, bytes).

        Raises CommandError if the engine reports an error in the stream, or if it is no such stream.
        """
        while data:
            if not self._left:
                wanted = _HEADER - len(self._header)
                self._header, data = self._header + data[:wanted], data[wanted:]
                if len(self._header) < _HEADER:
                    return
                self._begin()
                continue
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if self._stream == _SYSTEM_ERROR:
                self._collect(piece)
            else:
                yield 2 if self._stream == 2 else 1, piece

    def _begin(self) -> None:
        self._stream, self._left = self._header[0], int.from_bytes(self._header[4:], "big")
        self._header = b""
        if self._stream > _SYSTEM_ERROR:
            raise CommandError(f"Unrecognized input header: {self._stream}")

    def _collect(self, piece: bytes) -> None:
        self._error += piece
        if not self._left:
            raise CommandError(f"error from daemon in stream: {self._error.decode(errors='replace')}")
