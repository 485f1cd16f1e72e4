"""What a model gets right and wrong."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from archsearch.report.classes import class_scores
from archsearch.report.verdict import LEAST_PROBABILITY, MOST_MISTAKES, MOST_PIXELS, judge, mean_loss

LABELS = np.array([0, 0, 1, 1, 2], np.int32)
PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.2, 0.75, 0.05], [0.1, 0.9, 0.0], [0.05, 0.0, 0.95], [0.4, 0.3, 0.3]], np.float32
)
IMAGES = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)


def test_a_row_of_the_confusion_is_a_class() -> None:
    assert judge(IMAGES, LABELS, PROBABILITIES).confusion == ((1, 1, 0), (0, 1, 1), (1, 0, 0))


def test_the_surest_mistakes_come_first_with_their_pictures() -> None:
    found = judge(IMAGES, LABELS, PROBABILITIES).mistakes
    assert [(m.image, m.label, m.answer) for m in found] == [(3, 1, 2), (1, 0, 1), (4, 2, 0)]
    assert [m.confidence for m in found] == pytest.approx([0.95, 0.75, 0.4])
    picture = Image.open(BytesIO(base64.b64decode(found[0].png)))
    np.testing.assert_array_equal(np.asarray(picture), IMAGES[3])


def test_grey_and_large_pictures() -> None:
    image = np.zeros((1, 300, 200, 1), np.uint8)
    (mistake,) = judge(image, np.array([1], np.int32), np.array([[1.0, 0.0]], np.float32)).mistakes
    picture = Image.open(BytesIO(base64.b64decode(mistake.png)))
    assert (picture.mode, picture.size) == ("L", (MOST_PIXELS * 2 // 3, MOST_PIXELS))


def test_no_more_mistakes_are_kept_than_are_shown() -> None:
    count = MOST_MISTAKES + 5
    answers = np.tile(np.array([[0.0, 1.0]], np.float32), (count, 1))
    found = judge(np.zeros((count, 2, 2, 1), np.uint8), np.zeros(count, np.int32), answers)
    assert len(found.mistakes) == MOST_MISTAKES
    assert found.confusion[0] == (0, count)
    assert found.accuracy == 0.0


def test_calibration_compares_groups_of_equal_confidence() -> None:
    verdict = judge(IMAGES, LABELS, PROBABILITIES)
    assert [(each.images, each.accuracy) for each in verdict.bins] == [(1, 0.0), (1, 0.0), (3, pytest.approx(2 / 3))]
    gaps = 0.4 + 0.75 + 3 * abs((0.9 + 0.9 + 0.95) / 3 - 2 / 3)
    assert verdict.calibration_error == pytest.approx(gaps / 5)
    assert verdict.confidence == pytest.approx((0.9 + 0.75 + 0.9 + 0.95 + 0.4) / 5)
    assert verdict.accuracy == pytest.approx(2 / 5)


def test_full_confidence_has_a_group() -> None:
    (only,) = judge(IMAGES[:1], LABELS[:1], np.array([[1.0, 0.0]], np.float32)).bins
    assert (only.images, only.confidence, only.accuracy) == (1, 1.0, 1.0)


def test_mean_loss_is_bounded() -> None:
    assert mean_loss(PROBABILITIES[:1], LABELS[:1]) == pytest.approx(-np.log(0.9), rel=1e-6)
    assert mean_loss(np.array([[0.0, 1.0]], np.float32), np.array([0], np.int32)) == pytest.approx(
        -np.log(LEAST_PROBABILITY)
    )


def test_classes_that_are_named_right_least_often_come_first() -> None:
    third, first, second = class_scores(judge(IMAGES, LABELS, PROBABILITIES))
    assert (third.label, third.images, third.right, third.taken_for, third.wrong_as_that) == (2, 1, 0, 0, 1)
    assert [first.label, second.label] == [0, 1]
    # Wilson 1927 for 1 of 2, by hand with z = 1.96: (0.5 + z²/4 ± z sqrt(1/8 + z²/16)) / (1 + z²/2)
    assert [first.low, first.high] == pytest.approx([0.0945, 0.9055], abs=1e-4)


def test_a_class_that_does_not_occur_has_no_score() -> None:
    verdict = judge(IMAGES[:2], LABELS[:2], PROBABILITIES[:2])
    assert [score.label for score in class_scores(verdict)] == [0]
