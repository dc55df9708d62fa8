"""Network namespaces with a file name: they live without a process until `delete`."""

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pyroute2.netlink.rtnl import RTM_SETLINK

from linkspan.errors import Conflict, KernelError, NotFound
from linkspan.kernel import _libc, link, mount
from linkspan.kernel.netlink import RouteSocket, translated

T = TypeVar("T")

_LOOPBACK = 1
"""`lo` is the first interface of every namespace."""
_SETTINGS = {
    "ip_unprivileged_port_start": "0",
    "ping_group_range": "0 2147483647",
}
"""Docker's: who is not root in a container may serve port 80, and ping."""


def create(path: Path) -> None:
    """Make a namespace with `lo` up, held by the file `path`; equivalent to `ip netns add`, `ip link set lo up` and two sysctls.

    Raises Conflict if there is such a file already.
    """
    with translated(f"create {path}", {errno.EEXIST: Conflict(f"{path} already exists")}):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        _visitor().submit(_make, path).result()
    except BaseException:
        delete(path)
        raise


def delete(path: Path) -> None:
    """Let go of the namespace at `path`; the kernel ends it when nothing runs in it. Equivalent to `ip netns del`. Idempotent."""
    mount.unmount(path)
    # Unlinking takes away copies of the mount in other mount namespaces too (a service with PrivateMounts=), which would keep it.
    with translated(f"delete {path}"):
        path.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Whether `path` is a namespace, and not a plain file that a reboot or a crash left; equivalent to `stat -f -c %T PATH`."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def existing(folder: Path, names: Iterable[str]) -> frozenset[str]:
    """Return those of the files in `folder` that are namespaces, by name; as `exists` for each, and much faster."""
    device = Path("/proc/self/ns/net").stat().st_dev
    found = set()
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{folder}/{name}").st_dev == device:  # noqa: PTH116  hundreds of them, at every mount of anybody
                found.add(name)
    return frozenset(found)


def run_in(path: Path, action: Callable[[], T]) -> T:
    """Return `action()`, done in the namespace; equivalent to `nsenter --net=PATH`. Raises NotFound, and what `action` raises.

    It is done by a thread of the caller's that does nothing else. Each visit begins with entering its namespace, so it does not
    matter where the one before it has left the thread.
    """
    with translated(f"open {path}", {errno.ENOENT: NotFound(f"no network namespace {path}")}):
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _visitor().submit(_visit, namespace, action).result()
    finally:
        os.close(namespace)


def run_in_new(action: Callable[[], T]) -> T:
    """Return `action()`, done in a new namespace that lives as long as a socket is open in it; equivalent to `unshare --net`."""
    return _visitor().submit(_visit_new, action).result()


def bind(path: Path, pid: int) -> None:
    """Hold the namespace of process `pid` by the file `path`, in place of what is there; equivalent to `ip netns attach NAME PID`.

    Raises NotFound if the process has ended.
    """
    delete(path)
    with translated(f"create {path}"):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        _libc.mount(f"/proc/{pid}/ns/net", path, flags=_libc.MS_BIND)
    except KernelError as error:
        delete(path)
        raise NotFound(f"process {pid} has ended: its namespace is lost") from error


def open_socket(path: Path) -> RouteSocket:
    """Return a socket for requests about the links of the namespace, for use in any thread. Raises NotFound."""
    with translated(f"open a netlink socket in {path}"):
        return run_in(path, RouteSocket)


def _make(path: Path) -> None:
    _libc.unshare(_libc.CLONE_NEWNET)
    try:
        with RouteSocket() as inside, translated("set interface lo up"):
            inside.change(RTM_SETLINK, link.up_message(_LOOPBACK))
        for key, value in _SETTINGS.items():
            with translated(f"set sysctl net.ipv4.{key}"):
                Path("/proc/sys/net/ipv4", key).write_text(value)
        _libc.mount("/proc/thread-self/ns/net", path, flags=_libc.MS_BIND)  # last: a file that is there names a finished namespace
    finally:
        _go_home()


def _visit(namespace: int, action: Callable[[], T]) -> T:
    _libc.setns(namespace, _libc.CLONE_NEWNET)
    try:
        return action()
    finally:
        _go_home()


def _visit_new(action: Callable[[], T]) -> T:
    _libc.unshare(_libc.CLONE_NEWNET)
    try:
        return action()
    finally:
        _go_home()


def _go_home() -> None:
    """Leave the namespace visited: a thread in it would keep it alive."""
    _libc.setns(_local.home, _libc.CLONE_NEWNET)


_local = threading.local()


def _visitor() -> ThreadPoolExecutor:
    """Return the thread that visits namespaces for the calling thread; it ends with that one. Starting one costs more than most visits."""
    if not hasattr(_local, "visitor"):
        _local.visitor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns", initializer=_settle)
    visitor: ThreadPoolExecutor = _local.visitor
    return visitor


class _Closing:
    """Closes a descriptor when it goes."""

    def __init__(self, fd: int) -> None:
        weakref.finalize(self, os.close, fd)


def _settle() -> None:
    """Remember where the visitor comes from, which is where its caller is; the descriptor is closed with the thread."""
    _local.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _local.closing = _Closing(_local.home)
