"""Docker's way to carry stdout and stderr in one stream: 8 bytes before each piece, the stream's number and the length."""

import struct

_HEADER = struct.Struct(">BxxxL")


def frame(stream: int, data: bytes) -> bytes:
    """Return the piece with its header; `stream` is 1 for stdout, 2 for stderr."""
    return _HEADER.pack(stream, len(data)) + data
