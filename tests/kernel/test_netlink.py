"""The netlink socket."""

import errno
import struct
from pathlib import Path
from socket import SO_RCVBUF, SO_RCVTIMEO, SOL_SOCKET
from typing import Any

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST
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

        def recv(self, size: int, flags: int = 0) -> bytes:
            data = bytearray(self._real.recv(size, flags))
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


def test_a_long_answer_that_is_interrupted_is_asked_for_again(host: Host) -> None:
    """As long as the kernel tells, it refuses to tell anew: the answer must be read to its end first."""

    def make() -> RouteSocket:
        for number in range(100):
            link.create_bridge(f"br{number}")
        return RouteSocket()

    with host.run(make) as socket:
        parse = socket._marshal.parse
        answers: list[bytes] = []

        def interrupted_once(data: bytes) -> list[Any]:
            found = list(parse(data))
            if not answers:
                found[0]["header"]["flags"] |= NLM_F_DUMP_INTR
            answers.append(data)
            return found

        socket._marshal.parse = interrupted_once
        assert len(names(socket)) == 101
        assert len(answers) >= 4, "several datagrams, twice"


def test_what_changes_all_the_time_is_given_up(host: Host) -> None:
    with host.run(RouteSocket) as socket:
        parse = socket._marshal.parse

        def interrupted(data: bytes) -> list[Any]:
            found = list(parse(data))
            found[0]["header"]["flags"] |= NLM_F_DUMP_INTR
            return found

        socket._marshal.parse = interrupted
        with pytest.raises(KernelError, match="list links: Interrupted system call"), translated("list links"):
            socket.dump(RTM_GETLINK, link.question(0))


@pytest.mark.parametrize("unread", [0, 1, 5, 50])
def test_a_socket_that_overflows_loses_nothing_and_does_not_hang(host: Host, unread: int) -> None:
    """With room for two answers and many that nobody reads, the kernel drops some and says ENOBUFS."""

    def with_little_room() -> None:
        socket = RouteSocket()
        socket._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 1)
        for number in range(10):
            message = link.question("x")
            message["attrs"] = [("IFLA_IFNAME", f"br{number}"), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})]
            leave_unread(socket, unread)
            socket.change(RTM_NEWLINK, message, NLM_F_CREATE | NLM_F_EXCL)
        leave_unread(socket, unread)
        assert len(names(socket)) == 11
        leave_unread(socket, unread)
        assert socket.get(RTM_GETLINK, link.question("br7")).get_attr("IFLA_IFNAME") == "br7"
        socket.close()

    host.run(with_little_room)


def leave_unread(socket: RouteSocket, count: int) -> None:
    for _ in range(count):
        socket._sequence += 1
        message = link.question("lo")
        message["header"] = {"type": RTM_GETLINK, "flags": NLM_F_REQUEST, "sequence_number": socket._sequence, "pid": 0}
        message.encode()
        socket._socket.send(message.data)
        socket._unread = True


def test_a_kernel_that_does_not_answer_is_given_up(host: Host) -> None:
    with host.run(RouteSocket) as socket:
        socket._socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, struct.pack("ll", 0, 1000))
        socket._forget_unread()
        with pytest.raises(KernelError, match="wait: Connection timed out"), translated("wait"):
            socket._received()


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


def test_a_raw_list_has_what_the_other_has(host: Host) -> None:
    def both() -> tuple[list[int], list[int]]:
        with RouteSocket() as opened:
            parsed = [found["index"] for found in opened.dump(RTM_GETLINK, link.question(0))]
            raw = [struct.unpack_from("=i", body, 4)[0] for body in opened.dump_raw(RTM_GETLINK, link.question(0))]
        return parsed, raw

    host.sh("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
    parsed, raw = host.run(both)
    assert parsed == raw
    assert len(raw) == 3
