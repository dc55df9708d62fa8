"""What a container may and may not do: rights, mounts, limits."""

from dataclasses import replace
from pathlib import Path

import pytest

from linkspan.errors import CommandFailed
from linkspan.model.container import Mount, Resources, Security, Ulimit
from linkspan.runtime.conmon import Running
from tests.containers import Bench, Scenario, collect

pytestmark = pytest.mark.kernel


def capabilities_of(out: bytes) -> int:
    return int(dict(line.split(":\t") for line in out.decode().splitlines())["CapEff"], 16)


def test_rights_are_dockers_and_an_exec_has_no_more(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sleep", "1000")
        await bench.start(launch)
        plain = await bench.exec(launch, "grep", "CapEff", "/proc/self/status")
        assert plain.attachment is not None
        assert capabilities_of((await collect(plain.attachment))[0]) == 0xA80425FB
        privileged = await bench.exec(launch, "grep", "CapEff", "/proc/self/status", privileged=True)
        assert privileged.attachment is not None
        assert capabilities_of((await collect(privileged.attachment))[0]) & (1 << 21)
        for execution in (plain, privileged):
            await bench.runtime.wait_exec(execution)

    on_bench(scenario)


@pytest.mark.parametrize(
    ("security", "script", "expected"),
    [
        (Security(), "mount -t tmpfs none /tmp 2>/dev/null || echo refused", b"refused\n"),
        (Security(privileged=True), "mount -t tmpfs none /tmp && echo mounted", b"mounted\n"),
        (Security(), "unshare -U true 2>/dev/null || echo refused", b"refused\n"),
        (Security(options=("seccomp=unconfined",)), "unshare -U true && echo allowed", b"allowed\n"),
        (Security(options=("no-new-privileges",)), "grep NoNewPrivs /proc/self/status", b"NoNewPrivs:\t1\n"),
        (Security(read_only_root=True), "echo x 2>/dev/null > /etc/x || echo refused", b"refused\n"),
        (Security(), "echo x 2>/dev/null > /proc/sys/kernel/hostname || echo refused", b"refused\n"),
        (Security(), "wc -c </proc/timer_list; cat /proc/interrupts", b"0\n"),
        (Security(), "hostname; echo $$", b"box\n1\n"),
        (Security(uts_mode="host"), "[ $(hostname) != box ] && echo host", b"host\n"),
        (Security(pid_mode="host"), "[ $$ != 1 ] && echo host", b"host\n"),
        (Security(ipc_mode="host"), "ls /dev/shm >/dev/null && echo host", b"host\n"),
        (Security(), "df -k /dev/shm | tail -1 | awk '{print $2}'", b"65536\n"),
        (Security(cap_drop=("ALL",), cap_add=("net_raw",)), "awk '/CapBnd/{print $2}' /proc/self/status", b"0000000000002000\n"),
    ],
)
def test_what_a_container_may(on_bench: Scenario, security: Security, script: str, expected: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.run(bench.launch("sh", "-c", script, security=security)) == (0, expected, b"")

    on_bench(scenario)


def test_mounts_files_and_devices(on_bench: Scenario, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/file").write_text("given\n")
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")
    mounts = (
        Mount(kind="bind", target="/data", source=str(tmp_path / "given"), options=("ro",)),
        Mount(kind="tmpfs", target="/data2", options=("size=64k",)),
    )
    script = "cat /data/file /etc/hosts; echo x 2>/dev/null >/data/x || echo refused; df -k /data2 | awk '/data2/{print $2}'"

    async def scenario(bench: Bench) -> None:
        launch = bench.launch("sh", "-c", script, mounts=mounts, files=((tmp_path / "hosts", "/etc/hosts"),))
        assert await bench.run(launch) == (0, b"given\n127.0.0.1 here\nrefused\n64\n", b"")

    on_bench(scenario)


def test_a_read_only_root_takes_the_networks_files_too(on_bench: Scenario, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")

    async def scenario(bench: Bench) -> None:
        script = "cat /etc/hosts; echo x 2>/dev/null >/etc/hosts || echo refused; echo ok >/dev/shm/x && cat /dev/shm/x"
        files = ((tmp_path / "hosts", "/etc/hosts"),)
        launch = bench.launch("sh", "-c", script, files=files, security=Security(read_only_root=True))
        assert await bench.run(launch) == (0, b"127.0.0.1 here\nrefused\nok\n", b"")

    on_bench(scenario)


def cgroups(running: Running) -> str:
    return Path(f"/proc/{running.pid}/cgroup").read_text()


def test_limits_are_the_kernels(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(memory=32 << 20, pids_limit=20, nano_cpus=500_000_000, cpu_shares=512)
        running = await bench.start(launch := bench.launch("sleep", "1000", resources=limits))
        assert f"/linkspan/{launch.container.id}\n" in cgroups(running)
        shown = await bench.exec(
            launch, "sh", "-c", "cd /sys/fs/cgroup; cat memory.max pids.max memory/memory.limit_in_bytes pids/pids.max 2>/dev/null"
        )
        assert shown.attachment is not None
        assert (await collect(shown.attachment))[0].split() == [b"33554432", b"20"]
        await bench.runtime.wait_exec(shown)

    on_bench(scenario)


def test_a_limit_above_the_hosts_is_refused_clearly(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(ulimits=(Ulimit(name="nofile", soft=1 << 30, hard=1 << 30),))
        with pytest.raises(CommandFailed, match="rlimit"):
            await bench.runtime.create(bench.launch("sh", resources=limits))

    on_bench(scenario)


def test_a_limit_within_the_hosts_holds(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        limits = Resources(ulimits=(Ulimit(name="nofile", soft=100, hard=200),))
        assert await bench.run(bench.launch("sh", "-c", "ulimit -Sn; ulimit -Hn", resources=limits)) == (0, b"100\n200\n", b"")

    on_bench(scenario)


def test_sysctls_are_the_containers_own(on_bench: Scenario) -> None:
    async def scenario(bench: Bench) -> None:
        launch = bench.launch("cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/kernel/domainname", domainname="example")
        network = replace(launch.container.spec.network, sysctls={"net.ipv4.ip_default_ttl": "77"})
        spec = replace(launch.container.spec, network=network)
        launch = replace(launch, container=replace(launch.container, spec=spec))
        assert await bench.run(launch) == (0, b"77\nexample\n", b"")

    on_bench(scenario)
