"""The built-in image."""

import struct
import tarfile
from pathlib import Path

import pytest

from linkspan.errors import InvalidInput
from linkspan.images.builtin import is_static, write_layer


def program(*kinds: int, bits: int = 64) -> bytes:
    """The beginning of an ELF program with program headers of these kinds."""
    if bits == 64:
        header = b"\x7fELF\2\1".ljust(32, b"\0") + struct.pack("<Q14xHH", 64, 56, len(kinds))
        return header.ljust(64, b"\0") + b"".join(struct.pack("<I52x", kind) for kind in kinds)
    header = b"\x7fELF\1\1".ljust(28, b"\0") + struct.pack("<I10xHH", 52, 32, len(kinds))
    return header.ljust(52, b"\0") + b"".join(struct.pack("<I28x", kind) for kind in kinds)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_program_that_names_an_interpreter_is_not_static(bits: int) -> None:
    assert is_static(program(1, 2, 7, bits=bits))
    assert not is_static(program(6, 3, 1, bits=bits))


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\2\1", program(1, 1)[:80], b"\x7fELF\x09\1" + bytes(80)])
def test_what_is_no_program_is_not_static(data: bytes) -> None:
    assert not is_static(data)


def test_the_same_program_gives_the_same_layer(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(program(1))

    write_layer(busybox, ["sh", "[", "busybox"], tmp_path / "one")
    write_layer(busybox, ["[", "busybox", "sh"], tmp_path / "two")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as layer:
        assert layer.getmember("bin/sh").linkname == "busybox"
        assert layer.getmember("bin/busybox").mode == 0o755
        assert layer.getmember("tmp").mode == 0o1777


def test_a_dynamic_program_is_refused(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(program(3))

    with pytest.raises(InvalidInput, match="apt-get install busybox-static"):
        write_layer(busybox, [], tmp_path / "layer")

    assert not (tmp_path / "layer").exists()
