"""One number for robustness, from models of which it is known."""

import numpy as np
import pytest

from archsearch.data.corruptions import corruptions_for
from archsearch.training.robustness import MOST_IMAGES, Images, Labels, Probabilities, robustness, stratified

SURE_OF = np.eye(4, dtype=np.float32)
LABELS = np.tile(np.arange(4, dtype=np.int32), 100)


def dots(labels: Labels) -> Images:
    """A class is how many bright dots there are: what no shift, rotation or inversion changes much."""
    images = np.zeros((len(labels), 16, 16, 1), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[8, 2 : 2 + 3 * label : 3] = 255
    return images


def test_a_model_that_sees_nothing_is_as_good_as_guessing() -> None:
    def constant(images: Images) -> Probabilities:
        return SURE_OF[[2] * len(images)]

    assert robustness(constant, dots(LABELS), LABELS, 0) == pytest.approx(0.25)


def test_a_model_that_only_counts_light_stands_what_moves_and_not_what_inverts() -> None:
    asked = []

    def by_light(images: Images) -> Probabilities:
        asked.append(len(images))
        light = np.rint(images.sum((1, 2, 3)) / 255)
        answers: Probabilities = SURE_OF[np.minimum(light, 3).astype(np.int64)]
        return answers

    kept = robustness(by_light, dots(LABELS), LABELS, 0)
    assert asked == [MOST_IMAGES] * len(corruptions_for(dots(LABELS)))
    assert 0.3 < kept < 0.95
    few = LABELS[:200]  # all of them are used: only what happens to them differs
    first, again, other = (robustness(by_light, dots(few), few, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_stratified_choice_has_of_each_class_its_share() -> None:
    labels = np.repeat(np.array([0, 1, 2], np.int32), [600, 300, 100])
    chosen = stratified(labels, 100, 0)
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 10]
    assert len(set(chosen.tolist())) == 100
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, stratified(labels, 100, 0))
    assert set(chosen.tolist()) != set(stratified(labels, 100, 1).tolist())


def test_of_few_images_all_are_chosen() -> None:
    assert stratified(np.array([1, 0, 1], np.int32), 10, 0).tolist() == [0, 1, 2]
