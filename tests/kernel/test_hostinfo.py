"""Facts about the host."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from linkspan.kernel import hostinfo

pytestmark = pytest.mark.kernel


def test_the_facts_are_those_that_other_programs_tell() -> None:
    host = hostinfo.read()

    total = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert total
    assert host.memory == int(total[1]) * 1024
    assert str(host.cpus) == subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    assert (host.kernel, host.architecture) == (os.uname().release, os.uname().machine)
    assert host.os
    assert host.cgroup_version in ("1", "2")
