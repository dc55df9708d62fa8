"""The harness of `make soak`."""

from argparse import Namespace
from pathlib import Path

from tests.campaigns.__main__ import _text
from tests.campaigns.campaign import Campaign, Result, Scale, campaigns, executed


def test_every_campaign_says_what_it_tries() -> None:
    titles = [campaign.title for campaign in campaigns()]
    assert titles
    assert all(title.endswith(".") for title in titles)


def test_what_a_campaign_raises_is_found(tmp_path: Path) -> None:
    def run(scale: Scale) -> Result:
        assert scale.folder.is_dir()
        raise AssertionError("two containers\nhave one address")

    result = executed(Campaign("broken", "Breaks.", run), Scale(folder=tmp_path / "broken"))
    assert result.found == ["AssertionError: two containers"]


def test_a_share_of_a_campaign_does_something(tmp_path: Path) -> None:
    scale = Scale(folder=tmp_path, share=0.001)
    assert scale.times(200) == 1
    assert scale.times(200, least=3) == 3
    assert scale.random().random() == scale.random().random()


def test_a_table_says_what_is_not_in_it() -> None:
    chosen = list(campaigns())
    asked = Namespace(share=0.5, seed=7)
    some = _text([(chosen[0], Result(tried="3 things", found=["a | b"]))], chosen, asked)
    assert f"cut off after 1 of {len(chosen)} campaigns" in some
    assert "| 3 things | a \\| b | 0 |" in some
    assert "cut off" not in _text([(campaign, Result(tried="all")) for campaign in chosen], chosen, asked)
