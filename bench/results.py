"""What was measured, kept in a file beside the report, so that a part can be measured again and the report written anew."""

import json
import os
import platform
import re
import subprocess
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench.engines import dockerd
from bench.measure import Measured
from bench.profile import Profile

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.json"


@dataclass
class Results:
    """All that is known."""

    machine: list[str] = field(default_factory=list)
    rows: dict[str, Measured] = field(default_factory=dict)
    profile: Profile | None = None

    def add(self, found: Measured) -> None:
        """Take a new measurement; an engine that was not measured now keeps its figures."""
        before = self.rows.get(found.row)
        if before:
            found.samples = before.samples | {name: values for name, values in found.samples.items() if values}
        self.rows[found.row] = found

    def save(self) -> None:
        """Keep it all."""
        FILE.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load() -> Results:
    """Return what was kept; nothing, if this is the first time."""
    if not FILE.exists():
        return Results()
    kept = json.loads(FILE.read_text())
    rows = {row: Measured(**measured) for row, measured in kept["rows"].items()}
    return Results(kept["machine"], rows, Profile(**kept["profile"]) if kept.get("profile") else None)


def machine() -> list[str]:
    """Say what all this is about to run on."""
    return [
        f"{time.strftime('%Y-%m-%d %H:%M')}, load average before: {os.getloadavg()[0]:.1f}",
        f"machine: {os.cpu_count()} cores, {_memory()} GiB, Linux {platform.release()} {platform.machine()}",
        f"linkspan {version('linkspan')} on Python {platform.python_version()}",
        f"{_said('crun', '--version')}, {_said('runc', '--version')}, {_said('conmon', '--version')}",
        f"{_said(dockerd(), '--version')}; client: {_said('docker', '--version')}",
    ]


def _memory() -> int:
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return round(int(found[1]) / 2**20) if found else 0


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0]
    except FileNotFoundError:
        return f"no {command[0]}"
