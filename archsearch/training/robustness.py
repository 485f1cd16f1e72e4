"""How much of its accuracy a model keeps when images are not as clean as those it was trained on, in one number."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from archsearch.data.corruptions import LEVELS, corrupted, corruptions_for

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]
Probabilities = NDArray[np.float32]
Predict = Callable[[Images], Probabilities]
"""(N, H, W, C) uint8 to (N, classes) float32 probabilities."""

MOST_IMAGES = 256
MIDDLE = (LEVELS + 1) // 2


def robustness(predict: Predict, images: Images, labels: Labels, seed: int) -> float:
    """Mean accuracy over all corruptions, each at its middle strength: cheap enough for the end of a fold.

    Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261, without their weights, which are another network's
    errors. `stress` measures the same at all strengths.

    Args:
        predict: The model.
        images: (N, H, W, C) uint8 that it was not trained on, at least one; at most `MOST_IMAGES` of them are used.
        labels: (N,) int32, their classes.
        seed: 0 or more; decides on the images, and on what is random in the corruptions.

    Returns:
        0 to 1.
    """
    chosen = stratified(labels, MOST_IMAGES, seed)
    some, true = images[chosen], labels[chosen]
    changed = (corrupted(some, corruption, MIDDLE, seed) for corruption in corruptions_for(some))
    return float(np.mean([np.mean(predict(each).argmax(axis=1) == true) for each in changed]))


def stratified(labels: Labels, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of (N,) `labels`, of each class as large a share as of all: their indices, ascending."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    evenly = np.arange(min(most, len(labels))) * len(labels) // min(most, len(labels))
    return np.sort(by_class[evenly])
