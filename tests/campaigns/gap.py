"""The engine is restarted and killed under traffic: no packet, no connection, no byte and no line of a log is lost."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.campaigns.boxes import log_of
from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import HOST_ADDRESS, Host, join
from tests.probes import Connections, Datagrams, Echo, NewFlows, Pings, Probe, Stream

COUNTING = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"
TCP, UDP = 9000, 9001


@dataclass
class Traffic:
    """The probes of one campaign, by what they are."""

    probes: dict[str, Probe] = field(default_factory=dict)

    def lost(self) -> list[str]:
        return [f"{name}: lost {loss}" for name, probe in self.probes.items() for loss in probe.lost]

    def sent(self) -> str:
        return ", ".join(f"{probe.sent:,} {name}" for name, probe in self.probes.items())


@contextlib.contextmanager
def traffic(host: Host, outside: Host, address: str) -> Iterator[Traffic]:
    """Everything that may go on between a container, its host and the outside."""
    place = (HOST_ADDRESS, TCP), (HOST_ADDRESS, UDP)
    with contextlib.ExitStack() as stack:
        probes = {
            "pings": Pings(host, address),
            "datagrams of one flow": Datagrams(outside, place[1]),
            "new flows of datagrams": NewFlows(outside, place[1]),
            "new flows from the host": NewFlows(host, ("127.0.0.1", UDP)),
            "new connections": Connections(outside, place[0]),
            "bytes of a transfer": Stream(outside, place[0]),
        }
        yield Traffic({name: stack.enter_context(probe) for name, probe in probes.items()})


def _whole_log(engine: Engine) -> Iterator[str]:
    """Follow the log as a new client, for some lines from now on."""
    numbers: list[int] = []
    with engine.following("web") as lines:
        so_far = len(log_of(engine, "web").split())
        while len(numbers) < so_far + 20:
            numbers.append(int(next(lines)))
    if numbers != list(range(len(numbers))):
        yield f"the log that a new client follows has a gap: {numbers}"


def _reload(engine: Engine, times: int) -> None:
    """Put the ruleset anew in place of itself, as the start of an engine does, again and again."""
    rules = engine.host.sh("nft", "list", "table", "inet", "linkspan")
    for _ in range(times):
        engine.host.sh("nft", "-f", "-", stdin=f"delete table inet linkspan\n{rules}")


def run(scale: Scale) -> Result:
    """Restart 10 times and kill 10 times."""
    faults: list[str] = []
    with Host(scale.folder / "host.net") as host, Host(scale.folder / "outside.net") as outside:
        join(host, outside)
        with Engine(host, scale.folder / "e") as engine:
            script = f"({COUNTING}) & exec nc -ll -p {TCP} -e cat"
            engine.docker("run", "-d", "--name", "web", "-p", f"{TCP}:{TCP}", "-p", f"{UDP}:{UDP}/udp", "busybox", "sh", "-c", script)
            engine.wait_listening("web", TCP)
            with Echo(engine.inside("web"), UDP):
                with traffic(host, outside, engine.address("web")) as going:
                    restarts = scale.times(20, least=2)
                    for number in range(restarts):
                        engine.kill() if number % 2 else engine.stop()
                        engine.start()
                        faults += _whole_log(engine)
                    reloads = scale.times(200, least=10)
                    _reload(engine, reloads)
                faults += going.lost()
    return Result(tried=f"{restarts} restarts and {reloads} reloads of the ruleset under {going.sent()}", found=faults)
