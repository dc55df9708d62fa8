"""Requests made from the API's description, and creates with something wrong in them: a small share of the campaigns."""

from pathlib import Path

import pytest

from tests.campaigns import bodies, requests
from tests.campaigns.campaign import Scale

pytestmark = pytest.mark.kernel


def test_every_answer_is_a_described_one(tmp_path: Path) -> None:
    assert requests.run(Scale(folder=tmp_path, share=0.08, seed=1)).found == []


def test_wrong_bodies_are_refused_in_a_sentence(tmp_path: Path) -> None:
    assert bodies.run(Scale(folder=tmp_path, share=0.04, seed=1)).found == []
