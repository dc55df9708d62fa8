"""Commands: how long a user waits for one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.engines import Contestant, Field
from bench.measure import Action, Effort, Measured, Part, calm, interleaved, measured, nothing

FIFTY = [f"box{number}" for number in range(50)]


def run(*flags: str) -> Action:
    """Run a container to its end."""
    return lambda engine: engine.docker("run", "--rm", *flags, "busybox", "true")


def sleeper(*flags: str) -> Action:
    """Start a container that stays."""
    return lambda engine: engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")


def remove(engine: Contestant) -> None:
    engine.docker("rm", "-f", "box")


def at_once(engine: Contestant) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: engine.docker("run", "--rm", "busybox", "true"), range(20)))


def fifty(engine: Contestant) -> None:
    engine.dockers(*(["run", "-d", "--name", name, "busybox", "sleep", "1000"] for name in FIFTY))


def remove_fifty(engine: Contestant) -> None:
    engine.docker("rm", "-f", *FIFTY)


def stop_fifty(engine: Contestant) -> None:
    engine.docker("stop", "-t", "0", *FIFTY)
    engine.docker("rm", *FIFTY)


@dataclass(frozen=True)
class One:
    """One row: `action` is timed; `before` and `after` are done in each round, `first` and `last` once."""

    row: str
    action: Action
    before: Action = nothing
    after: Action = nothing
    first: Action = nothing
    last: Action = nothing
    divisor: int = 1

    def measure(self, field: Field, effort: Effort) -> Iterator[Measured]:
        for engine in field:
            self.first(engine)
        busy = calm()
        rounds = effort.fewer(self.divisor) if self.divisor > 1 else effort.rounds
        samples = interleaved(field, rounds, self.action, before=self.before, after=self.after)
        for engine in field:
            self.last(engine)
        yield measured(self.row, samples, busy)


def inspect(field: Field, effort: Effort) -> Iterator[Measured]:
    """A query as the user sees it, what of it is the client's own, and the engine's answer alone."""
    for engine in field:
        sleeper()(engine)
    busy = calm()
    yield measured("inspect", interleaved(field, effort.rounds, lambda engine: engine.docker("inspect", "box")), busy)
    yield measured("floor", interleaved(field, effort.rounds, lambda engine: engine.docker("--version")), busy)
    many = effort.rounds * 20
    yield measured("inspect-raw", interleaved(field, many, lambda engine: engine.ask("/containers/box/json"), rest=0), busy)
    yield measured("ps-raw", interleaved(field, many, lambda engine: engine.ask("/containers/json"), rest=0), busy)
    for engine in field:
        remove(engine)


ONES = (
    One("run", run()),
    One("publish", run("-p", "8080:80")),
    One("none", run("--net=none")),
    One("host", run("--net=host")),
    One("container", run("--net=container:box"), first=sleeper(), last=remove),
    One("at-once", at_once, divisor=3),
    One("run-d", sleeper(), after=remove),
    One("rm", remove, before=sleeper()),
    One("rm50", remove_fifty, before=fifty, divisor=3),
    One("stop50", stop_fifty, before=fifty, divisor=5),
    One("exec", lambda engine: engine.docker("exec", "box", "true"), first=sleeper(), last=remove),
    One("ps", lambda engine: engine.docker("ps")),
)

PARTS = (
    *(Part(each.row, (each.row,), each.measure) for each in ONES),
    Part("inspect", ("inspect", "floor", "inspect-raw", "ps-raw"), inspect),
)
