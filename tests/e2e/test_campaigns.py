"""The campaigns of `make soak`, a small part of each with a fixed seed."""

from pathlib import Path

import pytest

from tests.campaigns import forgeries, gap, kills, layers, names, steps, stops
from tests.campaigns.campaign import Scale

pytestmark = pytest.mark.kernel


def test_the_engine_may_die_at_every_step(tmp_path: Path) -> None:
    chosen = tuple(scenario for scenario in steps.SCENARIOS if scenario.name in ("run -p", "stop", "rm -f", "restart"))
    result = steps.run(Scale(folder=tmp_path, share=0.03, seed=5), chosen)
    assert not result.found
    assert int(result.tried.split()[0]) >= 4, result.tried


def test_what_was_acknowledged_outlives_kills(tmp_path: Path) -> None:
    result = kills.run(Scale(folder=tmp_path, share=0.03, seed=11))
    assert not result.found
    assert int(result.tried.split()[0]) >= 6, result.tried


def test_no_restart_interrupts_traffic(tmp_path: Path) -> None:
    result = gap.run(Scale(folder=tmp_path, share=0.15, seed=3))
    assert not result.found
    assert result.tried.startswith("3 restarts and 30 reloads")


def test_a_stop_under_load_leaves_nothing(tmp_path: Path) -> None:
    result = stops.run(Scale(folder=tmp_path, share=0.01, seed=2))
    assert not result.found
    assert result.tried.startswith("1 stops")


def test_no_layer_changes_what_is_outside(tmp_path: Path) -> None:
    result = layers.run(Scale(folder=tmp_path, share=0.05, seed=2))
    assert not result.found
    assert result.tried.startswith("25 images")


def test_no_forged_frame_passes(tmp_path: Path) -> None:
    result = forgeries.run(Scale(folder=tmp_path, share=0.02, seed=4))
    assert not result.found
    assert result.tried.startswith("400 frames")


def test_everybody_knows_whom_it_should(tmp_path: Path) -> None:
    result = names.run(Scale(folder=tmp_path, share=0.05, seed=6))
    assert not result.found
    assert result.tried.startswith("30 changes, ")
