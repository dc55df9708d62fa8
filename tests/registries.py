"""Registries for the tests, on a test host's loopback: a real one, Debian's docker-registry, and one that lies."""

import contextlib
import hashlib
import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
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


@contextlib.contextmanager
def lying_registry(host: Host, *, said: int) -> Iterator[str]:
    """Serve one image on the host's 127.0.0.1:5000, whose layer is `said` to have so many bytes and never ends; gives its name."""
    digest = f"sha256:{hashlib.sha256(b'anything').hexdigest()}"
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}).encode()
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    kind = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": config_digest, "size": len(config)},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": digest, "size": said}],
        }
    ).encode()
    answers = {"/v2/": b"{}", "/v2/liar/manifests/1": manifest, f"/v2/liar/blobs/{config_digest}": config}
    answers[f"/v2/liar/manifests/sha256:{hashlib.sha256(manifest).hexdigest()}"] = manifest

    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}.manifest.v1+json" if answer == manifest else "application/octet-stream")
            if answer is not None:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while self.wfile.write(answer if answer is not None else bytes(1 << 16)) and answer is None:
                    pass

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with host.run(lambda: http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Liar)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{REGISTRY}/liar:1"
        server.shutdown()
        thread.join()
