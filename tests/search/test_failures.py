"""What follows from a failure."""

from typing import Any

import pytest
from trials import trial

from archsearch.search.failures import (
    MOST_ALIKE,
    explanation,
    given_up,
    is_to_blame,
    is_tried_again,
    needs_to_be_alone,
)
from archsearch.search.record import TrialRecord
from archsearch.space.sample import Scalar


def failed(number: int = 0, cause: str = "exception", reason: str = "it broke", **changes: Any) -> TrialRecord:
    return trial(number, state="failed", cause=cause, reason=reason, **changes)


@pytest.mark.parametrize(
    ("record", "again", "blamed"),
    [
        (failed(cause="exception"), False, True),
        (failed(cause="not a number"), False, True),
        (failed(cause="stalled"), False, True),
        (failed(cause="worker lost"), True, False),
        (failed(cause="worker lost", retries=3), False, False),
        (failed(cause="out of memory"), True, False),
        (failed(cause="out of memory", retries=3), True, False),
        (failed(cause="out of memory", alone=True), False, True),
        (trial(state="complete"), False, False),
        (trial(state="interrupted"), False, False),
    ],
)
def test_each_cause_has_its_policy(record: TrialRecord, again: bool, blamed: bool) -> None:
    assert (is_tried_again(record), is_to_blame(record)) == (again, blamed)


def test_only_what_ran_out_of_memory_is_tried_alone() -> None:
    records = {0: failed(0, "out of memory"), 1: failed(1, "worker lost")}
    assert needs_to_be_alone(trial(2, retries=0), records)
    assert not needs_to_be_alone(trial(2, retries=1), records)
    assert not needs_to_be_alone(trial(2), records)


def ghosts(count: int, reason: str = "ValueError: shape ({0}, 4)") -> dict[int, str]:
    return {number: reason.format(number) for number in range(count)}


def test_what_all_failures_share_and_nothing_else_has_explains_them() -> None:
    drawn: dict[int, dict[str, Scalar]]
    drawn = {n: {"stages.0.0.block": "conv", f"stages.{n % 2}.1.block": "ghost", "width": n} for n in range(MOST_ALIKE)}
    drawn[20] = {"stages.0.0.block": "conv", "stages.0.1.block": "residual"}
    said = explanation(ghosts(MOST_ALIKE), [20], drawn)
    assert said.startswith("all 8 trials with block ghost have failed, and no other has it: ValueError: shape (7, 4)")


def test_a_place_in_the_network_can_be_what_explains_them() -> None:
    drawn = {n: {"stages.0.block": "conv", "stages.1.block": "conv"} for n in range(MOST_ALIKE)}
    drawn[20] = {"stages.0.block": "conv", "stages.1.block": "residual"}
    assert "with stages.1.block conv have failed" in explanation(ghosts(MOST_ALIKE), [20], drawn)


@pytest.mark.parametrize(
    ("failed", "well"),
    [
        ({}, []),
        (ghosts(MOST_ALIKE - 1), []),
        (ghosts(MOST_ALIKE), [20]),  # it has a ghost, too
        (ghosts(7) | {7: "OSError: no file"}, []),
    ],
)
def test_few_or_different_failures_explain_nothing(failed: dict[int, str], well: list[int]) -> None:
    assert explanation(failed, well, {n: {"block": "ghost"} for n in range(21)}) == ""


def test_what_is_tried_again_is_not_given_up() -> None:
    records = [failed(0), failed(1, "worker lost"), failed(2, "worker lost", retries=1), trial(3, (0.9,))]
    assert given_up(records) == {0: "it broke", 2: "it broke"}
