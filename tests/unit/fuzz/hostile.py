"""What every parser has to bear: any input ends in a result or in an error of ours, soon, and with memory in proportion to the input."""

import contextlib
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType

from hypothesis import strategies as st

from linkspan.cli.failures import CommandError
from linkspan.errors import EngineError

FOR_EVER = 30
"""Seconds after which a parser counts as hung, on the busiest machine. What is quadratic takes minutes on these inputs."""
SIZE = 10**6
"""Characters of a long text."""

LONG_TEXTS = {
    **{f"many {part!r}": (part * SIZE)[:SIZE] for part in ("a", "9", "0", "/", "(", "[", "{", "a-", "a.", "a_", ":", ",", "1,", "-", "=")},
    **{f"many {part!r}": (part * SIZE)[:SIZE] for part in ("\\", "\0", " ", "\n", "%", "1h", "{{", "a:1/", '"', "'", "a=b ", "\ud800")},
    "an unfinished name": "a" * SIZE + "!",
    "an unfinished number": "1" * SIZE + "x",
    "many parts and an end that fits nothing": "a-" * (SIZE // 2) + "!",
    "deep JSON": '{"a":' * (SIZE // 5),
    "deep lists": "[" * (SIZE // 2) + "]" * (SIZE // 2),
}
SHORT_TEXTS = (
    "", " ", "\0", "\n", "\x1b[2J", "0", "-1", "65536", "9" * 5000, "1e999", "NaN", "null", "[]", "{}", '"x"', "\ud800", "٣", "²", "é",

    "..", "/", "/..", "a/../b", "::", ":", "@", "%s", "{{", "}}", "+", "1-2-3", "0x10", "1_000", "tcp", "80/tcp", "80-70", "a=b=c",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(SHORT_TEXTS), st.text(max_size=60), st.text("0123456789-.:/@,=[]{}()*+?^$\\|abz_ \n\"'", max_size=40))


@contextlib.contextmanager
def ends() -> Iterator[None]:
    """Fail if the block goes on for ever."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"no end within {FOR_EVER} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(FOR_EVER)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(action: Callable[[], object]) -> None:
    """Whatever comes of it, it ends, and it is a result or an error that somebody expects."""
    with ends(), contextlib.suppress(EngineError, CommandError):
        action()


def stays_small(action: Callable[[], object], *, most: int = 64) -> None:
    """As `survives`, with `most` MiB at most."""
    tracemalloc.start()
    try:
        survives(action)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most << 20, f"{peak >> 20} MiB"
