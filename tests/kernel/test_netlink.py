"""The netlink socket."""

import errno
import struct
from pathlib import Path

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_GETLINK, RTM_NEWLINK

from linkspan.errors import Conflict, KernelError
from linkspan.kernel import link, netlink
from linkspan.kernel.netlink import RouteSocket, translated
from tests.hosts import Host

pytestmark = pytest.mark.kernel


def open_sockets() -> int:
    return sum(str(entry.readlink()).startswith("socket:") for entry in Path("/proc/self/fd").iterdir() if entry.is_socket())


def names(socket: RouteSocket) -> list[str]:
    return [found.get_attr("IFLA_IFNAME") for found in socket.dump(RTM_GETLINK, link.question(0))]


def test_a_thread_has_one_socket_and_it_ends_with_the_thread(host: Host) -> None:
    before = open_sockets()
    first, second = host.run(lambda: (id(netlink.host()), id(netlink.host())))
    assert first == second
    assert open_sockets() == before


def test_answers_of_many_datagrams_are_whole(host: Host) -> None:
    def many() -> list[str]:
        for number in range(60):
            link.create_bridge(f"br{number}")
        return names(netlink.host())

    assert sorted(host.run(many)) == sorted(["lo", *(f"br{number}" for number in range(60))])


def test_an_interrupted_answer_is_asked_for_again(host: Host) -> None:
    class Interrupted:
        """A socket whose first answer says that something changed meanwhile."""

        def __init__(self, socket: RouteSocket) -> None:
            self._real = socket._socket
            self.answers = 0
            self.send, self.close = self._real.send, self._real.close

        def recv(self, size: int) -> bytes:
            data = bytearray(self._real.recv(size))
            self.answers += 1
            if self.answers == 1:
                flags = struct.unpack_from("H", data, 6)[0]
                struct.pack_into("H", data, 6, flags | NLM_F_DUMP_INTR)
            return bytes(data)

    with host.run(RouteSocket) as socket:
        interrupted = Interrupted(socket)
        socket._socket = interrupted  # type: ignore[assignment]
        assert names(socket) == ["lo"]
        assert interrupted.answers > 2


def test_what_is_left_of_an_answer_disturbs_nobody(host: Host) -> None:
    with host.run(RouteSocket) as socket:
        unread = socket._ask(RTM_GETLINK, link.question(0), NLM_F_DUMP)
        next(unread)
        assert names(socket) == ["lo"]


def test_a_refusal_has_the_words_of_the_kernel(host: Host) -> None:
    with host.run(RouteSocket) as socket, pytest.raises(KernelError) as refusal, translated("make x"):
        message = link.question("x")
        message["attrs"] = [("IFLA_IFNAME", "x"), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "no-such-kind")]})]
        socket.change(RTM_NEWLINK, message, NLM_F_CREATE | NLM_F_EXCL)
    assert refusal.value.errno == errno.EOPNOTSUPP
    assert str(refusal.value) == "make x: Operation not supported: Unknown device type"


class TestTranslated:
    def test_errors_that_callers_act_on_become_ours(self) -> None:
        ours = Conflict("taken")
        with pytest.raises(Conflict) as refusal, translated("do it", {errno.EEXIST: ours}):
            raise FileExistsError(errno.EEXIST, "File exists")
        assert refusal.value is ours
        assert isinstance(refusal.value.__cause__, FileExistsError)

    def test_errors_that_mean_success_are_none(self) -> None:
        with translated("do it", {errno.ENODEV: None}):
            raise OSError(errno.ENODEV, "No such device")

    def test_others_say_what_was_refused(self) -> None:
        with pytest.raises(KernelError, match=r"^do it: Permission denied$") as refusal, translated("do it"):
            raise PermissionError(errno.EACCES, "Permission denied")
        assert (refusal.value.action, refusal.value.errno) == ("do it", errno.EACCES)
