"""What each change was worth."""

import pytest

from archsearch.report.story import Memory, Story, StoryStep, memory_sentence, told, worth


def step(*scores: float, names: tuple[str, ...] = ("depth",)) -> StoryStep:
    return StoryStep(names=names, digest="d", architecture="conv", parameters=1, fold_scores=scores)


def test_a_change_is_worth_its_paired_differences() -> None:
    found = worth(step(0.90, 0.80), step(0.92, 0.86))
    assert found is not None
    assert found.mean == pytest.approx(0.04)
    assert found.standard_error == pytest.approx(0.02)  # of 0.02 and 0.06


def test_one_fold_has_no_error_and_what_was_not_run_no_worth() -> None:
    found = worth(step(0.9), step(0.8))
    assert found is not None
    assert found.mean == pytest.approx(-0.1)
    assert found.standard_error is None
    assert worth(step(0.9), step()) is None


def test_what_was_not_run_is_credited_to_no_other_change_alone() -> None:
    steps = (
        step(0.90, names=()),
        step(names=("width",)),
        step(0.95, names=("depth",)),
        step(0.96, names=("augmentation",)),
    )
    found = told(Story(winner=1, epochs=2, steps=steps))
    assert [names for names, _, _ in found] == [(), ("width",), ("width", "depth"), ("augmentation",)]
    gains = [gain.mean if gain else None for _, _, gain in found]
    assert gains == [None, None, pytest.approx(0.05), pytest.approx(0.01)]


def test_what_is_missing_is_counted() -> None:
    memory = Memory(epochs=8, accuracy=1.0, val_accuracy=0.98, seconds=3.0)
    story = Story(winner=3, epochs=8, steps=(step(0.9), step(), step(0.95)))
    assert story.missing == 2
    assert story.model_copy(update={"memory": memory}).missing == 1


@pytest.mark.parametrize(("accuracy", "said"), [(0.999, "large enough to know them by heart"), (0.9, "does not know")])
def test_the_overfit_check_says_what_follows(accuracy: float, said: str) -> None:
    text = memory_sentence(Memory(epochs=8, accuracy=accuracy, val_accuracy=0.98, seconds=3.0))
    assert said in text
    assert f"names {100 * accuracy:.1f} % of the images that it trained on right, and 98.0 % of others" in text
