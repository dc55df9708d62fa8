"""One run of a container and the next: what is meant for the former, or left of it, does not hurt the latter."""

from collections.abc import Iterator

import pytest

from linkspan.engine.engine import Engine
from linkspan.model.container import Container
from tests.hosts import Host, until
from tests.lab import Lab
from tests.operations import PUBLISHED, run, start, stop
from tests.sabotage import Mode
from tests.snapshots import differences

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "e").mkdir()
    with Host(folder / "host.net") as host, Lab(host, folder / "e") as made:
        made.do(run("box", requests=PUBLISHED))
        yield made


def box(lab: Lab) -> Container:
    async def looked_up(engine: Engine) -> Container:
        return engine.containers.inspect("box").container

    found = lab.do(looked_up)
    assert isinstance(found, Container)
    return found


def test_a_signal_for_a_former_run_does_not_reach_the_next(lab: Lab) -> None:
    former = box(lab)
    lab.do(stop("box"))
    lab.do(start("box"))
    current = box(lab)
    lab.do(lambda engine: engine.lifecycle._signal(former, 9, everyone=True))
    lab.do(lambda engine: engine.lifecycle.pause("box"))  # it lives
    lab.do(lambda engine: engine.lifecycle.unpause("box"))
    assert box(lab).state == current.state


@pytest.mark.parametrize("step", ["Runtime.delete", "kernel.link.delete_many", "kernel.netns.delete", "SqliteStore.put_endpoint"])
def test_a_start_after_a_clean_up_that_failed_gets_a_whole_network(lab: Lab, step: str) -> None:
    before = lab.settled()
    lab.saboteur.arm(0)
    lab.do(stop("box"))
    lab.settled()
    steps = lab.saboteur.steps
    answered = max(number for number, name in enumerate(steps) if name.endswith("put_container"))
    number = next(number for number, name in enumerate(steps, 1) if name.endswith(step) and number > answered)
    lab.saboteur.disarm()
    lab.do(start("box"))
    assert not differences(before, lab.settled())

    lab.saboteur.arm(number, Mode.BEFORE)
    lab.do(stop("box"))
    until(lambda: lab.saboteur.fired, what="the clean-up fails")
    lab.do(start("box"))
    assert lab.saboteur.fired.endswith(step)
    assert not differences(before, lab.settled())
