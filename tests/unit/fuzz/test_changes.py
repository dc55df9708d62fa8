"""Whatever the kernel may tell of changes, reading it ends, and fails on nothing."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from linkspan.kernel.changes import Change, What, route_changes

KINDS = st.sampled_from([16, 17, 20, 21, 24, 25, 80, 3])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message of rtnetlink whose lengths need not be true."""
    body = draw(st.binary(max_size=80))
    length = draw(st.one_of(st.just(16 + len(body)), st.integers(0, 2**32 - 1)))
    return struct.pack("=IHHII", length, draw(KINDS), 0, 0, 0) + body


@given(st.one_of(st.binary(max_size=300), st.lists(messages(), max_size=4).map(b"".join)))
@example(struct.pack("=IHHII", 16, 16, 0, 0, 0))
@example(struct.pack("=IHHII", 36, 16, 0, 0, 0) + bytes(16) + struct.pack("=HH", 0, 3))
def test_any_datagram_is_read_to_an_end(datagram: bytes) -> None:
    assert all(isinstance(change, Change) for change in route_changes(datagram))


def test_a_name_is_read_behind_other_attributes() -> None:
    attributes = struct.pack("=HHI", 8, 4, 1500) + struct.pack("=HH", 10, 3) + b"veth1\0\0\0"
    message = struct.pack("=IHHII", 32 + len(attributes), 17, 0, 0, 0) + bytes(16) + attributes
    assert list(route_changes(message * 2)) == [Change(What.LINK, "veth1")] * 2
