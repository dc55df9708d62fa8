"""Interfaces."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linkspan.errors import Conflict, KernelError, NotFound
from linkspan.kernel import link, netns
from linkspan.model.endpoint import DOOMED_GROUP, OUR_GROUP
from tests.hosts import Host

pytestmark = pytest.mark.kernel

MAC = "02:42:ac:11:00:02"


@pytest.fixture
def inside(tmp_path: Path) -> Any:
    """The namespace of a container."""
    with Host(tmp_path / "inside.net") as machine:
        yield machine


def shown(host: Host, *args: str) -> list[dict[str, Any]]:
    """Return what `ip` shows, from outside of the code under test."""
    found: list[dict[str, Any]] = [entry for entry in json.loads(host.sh("ip", "-d", "-j", *args)) if entry]
    return found


def names(host: Host) -> set[str]:
    return {entry["ifname"] for entry in shown(host, "link")}


def with_bridge(action: Callable[[], Any]) -> Callable[[], Any]:
    """Return a job that makes br0 first."""

    def job() -> Any:
        link.create_bridge("br0")
        return action()

    return job


class TestBridge:
    def test_it_is_made_with_our_mark_and_its_mtu(self, host: Host) -> None:
        host.run(lambda: link.create_bridge("br0", 1400))

        [bridge] = shown(host, "link", "show", "br0")
        assert (bridge["mtu"], bridge["linkinfo"]["info_kind"]) == (1400, "bridge")
        assert bridge["group"] == str(OUR_GROUP)
        assert "UP" not in bridge["flags"]

    def test_its_address_does_not_change_with_its_ports(self, host: Host, inside: Host) -> None:
        host.run(lambda: link.create_bridge("br0"))
        before = shown(host, "link", "show", "br0")[0]["address"]

        host.run(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC))
        host.sh("ip", "link", "set", "veth0", "address", "00:00:00:00:00:01")
        assert shown(host, "link", "show", "br0")[0]["address"] == before

    def test_a_taken_name_is_refused_and_its_holder_kept(self, host: Host) -> None:
        host.sh("ip", "link", "add", "br0", "type", "bridge")

        with pytest.raises(Conflict, match=r"^interface br0 already exists$"):
            host.run(lambda: link.create_bridge("br0"))
        assert host.run(lambda: link.is_foreign("br0"))

    def test_an_impossible_name_is_refused(self, host: Host) -> None:
        with pytest.raises(KernelError, match=r"^create bridge a/b: Invalid argument"):
            host.run(lambda: link.create_bridge("a/b"))


class TestVeth:
    def test_both_ends_are_born_where_they_belong(self, host: Host, inside: Host) -> None:
        host.run(with_bridge(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC, 1400)))

        [outer] = shown(host, "link", "show", "veth0")
        assert (outer["master"], outer["mtu"]) == ("br0", 1400)
        assert outer["group"] == str(OUR_GROUP)
        [inner] = shown(inside, "link", "show", "eth0")
        assert (inner["address"], inner["mtu"], inner["linkinfo"]["info_kind"]) == (MAC, 1400, "veth")
        assert names(host) == {"lo", "br0", "veth0"}

    def test_a_taken_name_outside_leaves_nothing(self, host: Host, inside: Host) -> None:
        host.sh("ip", "link", "add", "veth0", "type", "bridge")

        with pytest.raises(Conflict, match="veth0"):
            host.run(with_bridge(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC)))
        assert names(inside) == {"lo"}

    def test_a_taken_name_inside_leaves_nothing(self, host: Host, inside: Host) -> None:
        inside.sh("ip", "link", "add", "eth0", "type", "bridge")

        with pytest.raises(Conflict, match="eth0"):
            host.run(with_bridge(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC)))
        assert names(host) == {"lo", "br0"}

    def test_a_missing_bridge_leaves_nothing(self, host: Host, inside: Host) -> None:
        with pytest.raises(NotFound, match=r"^no interface br0$"):
            host.run(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC))
        assert (names(host), names(inside)) == ({"lo"}, {"lo"})

    def test_a_missing_namespace_leaves_nothing(self, host: Host, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no network namespace"):
            host.run(with_bridge(lambda: link.create_veth("veth0", "br0", tmp_path / "gone", "eth0", MAC)))
        assert names(host) == {"lo", "br0"}

    @pytest.mark.parametrize(("isolated", "hairpin"), [(False, False), (True, False), (False, True)])
    def test_a_port_is_opened_isolated_or_with_hairpin(self, host: Host, inside: Host, isolated: bool, hairpin: bool) -> None:
        host.run(with_bridge(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC)))
        for _ in range(2):
            host.run(lambda: link.open_port("veth0", isolated=isolated, hairpin=hairpin))
        [port] = shown(host, "link", "show", "veth0")
        assert "UP" in port["flags"]
        settings = port["linkinfo"]["info_slave_data"]
        assert (settings["isolated"], settings["hairpin"]) == (isolated, hairpin)

    def test_what_is_no_port_is_not_opened(self, host: Host) -> None:
        with pytest.raises(KernelError, match="open bridge port br0"):
            host.run(with_bridge(lambda: link.open_port("br0")))
        with pytest.raises(NotFound, match=r"^no interface gone$"):
            host.run(lambda: link.open_port("gone"))


class TestSettings:
    def test_an_interface_is_brought_up_by_name_or_index(self, host: Host) -> None:
        def up() -> None:
            link.create_bridge("br0")
            link.create_bridge("br1")
            link.set_up(link.require_index("br1"))
            link.set_up("br0")
            link.set_up("br0")

        host.run(up)
        assert all("UP" in entry["flags"] for entry in shown(host, "link"))

    def test_its_mtu_is_set(self, host: Host) -> None:
        host.run(with_bridge(lambda: link.set_mtu("br0", 1300)))
        assert shown(host, "link", "show", "br0")[0]["mtu"] == 1300

        with pytest.raises(KernelError, match=r"^set the MTU of interface br0 to 5: Invalid argument: mtu less than device minimum$"):
            host.run(lambda: link.set_mtu("br0", 5))

    @pytest.mark.parametrize(
        "action",
        [
            partial(link.set_up, "gone"),
            partial(link.set_up, 4711),
            partial(link.set_mtu, "gone", 1500),
            partial(link.require_index, "gone"),
        ],
    )
    def test_a_missing_interface_is_named(self, host: Host, action: Callable[[], object]) -> None:
        with pytest.raises(NotFound, match=r"^no interface (gone|4711)$"):
            host.run(action)


class TestDelete:
    def test_a_veth_goes_with_its_peer_and_going_twice_is_fine(self, host: Host, inside: Host) -> None:
        host.run(with_bridge(lambda: link.create_veth("veth0", "br0", inside.path, "eth0", MAC)))

        for _ in range(2):
            host.run(lambda: link.delete("veth0"))
        assert (names(host), names(inside)) == ({"lo", "br0"}, {"lo"})

    def test_many_go_together(self, host: Host, inside: Host) -> None:
        doomed = [f"veth{number}" for number in range(8)]

        def job() -> None:
            for number, name in enumerate(doomed):
                link.create_veth(name, "br0", inside.path, f"eth{number}", MAC)
            link.create_veth("kept", "br0", inside.path, "kept", MAC)
            link.delete_many([*doomed, "gone"])
            link.delete_many(doomed)

        host.run(with_bridge(job))
        assert (names(host), names(inside)) == ({"lo", "br0", "kept"}, {"lo", "kept"})

    def test_deleting_none_touches_none(self, host: Host) -> None:
        host.run(with_bridge(lambda: link.delete_many([])))
        assert names(host) == {"lo", "br0"}

    def test_what_cannot_be_deleted_is_an_error(self, host: Host) -> None:
        with pytest.raises(KernelError, match=r"^delete interface lo: Operation not supported"):
            host.run(lambda: link.delete("lo"))


class TestLooking:
    def test_ours_are_told_from_others(self, host: Host, inside: Host) -> None:
        host.sh("ip", "link", "add", "theirs", "type", "bridge")
        host.sh("ip", "link", "add", "doomed", "group", str(DOOMED_GROUP), "type", "bridge")

        def look() -> tuple[list[bool], list[tuple[str, int, str]], int, int]:
            link.create_bridge("br0")
            link.create_veth("veth0", "br0", inside.path, "eth0", MAC)
            indexes = link.require_index("br0"), link.require_index("veth0")
            return [link.is_foreign(name) for name in ("theirs", "br0", "doomed", "gone")], link.list_ours(), *indexes

        foreign, ours, bridge, veth = host.run(look)
        assert foreign == [True, False, False, False]
        assert [entry for entry in ours if entry[0] != "doomed"] == [("br0", bridge, "bridge"), ("veth0", veth, "veth")]
        assert len(ours) == 3

    def test_bridges_are_told_from_others(self, host: Host) -> None:
        assert host.run(with_bridge(lambda: [link.is_bridge(name) for name in ("br0", "lo", "gone")])) == [True, False, False]

    def test_an_index_is_looked_up(self, host: Host) -> None:
        assert host.run(lambda: (link.index("lo"), link.index("gone"))) == (1, None)

    def test_each_namespace_has_its_own(self, host: Host, tmp_path: Path) -> None:
        path = tmp_path / "namespace"
        netns.create(path)
        try:
            host.run(lambda: link.create_bridge("br0"))
            assert netns.run_in(path, lambda: link.index("br0")) is None
            assert netns.run_in(path, link.list_ours) == []
        finally:
            netns.delete(path)
