"""The engine is told to stop while 20 clients run containers; each is served or refused, and nothing is left to sweep."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.campaigns.campaign import Result, Scale
from tests.engines import Done, Engine
from tests.hosts import Host, until
from tests.leaks import settled, shown

CLIENTS = 20
LINES = 200
OWN_CODE = 42
SCRIPT = f"i=0; while [ $i -lt {LINES} ]; do echo $i; i=$((i+1)); done; exit {OWN_CODE}"


class Crowd:
    """Clients that run containers until one of them is refused."""

    def __init__(self, engine: Engine) -> None:
        self.served = 0
        self.refused = 0
        self.faults: list[str] = []
        self._engine = engine
        self._lock = threading.Lock()

    def run(self, number: int) -> None:
        while self._take(number, self._engine.try_docker("run", "--rm", "busybox", "sh", "-c", SCRIPT, timeout=120)):
            pass

    def _take(self, number: int, done: Done) -> bool:
        served = done.status == OWN_CODE
        with self._lock:
            self.served += served
            self.refused += not served
            if served and done.out.split() != [str(line) for line in range(LINES)]:
                self.faults.append(f"client {number} was told of success, and got {len(done.out.split())} lines of {LINES}")
            if not served and not done.err:
                self.faults.append(f"client {number} was refused without a word: {done}")
        return served


def _stop_under_load(engine: Engine, served: int) -> tuple[Crowd, list[str]]:
    """Stop the engine when the crowd has been served so often; returns the crowd and what the next engine finds wrong."""
    crowd = Crowd(engine)
    with ThreadPoolExecutor(CLIENTS) as clients:
        going = [clients.submit(crowd.run, number) for number in range(CLIENTS)]
        until(lambda: crowd.served >= served, within=120, what="they are served")
        status = engine.stop()
        for client in going:
            client.result()
    before = len(engine.log)
    engine.start()
    faults = [*crowd.faults, *settled(engine)]
    if status:
        faults.append(f"the engine ended with {status}")
    faults += [f"left for the next engine: {line}" for line in engine.log[before:].splitlines() if " swept " in line or "Traceback" in line]
    # Created and not started before the stop; what ran and ended meanwhile is removed by the next engine.
    faults += [f"{container.name} runs on" for container in shown(engine) if container.running]
    engine.remove_containers()
    return crowd, faults


def run(scale: Scale) -> Result:
    """Stop 15 times."""
    found: list[str] = []
    served = refused = 0
    stops = scale.times(15)
    random = scale.random()
    with Host(Path(scale.folder / "host.net")) as host, Engine(host, scale.folder / "e") as engine:
        for number in range(stops):
            crowd, faults = _stop_under_load(engine, random.randrange(30))
            served, refused = served + crowd.served, refused + crowd.refused
            found += [f"stop {number + 1}: {fault}" for fault in faults]
    return Result(tried=f"{stops} stops, {served} runs served, {refused} refused", found=found)
