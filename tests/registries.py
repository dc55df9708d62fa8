"""A real registry for the tests: Debian's docker-registry on a test host's loopback."""

import contextlib
import socket
import subprocess
from pathlib import Path

from tests.hosts import Host, until

REGISTRY = "127.0.0.1:5000"


class Registry:
    """Debian's docker-registry on the host's 127.0.0.1:5000. It ends with the host at the latest."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, more: str = "") -> None:
        self.folder.mkdir()
        settings = self.folder / "config.yml"
        settings.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http: {{addr: '{REGISTRY}'}}\n{more}"
        )
        with (self.folder / "log").open("wb") as log:
            self._process = self.host.spawn("docker-registry", "serve", settings, stdout=log, stderr=log)
        until(lambda: self.host.run(self._listens), what="the registry listens")

    def stop(self) -> None:
        assert self._process is not None, "the registry is not running"
        self._process.kill()
        self._process.wait()

    @staticmethod
    def _listens() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", 5000), timeout=1):
            return True
        return False
