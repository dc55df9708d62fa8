"""All or nothing: each step of an operation fails in turn, and the host is as it was, or the operation is done.

The steps are those of `tests.sabotage`, found by running the operation. A removal may be completed in the background; it must be
possible to repeat it. `make soak` tries every operation at every step in every way; here, some take larger strides.
"""

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from linkspan.errors import EngineError
from tests.hosts import Host, until
from tests.image_operations import IMAGE_OPERATIONS, clear_images
from tests.lab import Lab, Trial, in_order
from tests.operations import OPERATIONS, PUBLISHED, run, start, stop
from tests.registries import Registry
from tests.sabotage import MARK, Mode
from tests.snapshots import differences

pytestmark = pytest.mark.kernel

STRIDES = {**dict.fromkeys(("create", "start, published", "rename", "update", "exec"), 1), "restart": 12, "connect": 1, "disconnect": 1}
"""Of the others, every fortieth step is tried."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "e").mkdir()
    with Host(folder / "host.net") as host, Lab(host, folder / "e") as made:
        made.do(run("first"))  # what the first container brings about stays: a few folders
        made.clear()
        yield made


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """A lab without containers."""
    yield shared
    shared.clear()


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_step_fails(lab: Lab, name: str) -> None:
    assert Trial(lab, OPERATIONS[name]).run(Mode.BEFORE, every=STRIDES.get(name, 40)) > 0


FOUND = [
    ("restart", Mode.CANCEL, "kernel.mount.overlay"),
    ("restart", Mode.CANCEL, "kernel.process.kill"),
    ("restart", Mode.AFTER, "kernel.process.kill"),
    ("kill", Mode.AFTER, "kernel.process.kill"),
    ("connect", Mode.FOR_GOOD, "SqliteStore.put_container"),
    ("disconnect", Mode.FOR_GOOD, "kernel.link.delete_many"),
    ("disconnect", Mode.AFTER, "kernel.link.delete_many"),
]
"""Where something was wrong once."""


@pytest.mark.parametrize(("name", "mode", "step"), FOUND)
def test_where_a_fault_was_found(lab: Lab, name: str, mode: Mode, step: str) -> None:
    assert Trial(lab, OPERATIONS[name]).run(mode, only=step) > 0


@pytest.fixture(scope="module")
def registry(shared: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    Registry(shared.host, tmp_path_factory.mktemp("registry") / "r").start()


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("name", IMAGE_OPERATIONS)
@pytest.mark.parametrize("mode", [Mode.BEFORE, Mode.CANCEL])
def test_each_step_with_images_fails(lab: Lab, name: str, mode: Mode) -> None:
    try:
        assert Trial(lab, IMAGE_OPERATIONS[name]).run(mode, every=25) > 0
    finally:
        lab.do(clear_images)
        lab.reopen()  # sweeps what could not be deleted


@pytest.mark.parametrize("mode", [Mode.AFTER, Mode.CANCEL, Mode.FOR_GOOD])
@pytest.mark.parametrize("name", ["start, published", "rm -f", "network create", "network rm"])
def test_steps_fail_in_other_ways(lab: Lab, name: str, mode: Mode) -> None:
    assert Trial(lab, OPERATIONS[name]).run(mode, every=25) > 0


def test_the_start_of_the_engine(lab: Lab) -> None:
    """An engine that cannot start hurts nothing that runs, and leaves nothing that the next one does not mend."""
    lab.do(in_order(run("box", requests=PUBLISHED), run("ended"), stop("ended")))
    before = lab.settled()
    for number in itertools.count(1, 15):
        lab.close()
        lab.saboteur.arm(number)
        try:
            lab.open()
        except EngineError as error:
            assert MARK in str(error)  # noqa: PT017  which one is told
        lab.saboteur.disarm()
        if not lab.is_open:
            lab.open()
        until(lambda: not differences(before, lab.picture()), what=f"step {number} ({lab.saboteur.fired}) is mended")
        if not lab.saboteur.fired:
            break
    assert number > 30


def test_the_end_of_the_engine(lab: Lab) -> None:
    """What fails at the end of an engine is no matter for the next one."""
    lab.do(in_order(run("box", requests=PUBLISHED), run("ended"), stop("ended")))
    before = lab.settled()
    for number in itertools.count(1, 3):
        lab.do(in_order(start("ended"), stop("ended")))
        lab.saboteur.arm(number)
        with contextlib.suppress(EngineError):
            lab.close()
        lab.saboteur.disarm()
        lab.open()
        until(lambda: not differences(before, lab.picture()), what=f"step {number} ({lab.saboteur.fired}) is mended")
        if not lab.saboteur.fired:
            break
