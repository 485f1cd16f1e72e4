"""What a model gets right and wrong on images with known classes: plain data, worked out once when they are opened."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

MOST_MISTAKES = 24
"""So many wrong answers are kept as pictures, the most confident ones."""
MOST_PIXELS = 96
"""Their longer side; larger ones are made smaller."""
BINS = 10
LEAST_PROBABILITY = 1e-7
"""As Keras clips them."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mistake(_Data):
    """An image whose class was named wrong.

    Attributes:
        image: Its place in the set.
        label: Its class, by number.
        answer: What it was taken for.
        confidence: The probability that the model gave its answer, 0 to 1.
        png: The picture, a PNG file in base64.
    """

    image: int
    label: int
    answer: int
    confidence: float
    png: str


class Bin(_Data):
    """Answers that were given with about the same confidence; means are 0 to 1."""

    images: int
    confidence: float
    accuracy: float


class Verdict(_Data):
    """How the answers were.

    Attributes:
        confusion: For each class a row: how many of its images were taken for each class.
        bins: By confidence, ascending; empty ones are left out.
        mistakes: The most confident ones first, at most `MOST_MISTAKES`.
    """

    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def accuracy(self) -> float:
        """Share of the images that are named right, 0 to 1."""
        right = sum(row[label] for label, row in enumerate(self.confusion))
        return right / sum(map(sum, self.confusion))

    @property
    def calibration_error(self) -> float:
        """Mean gap between confidence and accuracy, weighted by images, 0 to 1 (ECE, Guo et al. 2017,
        https://arxiv.org/abs/1706.04599)."""
        images = sum(each.images for each in self.bins)
        return sum(each.images * abs(each.confidence - each.accuracy) for each in self.bins) / images

    @property
    def confidence(self) -> float:
        """Mean confidence of all answers, 0 to 1."""
        return sum(each.images * each.confidence for each in self.bins) / sum(each.images for each in self.bins)


def judge(images: NDArray[np.uint8], labels: NDArray[np.int32], probabilities: NDArray[np.float32]) -> Verdict:
    """How good the answers of a model are.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int32, the true classes.
        probabilities: (n, classes) float32, what the model says of each image.
    """
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = answers == labels
    wrong = np.flatnonzero(~right)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:MOST_MISTAKES]]
    classes = probabilities.shape[1]
    counted = np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    return Verdict(
        confusion=tuple(tuple(int(count) for count in row) for row in counted),
        bins=_bins(confidence, right),
        mistakes=tuple(
            Mistake(
                image=int(place),
                label=int(labels[place]),
                answer=int(answers[place]),
                confidence=float(confidence[place]),
                png=_png(images[place]),
            )
            for place in worst
        ),
    )


def mean_loss(probabilities: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Mean cross-entropy in nats of (n, classes) `probabilities` for (n,) `labels`; one image costs 16.1 at most."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(given, LEAST_PROBABILITY)).mean())


def _bins(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    places = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return tuple(
        Bin(
            images=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for inside in (places == place for place in range(BINS))
        if inside.any()
    )


def _png(image: NDArray[np.uint8]) -> str:
    file = BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
