"""The way from a baseline to a winner."""

import pytest

from archsearch.search.ablation import Change, changes, steps
from archsearch.search.candidates import SpaceCandidates
from archsearch.space.architecture import Task
from archsearch.space.load import parse_space
from archsearch.space.sample import FixedChooser, Scalar

SPACE = """
name: small
let:
  width: {choice: [4, 8]}
augment:
  strength: {choice: [0.0, 1.0]}
  rotate: 10
stages:
  - repeat: {int: [1, 2]}
    block: {choice: [conv, residual]}
    filters: = width
    dropout: {choice: [0.0, 0.3]}
    downsample: max
head: {pool: {choice: [flatten, average]}, dropout: {choice: [0.0, 0.5]}}
training:
  optimizer: {choice: {adam: {learning_rate: {float: [1e-3, 1e-1]}}, sgd: {learning_rate: {float: [0.1, 1.0]}}}}
limits: {parameters: 100_000}
"""
BASELINE: dict[str, Scalar] = {
    "width": 4,
    "augment.strength": 0.0,
    "stages.0.repeat": 1,
    "stages.0.0.block": "conv",
    "stages.0.0.dropout": 0.0,
    "head.pool": "flatten",
    "head.dropout": 0.0,
    "training.optimizer": "adam",
    "training.optimizer.adam.learning_rate": 0.01,
}
WINNER: dict[str, Scalar] = {
    **BASELINE,
    "width": 8,
    "augment.strength": 1.0,
    "stages.0.repeat": 2,
    "stages.0.0.block": "residual",
    "stages.0.1.block": "residual",
    "stages.0.1.dropout": 0.3,
    "head.pool": "average",
    "training.optimizer": "sgd",
    "training.optimizer.sgd.learning_rate": 0.5,
}
WINNER.pop("training.optimizer.adam.learning_rate")


@pytest.fixture
def candidates() -> SpaceCandidates:
    return SpaceCandidates(parse_space(SPACE), Task(height=8, width=8, channels=1, classes=10))


def test_what_differs_is_grouped_in_its_order() -> None:
    assert changes(BASELINE, WINNER) == [
        Change(("width",), ("width",)),
        Change(("depth",), ("stages.0.repeat",)),
        Change(("blocks",), ("stages.0.0.block", "stages.0.1.block")),
        Change(("head",), ("head.pool",)),
        Change(("training",), ("training.optimizer", "training.optimizer.sgd.learning_rate")),
        Change(("regularisation",), ("stages.0.1.dropout",)),
        Change(("augmentation",), ("augment.strength",)),
    ]


def test_nothing_has_to_change_for_the_baseline() -> None:
    assert changes(BASELINE, BASELINE) == []


def test_each_step_changes_one_thing_and_the_last_one_is_the_winner(candidates: SpaceCandidates) -> None:
    path = steps(candidates, BASELINE, WINNER, 2.0)
    assert path[-1].drawn.digest == candidates.draw(FixedChooser(WINNER), 2.0).digest
    assert [name for step in path for name in step.change.names] == [
        "width", "depth", "blocks", "head", "training", "regularisation", "augmentation"
    ]  # fmt: skip
    kinds = [step.drawn.candidate.recipe.optimizer.kind for step in path]  # type: ignore[union-attr]
    assert kinds == ["adam"] * 4 + ["sgd"] * (len(path) - 4)
    assert {step.drawn.candidate.recipe.epochs for step in path} == {2.0}


def test_a_step_that_breaks_a_limit_is_made_with_the_next_one() -> None:
    tight = SPACE.replace("100_000", "1_200")
    candidates = SpaceCandidates(parse_space(tight), Task(height=8, width=8, channels=1, classes=10))
    winner = {**BASELINE, "width": 8, "stages.0.repeat": 2, "stages.0.1.block": "conv", "stages.0.1.dropout": 0.0}
    free = steps(
        SpaceCandidates(parse_space(SPACE), Task(height=8, width=8, channels=1, classes=10)), BASELINE, winner, None
    )
    sizes = [step.drawn.size.parameters for step in free]
    assert max(sizes) > sizes[-1], "the way there is larger than its end"
    assert sizes[-1] < 1_200 < max(sizes)
    path = steps(candidates, BASELINE, winner, None)
    assert path[-1].drawn.digest == free[-1].drawn.digest
    assert len(path) == len(free) - 1
    assert len(path[-1].change.names) == 2


def test_a_change_that_changes_nothing_is_made_with_the_next_one(candidates: SpaceCandidates) -> None:
    # Dropout of a second copy that is not there yet, if depth came later; here: a rate of an optimizer nobody uses.
    winner = {**BASELINE, "training.optimizer.sgd.learning_rate": 0.5, "augment.strength": 1.0}
    (only,) = steps(candidates, BASELINE, winner, None)
    assert only.change.names == ("training", "augmentation")
