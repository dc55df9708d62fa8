"""Engine and model: random sequences of operations, engine restarts and kills; after each step the two agree."""

from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import Host
from tests.model import compare


def run(scale: Scale) -> Result:
    examples = scale.times(60)
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine:
        steps = compare(engine, examples=examples, steps=40, seed=scale.seed)
    return Result(tried=f"{steps} steps on {examples} ways")
