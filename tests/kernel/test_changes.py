"""What the engine hears of changes that others make on its host."""

import asyncio
import fcntl
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from linkspan.kernel import mount, process
from linkspan.kernel.changes import Change, Changes, What
from linkspan.kernel.nft import Firewall
from linkspan.plan import firewall
from tests.hosts import OUTSIDE_ADDRESS, Host, until

pytestmark = pytest.mark.kernel

OURS = "table inet linkspan { chain forward { } ; }"


class Ears:
    """What was heard so far."""

    def __init__(self) -> None:
        self.changes: Changes
        self.heard: list[Change] = []
        self._news = asyncio.Event()

    def hear(self, change: Change) -> None:
        self.heard.append(change)
        self._news.set()

    async def until(self, *wanted: Change) -> None:
        """Wait until each of `wanted` was heard."""
        async with asyncio.timeout(20):
            while not set(wanted) <= set(self.heard):
                self._news.clear()
                await self._news.wait()


Scenario = Callable[[Ears], Awaitable[None]]


class Listener(Protocol):
    def __call__(self, scenario: Scenario, **options: int) -> Ears: ...


@pytest.fixture
def listening(host: Host) -> Listener:
    """Runs a coroutine in the host's namespace while a `Changes` listens there; returns what was heard."""

    def run(scenario: Scenario, **options: int) -> Ears:
        async def main() -> Ears:
            ears = Ears()
            ears.changes = changes = Changes(ears.hear, **options)
            changes.open()
            try:
                await scenario(ears)
            finally:
                changes.close()
            return ears

        return host.run(lambda: asyncio.run(main()))

    return run


async def others(host: Host, *command: str) -> None:
    """Run a command in the host, as somebody else."""
    await asyncio.to_thread(host.sh, *command)


def test_locks_on_files_outlive_the_search_for_our_own_sockets(listening: Listener, tmp_path: Path) -> None:
    take = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'wb'), fcntl.LOCK_EX | fcntl.LOCK_NB)"

    async def nothing(_: Ears) -> None:
        process.watch_children()
        other = await process.run(sys.executable, "-c", take, tmp_path / "locked", check=False)
        assert "BlockingIOError" in other.errors

    with (tmp_path / "locked").open("wb") as locked:
        fcntl.lockf(locked, fcntl.LOCK_EX)
        listening(nothing)


def test_an_interface_that_goes_away_or_down_is_heard_of(host: Host, listening: Listener) -> None:
    host.sh("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
    host.sh("ip", "link", "add", "bridge0", "type", "bridge")
    host.sh("ip", "link", "set", "bridge0", "up")

    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "link", "set", "bridge0", "down")
        await ears.until(Change(What.LINK, "bridge0"))
        await others(host, "ip", "link", "del", "veth1")
        await ears.until(Change(What.LINK, "veth1"), Change(What.LINK, "veth2"))

    listening(scenario)


def test_an_interface_that_leaves_its_bridge_is_heard_of(host: Host, listening: Listener) -> None:
    host.sh("ip", "link", "add", "bridge0", "type", "bridge")
    host.sh("ip", "link", "add", "veth1", "up", "master", "bridge0", "type", "veth", "peer", "name", "veth2")

    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "link", "set", "veth1", "nomaster")
        await ears.until(Change(What.LINK, "veth1"))

    listening(scenario)


def test_addresses_routes_and_forwarding_are_heard_of(host: Host, listening: Listener) -> None:
    host.sh("ip", "addr", "add", "10.1.2.3/24", "dev", "lo")
    host.sh("ip", "route", "add", "10.7.0.0/16", "dev", "lo")

    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "route", "del", "10.7.0.0/16")
        await ears.until(Change(What.ROUTE, "lo"))
        await others(host, "ip", "addr", "del", "10.1.2.3/24", "dev", "lo")
        await ears.until(Change(What.ADDRESS, "lo"))
        await others(host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        await ears.until(Change(What.FORWARDING))

    listening(scenario)


def test_addresses_routes_and_forwarding_of_ipv6_are_heard_of(host: Host, listening: Listener) -> None:
    host.sh("ip", "addr", "add", "fd00::1/64", "dev", "lo")
    host.sh("ip", "route", "add", "fd07::/16", "dev", "lo")

    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "route", "del", "fd07::/16", "dev", "lo")
        await ears.until(Change(What.ROUTE, "lo"))
        await others(host, "ip", "addr", "del", "fd00::1/64", "dev", "lo")
        await ears.until(Change(What.ADDRESS, "lo"))
        await others(host, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        await ears.until(Change(What.FORWARDING))

    listening(scenario)


def test_a_new_way_out_and_a_change_of_it_are_heard_of(host: Host, outside: Host, listening: Listener) -> None:
    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "route", "add", "default", "via", OUTSIDE_ADDRESS)
        await ears.until(Change(What.UPLINK))
        ears.heard.clear()
        ears.changes.follow((host.run(lambda: socket.if_nametoindex("eth0")),))
        await others(host, "ip", "link", "set", "eth0", "mtu", "1400")
        await ears.until(Change(What.UPLINK))

    listening(scenario)


def test_an_interface_of_a_container_that_goes_takes_no_address_with_it_that_is_news(host: Host, listening: Listener) -> None:
    host.sh("ip", "link", "add", "veth1", "up", "type", "veth", "peer", "name", "veth2")
    host.sh("ip", "link", "set", "veth2", "up")
    until(lambda: "fe80" in host.sh("ip", "-6", "addr", "show", "veth1"), what="the interface has an address of its link")
    host.sh("ip", "link", "add", "last", "up", "type", "bridge")

    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "link", "del", "veth1")
        await others(host, "ip", "link", "set", "last", "down")  # messages come in order
        await ears.until(Change(What.LINK, "last"))

    assert {change.what for change in listening(scenario).heard}.isdisjoint({What.ADDRESS, What.ROUTE})  # mounts are everybody's


def test_what_is_made_or_comes_up_is_no_news(host: Host, listening: Listener) -> None:
    async def scenario(ears: Ears) -> None:
        await others(host, "ip", "link", "add", "bridge0", "type", "bridge")
        await others(host, "ip", "link", "add", "veth1", "master", "bridge0", "type", "veth", "peer", "name", "veth2")
        await others(host, "ip", "link", "set", "veth1", "up")
        await others(host, "ip", "addr", "add", "10.1.2.3/24", "dev", "veth1")
        await others(host, "ip", "link", "set", "lo", "down")  # messages come in order: this one is the last
        await ears.until(Change(What.LINK, "lo"))

    heard = [change for change in listening(scenario).heard if change.name != "lo" and change.what is What.LINK]
    assert heard == []


def test_a_change_of_our_table_by_others_is_heard_of(host: Host, listening: Listener) -> None:
    host.sh("nft", OURS)

    async def scenario(ears: Ears) -> None:
        await others(host, "nft", "flush ruleset")
        await ears.until(Change(What.RULES))

    listening(scenario)


def test_changes_of_other_tables_and_our_own_are_no_news(host: Host, listening: Listener) -> None:
    async def scenario(ears: Ears) -> None:
        await others(host, "nft", "table inet theirs { chain forward { } ; }")
        rules.apply(firewall.ruleset())
        rules.apply(firewall.table_removal())
        await others(host, "ip", "link", "set", "lo", "down")
        await ears.until(Change(What.LINK, "lo"))

    rules = host.run(Firewall)
    rules.apply(firewall.ruleset())
    assert Change(What.RULES) not in listening(scenario).heard


def test_mounts_are_heard_of(host: Host, listening: Listener, tmp_path: Path) -> None:
    target = tmp_path / "mounted"
    target.mkdir()

    async def scenario(ears: Ears) -> None:
        assert ears.heard == []
        mount.bind(target, target)
        await ears.until(Change(What.MOUNTS))
        ears.heard.clear()
        mount.unmount(target)
        await ears.until(Change(What.MOUNTS))

    listening(scenario)


@pytest.mark.parametrize(
    ("command", "storm"),
    [
        (("ip", "-batch", "-"), "addr add 10.1.2.3/24 dev lo\naddr del 10.1.2.3/24 dev lo\n"),
        (("nft", "-f", "-"), "add chain inet linkspan other\ndelete chain inet linkspan other\n"),
    ],
)
def test_when_more_happens_than_can_be_told_everything_may_have_changed(
    host: Host, listening: Listener, command: tuple[str, ...], storm: str
) -> None:
    host.sh("nft", OURS)

    async def scenario(ears: Ears) -> None:
        host.sh(*command, stdin=storm * 200)  # nothing is read meanwhile: this thread waits
        await ears.until(Change(What.LOST))
        ears.heard.clear()
        # It goes on listening.
        await others(host, "ip", "link", "set", "lo", "down")
        await others(host, "nft", "flush ruleset")
        await ears.until(Change(What.LINK, "lo"), Change(What.RULES))

    listening(scenario, buffer=4096)
