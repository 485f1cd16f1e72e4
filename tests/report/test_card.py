"""The model's card: figures as they are in the study, and strangers' words without effect."""

import numpy as np
import pytest
from report_studies import PLAN, info, search, winner_of

from archsearch.report.card import card
from archsearch.report.collect import collect
from archsearch.report.data import ReportData
from archsearch.report.markdown import plain
from archsearch.report.stress import StressReport, stress_sentence
from archsearch.report.verdict import judge
from archsearch.search.certificate import Certificate, Exports
from archsearch.search.record import ranking
from archsearch.stress.measure import stress

CLASSES = ("<script>alert(1)</script>", "a|b", "*two*", "three", "four", "five", "six", "seven", "eight", "nine")
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1)).astype(np.uint8)
LABELS = np.arange(60, dtype=np.int32) % 10


def guess(images: np.ndarray) -> np.ndarray:
    scores = np.full((len(images), 10), 0.02, np.float32)
    scores[np.arange(len(images)), images.reshape(len(images), -1).sum(1) % 10] = 0.82
    return scores


@pytest.fixture(scope="module")
def stressed() -> StressReport:
    return stress(guess, IMAGES, LABELS, CLASSES, 0)


def told(stressed: StressReport | None = None, exports: Exports | None = None, **changes: object) -> ReportData:
    kept = search(6)
    probabilities = np.full((360, 10), 0.01, np.float32)
    labels = np.arange(360, dtype=np.int32) % 10
    probabilities[np.arange(360), np.where(labels == 3, 8, labels)] = 0.91
    verdict = judge(np.zeros((360, 8, 8, 1), np.uint8), labels, probabilities)
    winner = winner_of(ranking(kept)[0], 324 / 360)
    changed = info(classes=CLASSES, **changes)
    return collect(changed, kept, winner, PLAN, verdict, stress=stressed, exports=exports)


def test_scores_with_their_intervals() -> None:
    text = card("digits", told())
    assert "| test set, opened once | 90.00 % of 360 images (95 % interval 86.47 % to 92.69 %) |" in text
    assert "| three | 36 | 0.00 % | 0.00 % to 9.64 % | eight (36) |" in text
    assert "points from the truth (expected calibration error)" in text


def test_what_was_not_tested_is_said_to_be_so(stressed: StressReport) -> None:
    assert "Not tested: `archsearch stress reports/digits`" in card("digits", told())
    text = card("digits", told(stressed))
    assert "Not tested" not in text
    assert plain(stress_sentence(stressed)) in text
    assert "| rotation |" in text


def test_exported_files_are_listed() -> None:
    made = Certificate(
        format="onnx",
        numbers="int8",
        file="model.int8.onnx",
        bytes=73_000,
        images=360,
        agreement=0.9985,
        lost=0.0015,
        largest_difference=0.08,
        accuracy=0.9,
        keras_accuracy=0.9,
        load_seconds=0.01,
        latency=5e-5,
        latency_95=6e-5,
        peak_memory=None,
        runtime="onnxruntime 1.32.0",
    )
    exports = Exports(
        study="digits", trial=1, classes=CLASSES, takes="", asked="all 360 test images", made="", files=(made,)
    )
    text = card("digits", told(exports=exports))
    assert "| model.int8.onnx | 73 kB | 99.85 % | 90.00 % | 0.05 ms | onnxruntime 1.32.0 |" in text
    assert "Each was asked for all 360 test images, on one thread." in text


def test_names_have_no_effect(stressed: StressReport) -> None:
    text = card("<b>study</b>", told(stressed))
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text
    assert "a\\|b" in text
    assert "\\*two\\*" in text
    assert plain("a\nb  `c`") == "a b \\`c\\`"


def test_a_model_that_resizes_says_so() -> None:
    text = card("digits", told(size=8))
    assert "take any size and make it 8×8 themselves" in text
    assert "model.resizeInput(0, intArrayOf(1, 8, 8, 1))" in text
    assert "images of 8×8 pixels, grey" in card("digits", told())


def test_there_is_no_card_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was retrained"):
        card("digits", collect(info(), search(3), None))
