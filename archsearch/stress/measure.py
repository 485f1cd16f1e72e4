"""The stress test: the same images again and again, changed more and more; then images of no class."""

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from archsearch.data.corruptions import CORRUPTIONS, LEVELS, Corruption, corrupted, corruptions_for
from archsearch.report.stress import Endured, Level, Outsiders, Score, StressReport
from archsearch.report.verdict import BINS
from archsearch.stress.outsiders import outsiders
from archsearch.training.robustness import Predict, stratified

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]
Probabilities = NDArray[np.float32]

MOST_IMAGES = 2_000
OF_EACH_KIND = 200
"""Images of no class."""
SURE = 0.9
MOST_PIXELS = 60
"""Longer side of the pictures: together they stay below 300 kB."""


def stress(
    predict: Predict, images: Images, labels: Labels, classes: Sequence[str], seed: int, threshold: float = SURE
) -> StressReport:
    """How a model does under each of `CORRUPTIONS`, at each strength, and on images that are of no class.

    Args:
        predict: The model, from (N, H, W, C) uint8 to (N, classes) float32 probabilities.
        images: (N, H, W, C) uint8 that it was not trained on, at least one; at most `MOST_IMAGES` of them are used.
        labels: (N,) int32, their classes.
        classes: Names of the classes, by number.
        seed: 0 or more; decides on the images, and on all that is random.
        threshold: From which probability on the model is sure, 0 to 1: where an application says "not sure", that one.
    """
    chosen = stratified(labels, MOST_IMAGES, seed)
    some, true = np.asarray(images[chosen]), labels[chosen]
    clean = predict(some)
    example = _typical(clean, true)
    suitable = corruptions_for(some)
    return StressReport(
        classes=tuple(classes),
        counts=_counts(true, len(classes)),
        clean=score(clean, true),
        clean_right=_right(clean, true),
        corruptions=tuple(_endured(predict, some, true, each, example, seed) for each in suitable),
        left_out=tuple(
            f"{each.name.capitalize()} is left out: these are no line drawings."
            for each in CORRUPTIONS
            if each not in suitable
        ),
        outsiders=tuple(
            _outsiders(predict, name, strange, threshold)
            for name, strange in outsiders(some, OF_EACH_KIND, seed).items()
        ),
        threshold=threshold,
        example=int(true[example]),
        png=_png(some[example]),
        seed=seed,
    )


def score(probabilities: Probabilities, labels: Labels) -> Score:
    """How good (N, classes) float32 `probabilities` are for (N,) int32 `labels`; the gap is that of `Verdict`."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    # Weighted by images, each group's gap is that of its sums.
    gaps = np.bincount(places, confidence.astype(np.float64) - right, BINS)
    return Score(
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        calibration_error=float(np.abs(gaps).sum() / len(labels)),
    )


def _endured(
    predict: Predict, images: Images, labels: Labels, corruption: Corruption, example: int, seed: int
) -> Endured:
    levels: list[Level] = []
    for level in range(1, LEVELS + 1):
        changed = corrupted(images, corruption, level, seed)
        probabilities = predict(changed)
        levels.append(
            Level(
                **score(probabilities, labels).model_dump(),
                amount=corruption.written(level),
                said=corruption.said(level),
                answer=int(probabilities[example].argmax()),
                png=_png(changed[example]),
            )
        )
    return Endured(name=corruption.name, levels=tuple(levels), right=_right(probabilities, labels))


def _outsiders(predict: Predict, name: str, images: Images, threshold: float) -> Outsiders:
    probabilities = predict(images)
    confidence = probabilities.max(axis=1)
    return Outsiders(
        name=name,
        images=len(images),
        confidence=float(confidence.mean()),
        sure=float((confidence > threshold).mean()),
        answer=int(np.bincount(probabilities.argmax(axis=1)).argmax()),
        png=_png(images[0]),
    )


def _typical(probabilities: Probabilities, labels: Labels) -> int:
    """The image with the middling confidence among those that are named right, or the first if none is."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)
    by_confidence = right[np.argsort(probabilities[right].max(axis=1), kind="stable")]
    return int(by_confidence[len(right) // 2]) if len(right) else 0


def _right(probabilities: Probabilities, labels: Labels) -> tuple[int, ...]:
    """How many of each class are named right."""
    return _counts(labels[probabilities.argmax(axis=1) == labels], probabilities.shape[1])


def _counts(labels: Labels, classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _png(image: Images) -> str:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BOX)
    if picture.mode == "RGB":
        picture = picture.quantize(dither=Image.Dither.NONE)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
