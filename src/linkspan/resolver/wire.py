"""DNS messages (RFC 1035, 6891), as far as a resolver must look into them.

Names are kept as they are on the wire: lengths are below 64 and letters above, so that `.lower()` of the bytes folds the case of a name.
dnslib does the same in ten times the time; it is what the tests compare this with.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, NS, CNAME, SOA, PTR, MX, AAAA, OPT, AXFR, ANY = 1, 2, 5, 6, 12, 15, 28, 41, 252, 255
IN = 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED = 0, 1, 2, 3, 4, 5

HEADER = 12
PLAIN_SIZE = 512
"""What a UDP answer may have when the asker says nothing about it."""
LARGEST_UDP = 65_000
OWN_SIZE = 4096
"""What we say that we take."""
LONGEST_NAME = 255
LONGEST_LABEL = 63

_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")
_RESPONSE, _TRUNCATED, _ASKED, _AVAILABLE, _CHECKING_OFF = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE = 0x7800
_DNSSEC = 0x8000
_OUR_OPT = b"\0" + _FIXED.pack(OPT, OWN_SIZE, 0, 0)
_TO_QUESTION = b"\xc0\x0c"


class MalformedError(Exception):
    """These bytes are no DNS message, or none that is served."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question with what its asker can take."""

    flags: int
    question: bytes
    """Name, type and class, as they were asked."""
    kind: int
    klass: int
    size: int
    """The longest UDP answer."""
    edns: bool
    dnssec: bool
    has_options: bool
    """EDNS options (a cookie, a client's subnet) are for one server and one asker: such an answer is nobody else's."""

    @property
    def key(self) -> bytes:
        """The name, folded."""
        return self.question[:-4].lower()

    @property
    def code(self) -> int:
        return (self.flags & _OPCODE) >> 11

    @property
    def variant(self) -> tuple[bytes, bool, bool, bool]:
        """What an answer depends on: the question, and what its asker understands."""
        return self.question.lower(), self.edns, self.dnssec, bool(self.flags & _CHECKING_OFF)


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: what the cache and the fail-over go by."""

    code: int
    truncated: bool
    lifetime: int
    """Seconds that it may be kept, 0 for not at all."""
    lifetimes: tuple[int, ...]
    """Where in the message the records' lifetimes are."""


def parse_query(data: bytes) -> Query:
    """Read a query; raises MalformedError. Each query has one question, as all have that are ever sent."""
    if len(data) < HEADER:
        raise MalformedError("shorter than its header")
    _, flags, questions, answers, authorities, extras = _HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise MalformedError("an answer, not a question")
    if questions != 1 or answers or authorities or extras > 8:
        raise MalformedError("not one question alone")
    end = _plain_name_end(data, HEADER)
    kind, klass = _unpack_two(data, end)
    question = data[HEADER : end + 4]
    size, edns, dnssec, options = PLAIN_SIZE, False, False, False
    offset = end + 4
    for _ in range(extras):
        record = _record(data, offset)
        if record.kind == OPT:
            size = min(max(record.klass, PLAIN_SIZE), LARGEST_UDP)
            edns, dnssec, options = True, bool(record.lifetime & _DNSSEC), record.end > record.data
        else:
            options = True  # a signature, for one: it is for the server, and covers the id
        offset = record.end
    return Query(flags, question, kind, klass, size, edns, dnssec, options)


def parse_reply(data: bytes, question: bytes) -> Reply:
    """Read a server's answer to `question`; raises MalformedError if it is not one."""
    if len(data) < HEADER:
        raise MalformedError("shorter than its header")
    _, flags, questions, answers, authorities, extras = _HEADER.unpack_from(data)
    end = HEADER + len(question)
    if not flags & _RESPONSE or questions != 1 or data[HEADER:end].lower() != question.lower():
        raise MalformedError("not an answer to this question")
    code, truncated = flags & 0xF, bool(flags & _TRUNCATED)
    if truncated:
        return Reply(code, truncated, 0, ())  # it may end anywhere
    records, offset = [], end
    for _ in range(answers + authorities + extras):
        records.append(_record(data, offset))
        offset = records[-1].end
    code |= sum(record.lifetime >> 24 << 4 for record in records if record.kind == OPT)
    plain = [record for record in records if record.kind != OPT]
    if code == NO_ERROR and answers:
        lifetime = min((_sane(record.lifetime) for record in plain), default=0)
    elif code == NAME_ERROR or (code == NO_ERROR and not answers):
        lifetime = _negative(data, records[answers : answers + authorities])
    else:
        lifetime = 0
    return Reply(code, truncated, lifetime, tuple(record.data - 6 for record in plain))


def answer(query: Query, records: Sequence[bytes], *, kind: int, lifetime: int, limit: int | None) -> bytes:
    """Render a local answer without its id: records of one kind, each given by its data, at most `limit` bytes (None: TCP)."""
    opt = _OUR_OPT if query.edns else b""
    room = (limit or 0xFFFF) - HEADER - len(query.question) - len(opt)
    parts, used = [], 0
    for data in records:
        part = _TO_QUESTION + _FIXED.pack(kind, IN, lifetime, len(data)) + data
        used += len(part)
        if used > room:
            break
        parts.append(part)
    cut = _TRUNCATED if len(parts) < len(records) else 0
    head = _head(query.flags, NO_ERROR, cut) + struct.pack("!HHHH", 1, len(parts), 0, bool(opt))
    return b"".join((head, query.question, *parts, opt))


def refusal(query: Query, code: int) -> bytes:
    """Render an answer that says `code` and no more, without its id."""
    opt = _OUR_OPT if query.edns else b""
    return _head(query.flags, code, 0) + struct.pack("!HHHH", 1, 0, 0, bool(opt)) + query.question + opt


def malformed(data: bytes) -> bytes | None:
    """Render the answer to what is no query, without its id; None for what must not be answered at all."""
    if len(data) < HEADER or data[2] & 0x80:
        return None
    flags = int.from_bytes(data[2:4], "big")
    return _head(flags, FORMAT_ERROR, 0) + b"\0" * 8


def shortened(data: bytes, question: bytes) -> bytes:
    """Return an answer too long for UDP as one that is cut off after the question: the asker comes again by TCP."""
    flags = int.from_bytes(data[2:4], "big") | _TRUNCATED
    return data[:2] + flags.to_bytes(2, "big") + b"\0\1" + b"\0" * 6 + question


def dressed(data: bytes, query: Query, identity: bytes, age: int = 0, lifetimes: Sequence[int] = ()) -> bytes:
    """Return a server's answer as this asker's: its id, its spelling of the name, lifetimes that are `age` seconds older."""
    message = bytearray(data)
    message[:2] = identity
    message[HEADER : HEADER + len(query.question)] = query.question
    flags = int.from_bytes(data[2:4], "big") | _AVAILABLE
    flags = (flags & ~(_ASKED | _CHECKING_OFF)) | (query.flags & (_ASKED | _CHECKING_OFF))
    message[2:4] = flags.to_bytes(2, "big")
    if age > 0:
        for offset in lifetimes:
            left = int.from_bytes(data[offset : offset + 4], "big") - age
            message[offset : offset + 4] = max(left, 0).to_bytes(4, "big")
    return bytes(message)


def encode_name(text: str) -> bytes | None:
    """Return a name, with dots in it, as it is on the wire and folded; None if it cannot be asked for."""
    parts = []
    for label in text.rstrip(".").split("."):
        encoded = label.encode("utf-8", "surrogateescape")
        if not 0 < len(encoded) <= LONGEST_LABEL:
            return None
        parts.append(bytes([len(encoded)]) + encoded)
    name = b"".join(parts) + b"\0"
    return name.lower() if len(name) <= LONGEST_NAME else None


def query_message(name: bytes, kind: int) -> bytes:
    """Render a question of our own, with EDNS and a zero id."""
    return _HEADER.pack(0, _ASKED, 1, 0, 0, 1) + name + struct.pack("!HH", kind, IN) + _OUR_OPT


@dataclass(frozen=True, slots=True)
class _Record:
    kind: int
    klass: int
    lifetime: int
    data: int
    end: int


def _negative(data: bytes, authorities: Sequence[_Record]) -> int:
    """Return how long a name may be taken not to exist (RFC 2308): without a SOA record, not at all."""
    for record in authorities:
        if record.kind == SOA and record.end - record.data >= 22:
            return min(_sane(record.lifetime), int.from_bytes(data[record.end - 4 : record.end], "big"))
    return 0


def _sane(lifetime: int) -> int:
    return lifetime if lifetime < 1 << 31 else 0  # RFC 2181, 8


def _head(flags: int, code: int, more: int) -> bytes:
    kept = flags & (_OPCODE | _ASKED | _CHECKING_OFF)
    return (_RESPONSE | _AVAILABLE | kept | more | code).to_bytes(2, "big")


def _plain_name_end(data: bytes, offset: int) -> int:
    """Return where an uncompressed name ends, as the one of a question is."""
    start = offset
    try:
        while length := data[offset]:
            if length > LONGEST_LABEL:
                raise MalformedError("a compressed name in the question")
            offset += 1 + length
    except IndexError:
        raise MalformedError("the name has no end") from None
    offset += 1
    if offset - start > LONGEST_NAME:
        raise MalformedError("a name of more than 255 bytes")
    return offset


def _name_end(data: bytes, offset: int) -> int:
    """Return where a name ends: after its last label, or after the pointer to its rest."""
    try:
        while length := data[offset]:
            if length >= 0xC0:
                return offset + 2
            if length > LONGEST_LABEL:
                raise MalformedError("a label of an unknown kind")
            offset += 1 + length
    except IndexError:
        raise MalformedError("a name has no end") from None
    return offset + 1


def _record(data: bytes, offset: int) -> _Record:
    offset = _name_end(data, offset)
    try:
        kind, klass, lifetime, length = _FIXED.unpack_from(data, offset)
    except struct.error:
        raise MalformedError("a record is cut off") from None
    end = offset + _FIXED.size + length
    if end > len(data):
        raise MalformedError("a record is longer than the message")
    return _Record(kind, klass, lifetime, offset + _FIXED.size, end)


def _unpack_two(data: bytes, offset: int) -> tuple[int, int]:
    if len(data) < offset + 4:
        raise MalformedError("the question is cut off")
    return int.from_bytes(data[offset : offset + 2], "big"), int.from_bytes(data[offset + 2 : offset + 4], "big")
