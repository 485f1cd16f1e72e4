"""What a data set says about the search space that suits it."""

import re
from pathlib import Path

import numpy as np

from archsearch.data.dataset import Dataset
from archsearch.data.splits import TEST_SHARE
from archsearch.space.suggest import Suggestion, suggest


def name_of(source: str) -> str:
    """What a space or a study of a data source may be called: `photos` for ../photos/ or photos.npz."""
    stem = Path(source).resolve().stem if Path(source).exists() else source
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "images"


def images_in_a_fold(data: Dataset, folds: int) -> int:
    """How many images train in each of `folds`, about: the test set, and one part of the rest, are held out."""
    kept = len(data.train) * (1.0 if data.test is not None else 1.0 - TEST_SHARE)
    return max(round(kept * (folds - 1) / folds), 1)


def suggest_space(data: Dataset, folds: int, file: str) -> Suggestion:
    """A space for `data`.

    Args:
        data: What it is for.
        folds: Of the cross-validation: how many images train in a fold depends on it.
        file: Where the space will be written.
    """
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    imbalance = float(counts.max() / max(counts.min(), 1))
    return suggest(name_of(data.source), data.task, images_in_a_fold(data, folds), imbalance, file)
