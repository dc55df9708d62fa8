"""A firewalld for a test host, on a bus of its own: the machine's services and settings are not touched."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hosts import Host, until

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_type="method_call"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def installed() -> bool:
    return all(map(shutil.which, ("firewalld", "firewall-cmd", "dbus-daemon")))


class Firewalld:
    """The host's firewalld, from the beginning of the block to its end; its settings are under `folder`."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self._bus = folder / "bus"
        self._environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._bus}"}

    def command(self, *args: str) -> str:
        """Run `firewall-cmd ARGS` and return what it said."""
        done = subprocess.run(["firewall-cmd", *args], env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"firewall-cmd {' '.join(args)}: {done.stderr}{done.stdout}"
        return done.stdout

    def advice(self, line: str) -> None:
        """Run a command line that somebody advises."""
        subprocess.run(self._host.command("sh", "-ec", line), env=self._environment, stdout=subprocess.DEVNULL, timeout=60, check=True)

    def __enter__(self) -> Self:
        (self._folder / "etc").mkdir(parents=True)
        (self._folder / "bus.conf").write_text(_BUS.format(address=self._bus))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._host.spawn("dbus-daemon", f"--config-file={self._folder}/bus.conf", "--nofork", **quiet)
        until(self._bus_answers, what="the bus answers")
        folders = ("--system-config", self._folder / "etc", "--log-file", self._folder / "log")
        self._daemon = self._host.spawn("firewalld", "--nofork", "--nopid", *folders, env=self._environment, **quiet)
        until(self._runs, within=60, what="firewalld runs")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._daemon.terminate()
        self._daemon.wait(timeout=60)

    def _bus_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            return caller.connect_ex(str(self._bus)) == 0

    def _runs(self) -> bool:
        done = subprocess.run(["firewall-cmd", "--state"], env=self._environment, capture_output=True, check=False)
        return done.returncode == 0
