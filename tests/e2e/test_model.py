"""Engine and model do the same at random and agree after each step; the same few ways each time. `make soak` goes many."""

import pytest

from tests.engines import Engine
from tests.model import compare

pytestmark = pytest.mark.kernel


def test_the_engine_does_what_the_model_says(engine: Engine) -> None:
    assert compare(engine, examples=3, steps=20) > 20
