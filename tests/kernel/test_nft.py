"""The firewall's back end."""

import pytest

from linkspan.errors import MissingTool
from linkspan.kernel import nft
from linkspan.kernel.nft import Firewall, RulesetRefused
from tests.hosts import Host

pytestmark = pytest.mark.kernel

RULESET = """
add table inet linkspan
add map inet linkspan ports { type inet_service : ipv4_addr; }
add element inet linkspan ports { 80 : 172.17.0.2 }
"""


@pytest.fixture
def firewall(host: Host) -> Firewall:
    return host.run(Firewall)


def test_a_ruleset_acts_in_the_namespace_that_the_firewall_was_made_in(host: Host, outside: Host, firewall: Firewall) -> None:
    outside.run(lambda: firewall.apply(RULESET))

    assert host.sh("nft", "list", "table", "inet", "linkspan") == firewall.dump()
    assert "80 : 172.17.0.2" in firewall.dump()
    assert outside.sh("nft", "list", "ruleset") == ""


def test_applying_twice_changes_nothing(firewall: Firewall) -> None:
    firewall.apply(RULESET)
    before = firewall.dump()

    firewall.apply(RULESET)
    assert firewall.dump() == before


def test_a_table_that_is_not_there_is_empty(firewall: Firewall) -> None:
    assert firewall.dump() == ""
    assert firewall.dump("ip nothing") == ""


def test_what_the_kernel_refuses_is_not_applied_at_all(firewall: Firewall) -> None:
    with pytest.raises(RulesetRefused, match=r"^nftables refused the ruleset: .*No such file or directory"):
        firewall.apply(RULESET + "delete element inet linkspan ports { 81 }\n")
    assert firewall.dump() == ""


def test_what_has_no_meaning_is_not_applied_at_all(firewall: Firewall) -> None:
    with pytest.raises(RulesetRefused, match="syntax error"):
        firewall.apply(RULESET + "add sense inet linkspan\n")
    assert firewall.dump() == ""


def test_it_works_on_after_a_refusal(firewall: Firewall) -> None:
    with pytest.raises(RulesetRefused):
        firewall.apply("nonsense")

    firewall.apply(RULESET)
    assert firewall.dump() != ""


def test_a_table_that_cannot_be_named_is_refused(firewall: Firewall) -> None:
    with pytest.raises(RulesetRefused, match="cannot list table"):
        firewall.dump("inet")


def test_it_sees_what_others_change(host: Host, firewall: Firewall) -> None:
    firewall.apply(RULESET)

    host.sh("nft", "delete", "table", "inet", "linkspan")
    assert firewall.dump() == ""
    firewall.apply(RULESET)
    assert "172.17.0.2" in host.sh("nft", "list", "ruleset")


def test_asking_for_an_ability_leaves_nothing(host: Host, firewall: Firewall) -> None:
    assert firewall.sees_frames
    assert host.sh("nft", "list", "ruleset") == ""
    firewall.apply(RULESET)
    assert firewall.dump() != "", "it is no longer a dry run"


def test_closing_twice_is_fine(firewall: Firewall) -> None:
    firewall.close()
    firewall.close()


def test_a_missing_library_is_named_with_its_package() -> None:
    with pytest.raises(MissingTool, match="libnftables1"):
        nft._library("libnftables.so.0")
