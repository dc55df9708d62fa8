"""Named network namespaces."""

import errno
import os
import threading
from pathlib import Path

import pytest
from pyroute2.netlink.rtnl import RTM_GETLINK

from linkspan.errors import Conflict, KernelError, NotFound
from linkspan.kernel import address, link, netns, sysctl
from tests.hosts import Host, until

pytestmark = pytest.mark.kernel


def this_namespace() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def test_a_namespace_is_born_with_loopback_up_and_dockers_settings(tmp_path: Path) -> None:
    path = tmp_path / "namespace"
    netns.create(path)
    try:
        assert netns.exists(path)
        assert netns.run_in(path, address.local)[0].is_loopback
        assert netns.run_in(path, lambda: Path("/sys/class/net/lo").exists())
        assert netns.run_in(path, lambda: sysctl.get("net.ipv4.ip_unprivileged_port_start")) == "0"
        assert netns.run_in(path, lambda: sysctl.get("net.ipv4.ping_group_range")).split() == ["0", "2147483647"]
    finally:
        netns.delete(path)


def test_the_caller_stays_where_it_was(tmp_path: Path) -> None:
    path, before = tmp_path / "namespace", this_namespace()
    netns.create(path)
    try:
        assert netns.run_in(path, this_namespace) != before
        assert this_namespace() == before
    finally:
        netns.delete(path)


def test_deleting_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "namespace"
    netns.create(path)
    threads = threading.active_count()
    netns.delete(path)
    netns.delete(path)
    assert list(tmp_path.iterdir()) == []
    assert str(path) not in Path("/proc/self/mountinfo").read_text()
    assert threading.active_count() == threads


def test_a_file_that_is_there_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "namespace"
    path.write_text("mine")

    with pytest.raises(Conflict, match="already exists"):
        netns.create(path)
    assert path.read_text() == "mine"


def test_a_namespace_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelError) as refusal:
        netns.create(tmp_path / "missing" / "namespace")
    assert refusal.value.errno == errno.ENOENT


def test_a_leftover_file_is_no_namespace(tmp_path: Path) -> None:
    path = tmp_path / "namespace"
    assert not netns.exists(path)
    path.touch()
    assert not netns.exists(path)

    with pytest.raises(KernelError) as refusal:
        netns.run_in(path, this_namespace)
    assert refusal.value.errno == errno.EINVAL
    netns.delete(path)
    assert not path.exists()


def test_nobody_enters_a_namespace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no network namespace"):
        netns.run_in(tmp_path / "namespace", this_namespace)
    with pytest.raises(NotFound):
        netns.open_socket(tmp_path / "namespace")


def test_the_thread_that_visits_ends_with_its_caller_and_keeps_no_namespace(tmp_path: Path, host: Host) -> None:
    path, threads, descriptors = tmp_path / "namespace", threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    def visit() -> None:
        netns.create(path)
        netns.run_in(path, this_namespace)

    host.run(visit)
    netns.delete(path)
    until(lambda: threading.active_count() == threads, what="the thread has ended")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_errors_come_back_to_the_caller(host: Host) -> None:
    def fail() -> None:
        raise LookupError("there")

    with pytest.raises(LookupError, match="there"):
        netns.run_in(host.path, fail)


def test_a_socket_stays_in_its_namespace(host: Host) -> None:
    host.run(lambda: link.create_bridge("br-there"))

    with netns.open_socket(host.path) as there:
        assert there.get(RTM_GETLINK, link.question("br-there")).get_attr("IFLA_IFNAME") == "br-there"
