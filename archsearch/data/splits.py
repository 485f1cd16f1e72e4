"""The test set first, then the folds: who is trained on, who judges, and who is kept for the end.

Decided once a study, from the data and a seed alone.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archsearch.data.cache import cache_folder, make_once
from archsearch.data.dataset import Dataset, ImageSet
from archsearch.errors import DataError

TEST_SHARE = 0.15
FORMAT = 1
"""Of a split in the cache; to be raised when it is made differently."""

PARTS, LARGE_PARTS, LARGE = 5, 10, 20_000
"""A data set is cut into five folds, from so many images on into ten."""

Indices = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Splits:
    """A study's data, apart.

    Attributes:
        train: What is searched and cross-validated on.
        test: What is opened once, at the end; in a folder of its own, which no worker is told of.
        test_origin: `given` by the source, or a `stratified` 15 % of it.
        folds: For each fold the indices of its validation images in `train`, (n,) int32, ascending. Each image is in
            exactly one fold.
        folds_hash: Sixteen hexadecimal digits of a hash of `folds`.
    """

    train: ImageSet
    test: ImageSet
    test_origin: Literal["given", "stratified"]
    folds: tuple[Indices, ...]
    folds_hash: str


def parts_for(dataset: Dataset) -> int:
    """Into how many folds a data set is best cut: small parts of a large one, as they leave more to train on.

    Each class has an image in every fold, if there are two of it.
    """
    kept = len(dataset.train) * (1.0 if dataset.test is not None else 1.0 - TEST_SHARE)
    rarest = int(np.bincount(dataset.train.labels, minlength=len(dataset.classes)).min() * kept / len(dataset.train))
    return max(2, min(LARGE_PARTS if kept >= LARGE else PARTS, rarest))


def make_splits(dataset: Dataset, folds: int, seed: int, cache: Path | None = None) -> Splits:
    """Sets a test set aside unless there is one, and cuts the rest into stratified folds.

    Args:
        dataset: From `load_data`.
        folds: How many, 2 or more.
        seed: In 0..2**32 - 1. Equal data, folds and seed give equal splits.
        cache: Folder for the two parts of a split; as in `load_data`.

    Raises:
        DataError: Fewer than 2 folds, or a class with too few images for them or for the test set.
    """
    if folds < 2:
        raise DataError(
            f"folds: found {folds}; expected 2 or more, as each is judged by what the others were trained to"
        )
    if dataset.test is not None:
        _require_enough(dataset, dataset.train.labels, folds)
        return _splits(dataset.train, dataset.test, "given", folds, seed)
    labels = dataset.train.labels
    aside = _test_indices(labels, seed)
    kept = np.setdiff1d(np.arange(len(labels), dtype=np.int32), aside)
    _require_tested(dataset, labels[aside])
    _require_enough(dataset, labels[kept], folds)
    train, test = _write_apart(dataset, {"train": kept, "test": aside}, seed, cache_folder(cache))
    return _splits(train, test, "stratified", folds, seed)


def _splits(train: ImageSet, test: ImageSet, origin: Literal["given", "stratified"], folds: int, seed: int) -> Splits:
    from sklearn.model_selection import StratifiedKFold  # two seconds that only a split should cost

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    chosen = tuple(held_out.astype(np.int32) for _, held_out in splitter.split(np.zeros(len(train)), train.labels))
    digest = hashlib.sha256()
    for fold in chosen:
        digest.update(len(fold).to_bytes(8, "little") + fold.astype("<i4").tobytes())
    return Splits(train, test, origin, chosen, digest.hexdigest()[:16])


def _test_indices(labels: Indices, seed: int) -> Indices:
    """A stratified share of the images, ascending; at least as many as there are classes."""
    from sklearn.model_selection import train_test_split

    count = max(math.ceil(len(labels) * TEST_SHARE), len(np.unique(labels)))
    everything = np.arange(len(labels), dtype=np.int32)
    _, chosen = train_test_split(everything, test_size=count, stratify=labels, random_state=seed)
    return np.sort(chosen)


def _require_tested(dataset: Dataset, tested: Indices) -> None:
    enough = math.ceil(1 / TEST_SHARE)
    for name, all_of_it, count in zip(dataset.classes, *_counts(dataset, dataset.train.labels, tested), strict=True):
        if not count:
            raise DataError(
                f"{dataset.source}: class '{name}' has {all_of_it} images, and none falls into the test set of "
                f"{TEST_SHARE:.0%}; expected {enough} or more: add some, take the class away, or give a test set"
            )


def _require_enough(dataset: Dataset, kept: Indices, folds: int) -> None:
    for name, all_of_it, count in zip(dataset.classes, *_counts(dataset, dataset.train.labels, kept), strict=True):
        if count < folds:
            aside = f", {count} of them once the test set is set aside" if count < all_of_it else ""
            fewer = f"ask for {count} folds, " if count >= 2 else ""
            raise DataError(
                f"{dataset.source}: class '{name}' has {all_of_it} training images{aside}; expected one or more for "
                f"each of {folds} folds: {fewer}add some, or take the class away"
            )


def _counts(dataset: Dataset, *labels: Indices) -> list[list[int]]:
    return [np.bincount(some, minlength=len(dataset.classes)).tolist() for some in labels]


def _write_apart(dataset: Dataset, parts: dict[str, Indices], seed: int, cache: Path) -> tuple[ImageSet, ImageSet]:
    """Copies both parts into folders of their own: whoever is given the one has nothing of the other."""
    images, labels = dataset.train.images, dataset.train.labels
    _, height, width, channels = images.shape

    def fill(folder: Path) -> None:
        for name, indices in parts.items():
            samples = ((images[index], int(labels[index])) for index in indices)
            ImageSet.write(folder / name, (height, width, channels), samples)

    folder = make_once(cache / "splits" / f"{dataset.fingerprint}-{seed}-{FORMAT}", fill)
    return ImageSet.open(folder / "train"), ImageSet.open(folder / "test")
