"""The stress test of models of which it is known how they do."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from archsearch.data.corruptions import CORRUPTIONS, LEVELS
from archsearch.report.stress import StressReport
from archsearch.report.verdict import judge
from archsearch.stress import measure
from archsearch.stress.measure import MOST_PIXELS, OF_EACH_KIND, Images, Labels, Probabilities, score, stress

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def drawn() -> tuple[Images, Labels]:
    bunch = load_digits()
    return np.rint(bunch.images[..., None] * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int32)


def softmax(scores: Probabilities) -> Probabilities:
    grown: Probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    total: Probabilities = grown.sum(axis=1, keepdims=True)
    return grown / total


class Nearest:
    """The class whose mean image is nearest: a model that takes no training."""

    def __init__(self, images: Images, labels: Labels) -> None:
        self.means = np.stack([images[labels == label].mean(0).ravel() for label in range(10)]).astype(np.float32)

    def __call__(self, images: Images) -> Probabilities:
        pixels = images.reshape(len(images), -1).astype(np.float32)
        return softmax(-((pixels[:, None] - self.means) ** 2).mean(2) / 400)


@pytest.fixture(scope="module")
def report(drawn: tuple[Images, Labels]) -> StressReport:
    images, labels = drawn
    return stress(Nearest(images[:900], labels[:900]), images[900:], labels[900:], CLASSES, 0)


def test_it_falls_from_the_clean_accuracy_with_the_strength(report: StressReport) -> None:
    assert report.clean.accuracy > 0.8
    assert [endured.name for endured in report.corruptions] == [each.name for each in CORRUPTIONS]
    assert not report.left_out
    by_name = {endured.name: [level.accuracy for level in endured.levels] for endured in report.corruptions}
    assert all(len(accuracies) == LEVELS for accuracies in by_name.values())
    for name in ("shift", "rotation", "scale"):
        assert by_name[name][0] > report.clean.accuracy - 0.05
        assert by_name[name][-1] < report.clean.accuracy - 0.2
    assert report.robustness == pytest.approx(np.mean(list(by_name.values())))


def test_it_counts_classes_as_it_counts_images(report: StressReport) -> None:
    assert report.images == 897
    assert report.clean.accuracy == pytest.approx(sum(report.clean_right) / 897)
    for endured in report.corruptions:
        assert endured.strongest.accuracy == pytest.approx(sum(endured.right) / 897)
        assert all(right <= count for right, count in zip(endured.right, report.counts, strict=True))


def test_the_example_is_named_right_and_shown_as_the_model_sees_it(
    report: StressReport, drawn: tuple[Images, Labels]
) -> None:
    images, labels = drawn
    model = Nearest(images[:900], labels[:900])

    def seen(png: str) -> Images:
        return np.asarray(Image.open(BytesIO(base64.b64decode(png))))[None, ..., None]

    assert model(seen(report.png)).argmax() == report.example
    for endured in report.corruptions:
        for level in endured.levels:
            assert model(seen(level.png)).argmax() == level.answer


def test_a_constant_model_is_as_right_as_its_class_is_frequent_and_sure_of_everything() -> None:
    labels = np.array([0] * 30 + [1] * 10, np.int32)
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), np.uint8)
    report = stress_at(0.9, images, labels)
    assert report.robustness == report.clean.accuracy == 0.75
    assert report.clean.calibration_error == pytest.approx(0.2)
    assert report.calibration_error == pytest.approx(0.2)
    assert report.sure_of_outsiders == 1.0
    assert {(each.images, each.answer) for each in report.outsiders} == {(OF_EACH_KIND, 0)}
    assert report.left_out == ("Stroke width is left out: these are no line drawings.",)
    assert report.corruptions[0].right == (30, 0)
    assert stress_at(0.96, images, labels).sure_of_outsiders == 0.0


def stress_at(threshold: float, images: Images, labels: Labels) -> StressReport:
    def constant(some: Images) -> Probabilities:
        return np.tile(np.array([[0.95, 0.05]], np.float32), (len(some), 1))

    return stress(constant, images, labels, "ab", 0, threshold)


def test_a_model_that_looks_at_order_only_does_not_mind_contrast() -> None:
    """Which half is brighter does not change with contrast, and turns round with inversion."""
    labels = np.tile(np.array([0, 1], np.int32), 50)
    images = np.full((100, 8, 8, 1), 60, np.uint8)
    images[labels == 0, :, :4] = images[labels == 1, :, 4:] = 180

    def left_or_right(some: Images) -> Probabilities:
        left = some[:, :, :4].mean((1, 2, 3)) > some[:, :, 4:].mean((1, 2, 3))
        return np.stack([left, ~left], axis=1).astype(np.float32)

    report = stress(left_or_right, images, labels, ["left", "right"], 0)
    accuracies = {endured.name: [level.accuracy for level in endured.levels] for endured in report.corruptions}
    assert accuracies["contrast"] == [1.0] * LEVELS
    assert accuracies["inversion"] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert accuracies["blur"] == [1.0] * LEVELS


def test_the_same_seed_gives_the_same_report(drawn: tuple[Images, Labels]) -> None:
    images, labels = drawn[0][:120], drawn[1][:120]
    model = Nearest(images, labels)
    first, again, other = (stress(model, images, labels, CLASSES, seed) for seed in (3, 3, 4))
    assert first == again == StressReport.model_validate_json(first.model_dump_json())
    assert first.robustness != other.robustness


def test_of_many_images_some_are_used(drawn: tuple[Images, Labels], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "MOST_IMAGES", 100)
    report = stress(Nearest(*drawn), *drawn, CLASSES, 0)
    assert report.images == 100
    assert min(report.counts) >= 9


def test_large_photographs_make_no_large_file() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 150, 120, 3), np.uint8)
    labels = np.array([0, 1] * 3, np.int32)
    report = stress(lambda some: np.full((len(some), 2), 0.5, np.float32), images, labels, "ab", 0)
    assert Image.open(BytesIO(base64.b64decode(report.png))).size == (MOST_PIXELS * 4 // 5, MOST_PIXELS)
    assert len(report.model_dump_json()) < 300_000


def test_calibration_by_hand_and_as_the_verdict_has_it() -> None:
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.35, 0.65], [1.0, 0.0]], np.float32)
    labels = np.array([0, 1, 1, 1], np.int32)
    found = score(probabilities, labels)
    # 0.9, 0.92 and 1.0 are one group, of which one in three is right; 0.65 is alone and right.
    assert found.calibration_error == pytest.approx((0.9 + 0.92 + 1.0 - 1 + (1 - 0.65)) / 4)
    assert found.confidence == pytest.approx((0.9 + 0.92 + 0.65 + 1.0) / 4)
    assert found.accuracy == 0.5
    random = np.random.default_rng(0)
    many, true = softmax(random.normal(0, 2, (500, 4)).astype(np.float32)), random.integers(0, 4, 500, np.int32)
    verdict = judge(np.zeros((500, 2, 2, 1), np.uint8), true, many)
    assert score(many, true).calibration_error == pytest.approx(verdict.calibration_error)
    assert score(many, true).confidence == pytest.approx(verdict.confidence)


def test_a_model_that_is_always_wrong_still_has_an_example() -> None:
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32)
    report = stress(lambda some: np.tile(np.array([[0.0, 1.0]], np.float32), (len(some), 1)), images, labels, "ab", 0)
    assert (report.example, report.robustness) == (0, 0.0)
