"""The network that is measured: servers in containers, and a neighbour machine on a cable to the engine's host."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.engines import Contestant, namespace

PEER = Path(__file__).parent / "peer.py"
HOST, NEIGHBOUR = "10.99.0.1", "10.99.0.2"
"""Addresses of the cable's two ends."""


@dataclass(frozen=True)
class Place:
    """A network namespace, by what nsenter needs to get there."""

    flags: tuple[str, ...]

    def command(self, *args: str) -> list[str]:
        return ["nsenter", *self.flags, *args]

    def peer(self, *args: str) -> float:
        """Run one of the measuring clients there; returns its figure."""
        return float(self._output(sys.executable, "-SE", str(PEER), *args))

    def peer_figures(self, *args: str) -> tuple[float, float]:
        """Run a measuring client that finds two figures."""
        first, second = map(float, self._output(sys.executable, "-SE", str(PEER), *args).split())
        return first, second

    def throughput(self, address: str, port: int, seconds: float) -> float:
        """Return what one TCP stream carries to an iperf3 server, Gbit/s as received."""
        said = self._output("iperf3", "-J", "-c", address, "-p", str(port), "-t", str(seconds), "-O", "0.3")
        return float(json.loads(said)["end"]["sum_received"]["bits_per_second"]) / 1e9

    def _output(self, *args: str) -> str:
        done = subprocess.run(self.command(*args), capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(args)}: {done.stderr or done.stdout[-2000:]}")
        return done.stdout


def host(engine: Contestant) -> Place:
    """The engine's own namespace."""
    return Place((f"--net={engine.namespace}",))


def container(engine: Contestant, name: str) -> Place:
    """A container's namespace; in host mode, that is the engine's."""
    pid = engine.docker("inspect", "-f", "{{.State.Pid}}", name)
    return Place((f"--net=/proc/{pid}/ns/net",))


def address(engine: Contestant, name: str) -> str:
    return engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)


@contextlib.contextmanager
def neighbour(engine: Contestant) -> Iterator[Place]:
    """A machine outside, on a cable to the engine's host."""
    with namespace(engine.namespace.with_suffix(".out")) as outside:
        there = ["nsenter", f"--net={outside}", "ip"]
        subprocess.run(engine.inside("ip", "link", "add", "cable", "type", "veth", "peer", "cable", "netns", str(outside)), check=True)
        for ip, own in ((engine.inside("ip"), HOST), (there, NEIGHBOUR)):
            subprocess.run([*ip, "address", "add", f"{own}/24", "dev", "cable"], check=True)
            subprocess.run([*ip, "link", "set", "cable", "up"], check=True)
        yield Place((f"--net={outside}",))
        subprocess.run(engine.inside("ip", "link", "delete", "cable"), check=True)


@contextlib.contextmanager
def serving(place: Place, kind: str, port: int) -> Iterator[None]:
    """Run a server there: `echo`, `accept`, or `iperf3`."""
    command = ["iperf3", "-s", "--forceflush", "-p", str(port)] if kind == "iperf3" else [sys.executable, "-SE", str(PEER), kind, str(port)]
    with subprocess.Popen(place.command(*command), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            while (line := server.stdout.readline()) and "listening" not in line and "ready" not in line:
                pass
            if not line:
                raise RuntimeError(f"no {kind} server on port {port}")
            yield
        finally:
            server.kill()
