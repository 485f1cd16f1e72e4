"""From which confidence on an answer is given at all; below, the page says that it is not sure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import InputError


@dataclass(frozen=True)
class Threshold:
    """The least confidence of an answer, and what it did to the held-out images.

    Attributes:
        confidence: The probability that the likeliest class must reach, 0 to 1.
        images: How many held-out images there were.
        right: Share of them whose likeliest class is right.
        accepted: Share of them that reach the confidence.
        accepted_right: Share of those that is right.
    """

    confidence: float
    images: int
    right: float
    accepted: float
    accepted_right: float


def calibrate(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> Threshold:
    """The lowest confidence at which answers are wrong at most half as often as they are without any threshold.

    This is selective classification by the likeliest class's probability (Geifman and El-Yaniv, Selective
    Classification for Deep Neural Networks, 2017), with half of the model's own error as the risk aimed at: a fixed
    one, such as 1 %, would silence a model that is right nine times in ten. The risk is the one seen on these images,
    without their bound. A model that made no mistake at all must be as sure as it was of the hardest of them; if no
    confidence halves the error, it is the one with the fewest errors.

    Args:
        probabilities: (N, classes), each row summing to 1, of images that the model was not trained on.
        labels: (N,) the right class of each.

    Raises:
        InputError: There is no image, or not one label for each.
    """
    if len(labels) == 0 or len(labels) != len(probabilities):
        raise InputError(
            f"threshold: found {len(probabilities)} answers and {len(labels)} labels; expected as many, and at least 1"
        )
    confidence = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != labels
    order = np.argsort(-confidence, kind="stable")
    confidence, accepted = confidence[order], np.arange(1, len(order) + 1)
    risk = np.cumsum(wrong[order]) / accepted
    # Images of equal confidence are accepted together or not at all.
    ends = np.flatnonzero(np.append(np.diff(confidence) != 0, True))
    low = ends[risk[ends] <= wrong.mean() / 2]
    last = low[-1] if len(low) else ends[risk[ends].argmin()]
    return Threshold(
        confidence=float(confidence[last]),
        images=len(labels),
        right=float(1 - wrong.mean()),
        accepted=float(accepted[last] / len(labels)),
        accepted_right=float(1 - risk[last]),
    )
