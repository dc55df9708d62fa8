"""All or nothing."""

import pytest

from linkspan.undo import Undo


def test_a_failed_operation_takes_its_steps_back_last_first() -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="step three"), Undo() as undo:
        undo.push("undo one", lambda: done.append("one"))
        undo.push("undo two", lambda: done.append("two"))
        raise ValueError("step three")
    assert done == ["two", "one"]


def test_a_finished_operation_keeps_its_steps() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.push("undo one", lambda: done.append("one"))
    assert done == []


def test_an_inverse_that_fails_hides_neither_the_error_nor_the_others() -> None:
    done: list[str] = []

    def refuse() -> None:
        raise OSError("busy")

    with pytest.raises(ValueError, match="step three") as raised, Undo() as undo:
        undo.push("undo one", lambda: done.append("one"))
        undo.push("unmount", refuse)
        raise ValueError("step three")
    assert done == ["one"]
    assert raised.value.__notes__ == ["could not unmount: busy"]
