"""Containers that know each other by name, for the tests."""

import threading
from collections.abc import Callable
from typing import Any

from tests.engines import Engine
from tests.hosts import until


def box(engine: Engine, name: str, *flags: str, network: str = "front") -> str:
    """Run a container that does nothing; returns its address on the network."""
    engine.docker("run", "-d", "--name", name, "--network", network, *flags, "busybox", "sleep", "1000")
    return str(engine.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"])


def resolver_pid(engine: Engine) -> int:
    return int(engine.api("GET", "/linkspan/dns/status")[1]["Pid"])


class asking:  # noqa: N801  it reads as a verb
    """While it lasts, a question is asked over and over; gives how many were answered well, and how many were not."""

    def __init__(self, question: Callable[[], bool]) -> None:
        self.answers = {"good": 0, "bad": 0}
        self._question = question
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                good = self._question()
            except OSError:
                good = False
            self.answers["good" if good else "bad"] += 1

    def __enter__(self) -> dict[str, int]:
        self._thread.start()
        until(lambda: self.answers["good"], what="the first question is answered")
        return self.answers

    def __exit__(self, *error: Any) -> None:
        self._over.set()
        self._thread.join()
