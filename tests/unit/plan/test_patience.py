"""How often what somebody keeps undoing is mended."""

from linkspan.plan.patience import FIRST, FREE, LONGEST, QUIET, Patience


def worn(count: int, now: float = 0.0) -> Patience:
    """Patience with something that was mended `count` times in a row at `now`."""
    patience = Patience()
    for _ in range(count):
        patience.spend("route", now)
    return patience


def test_the_first_ones_are_mended_at_once() -> None:
    patience = worn(FREE - 1)
    assert patience.delay("route", 0.0) == 0
    assert worn(FREE).delay("route", 0.0) == FIRST


def test_the_next_ones_wait_twice_as_long_each_time() -> None:
    delays = [worn(FREE + more).delay("route", 0.0) for more in range(10)]
    assert delays[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert delays[-1] == LONGEST


def test_the_wait_passes_and_the_count_begins_anew_after_a_quiet_time() -> None:
    assert worn(FREE).delay("route", FIRST) == 0
    patience = worn(FREE + 5)
    assert patience.delay("route", QUIET) == 0
    patience.spend("route", QUIET)
    assert patience.delay("route", QUIET) == 0


def test_each_thing_is_counted_by_itself() -> None:
    assert worn(FREE).delay("address", 0.0) == 0


def test_patience_may_be_longer() -> None:
    patience = Patience(free=FREE + 1)
    for _ in range(FREE):
        patience.spend("route", 0.0)
    assert patience.delay("route", 0.0) == 0
    patience.spend("route", 0.0)
    assert patience.delay("route", 0.0) == FIRST


def test_the_moment_at_which_patience_ends_is_told_once() -> None:
    patience = Patience()
    assert [patience.spend("route", 0.0) for _ in range(FREE + 2)] == [False] * (FREE - 1) + [True, False, False]


def test_what_was_long_ago_is_forgotten() -> None:
    patience = worn(FREE)
    patience.spend("address", QUIET)
    assert patience._mended.keys() == {"address"}
