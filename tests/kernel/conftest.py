"""Fixtures of the tests that need a real kernel."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from linkspan.runtime import oci
from linkspan.runtime.monitor import Runtime
from tests.containers import APPLETS, BUSYBOX, Bench, Scenario, processes_naming
from tests.hosts import OUTSIDE_ADDRESS, Host
from tests.kernel.resolvers import SECOND, Resolver

SHORT = 20
"""Seconds that no test here comes near to; one that hangs ends."""


@pytest.fixture
def on_bench(tmp_path: Path, host: Host) -> Scenario:
    """Runs a coroutine with a bench, and sees to it that nothing of it is left."""
    binaries = tmp_path / "rootfs/bin"
    binaries.mkdir(parents=True)
    shutil.copy(BUSYBOX, binaries / "busybox")
    for applet in APPLETS:
        (binaries / applet).symlink_to("busybox")
    for name in ("etc", "tmp", "proc", "sys", "dev"):
        (tmp_path / "rootfs" / name).mkdir()
    (tmp_path / "rootfs/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n")
    (tmp_path / "rootfs/etc/group").write_text("root:x:0:\nweb:x:34:\nextra:x:50:web\n")

    def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
        async def with_bench() -> None:
            bench = Bench(tmp_path, host.path, Runtime(await oci.choose_runtime(), tmp_path / "exec", tmp_path / "containers"))
            try:
                async with asyncio.timeout(SHORT):
                    await scenario(bench)
            finally:
                for container_id in bench.ids:
                    await bench.runtime.delete(container_id)
            assert not bench.runtime.ids()
            assert processes_naming(tmp_path) == []

        asyncio.run(with_bench())

    return run


@pytest.fixture
def resolver(host: Host, outside: Host, tmp_path: Path) -> Iterator[Resolver]:
    folder = tmp_path / "run"
    folder.mkdir()
    outside.sh("ip", "addr", "add", f"{SECOND}/24", "dev", "eth0")
    with Resolver(host, folder) as running:
        running.resolv_conf.write_text(f"nameserver {OUTSIDE_ADDRESS}\n")
        yield running


@pytest.fixture
def container(resolver: Resolver, tmp_path: Path) -> Iterator[Host]:
    """A namespace with `lo` alone, whose names are served."""
    with Host(tmp_path / "container.net") as inside:
        resolver.serve("c1", inside)
        yield inside
