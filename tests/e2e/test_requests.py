"""Requests made from the API's description, a small share of the campaign."""

from pathlib import Path

import pytest

from tests.campaigns import requests
from tests.campaigns.campaign import Scale

pytestmark = pytest.mark.kernel


def test_every_answer_is_a_described_one(tmp_path: Path) -> None:
    assert requests.run(Scale(folder=tmp_path, share=0.08, seed=1)).found == []
