"""The threshold does to held-out answers what it says."""

import numpy as np
import pytest
from demo_models import SURE, held_out

from archsearch.demo.threshold import calibrate
from archsearch.errors import InputError


def test_it_is_the_lowest_that_halves_the_error() -> None:
    found = calibrate(*held_out())
    # 2 of 10 are wrong; the seventh of the surest, wrong, would make it one of seven, which is more than one in ten.
    assert found.confidence == pytest.approx(SURE)
    assert (found.images, found.right, found.accepted, found.accepted_right) == (10, 0.8, 0.6, 1.0)


def test_no_lower_one_would_do() -> None:
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1, 2000).astype(np.float32)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = (random.uniform(size=2000) > confidence).astype(np.int32)
    found = calibrate(probabilities, labels)

    def error(least: float) -> float:
        return float((labels[confidence >= least] == 1).mean())

    assert error(found.confidence) == pytest.approx(1 - found.accepted_right)
    assert error(found.confidence) <= error(0) / 2
    assert all(error(least) > error(0) / 2 for least in np.unique(confidence) if least < found.confidence)


def test_a_model_without_a_mistake_must_be_as_sure_as_it_was() -> None:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
    found = calibrate(probabilities, np.array([0, 1]))
    assert found.confidence == pytest.approx(0.7)
    assert (found.right, found.accepted, found.accepted_right) == (1, 1, 1)


def test_equal_confidence_is_accepted_together() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4, np.float32)
    found = calibrate(probabilities, np.array([0, 0, 0, 1]))
    assert (found.accepted, found.accepted_right) == (1, 0.75)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="found 0 answers and 0 labels"):
        calibrate(np.zeros((0, 3), np.float32), np.zeros(0, np.int32))
