"""What a data source holds, and what about it would spoil a search or flatter its scores."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsearch.data.contents import Shape, Unreadable, listing
from archsearch.data.dataset import Dataset, ImageSet
from archsearch.data.sources import find_problems, read_source

IMBALANCED = 10.0
"""Ratio of the largest to the smallest class from which on accuracy says little about the smallest."""

EXAMPLES = 5


@dataclass(frozen=True)
class ClassCount:
    """How many images of one class there are; `test` is 0 where no test set was given."""

    name: str
    train: int
    test: int


@dataclass(frozen=True)
class Duplicates:
    """Images that equal an earlier one, pixel by pixel.

    Attributes:
        count: How many.
        examples: The first few, as (index of the original in train, index of the duplicate).
    """

    count: int
    examples: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DataCheck:
    """What `check_data` found. Images that cannot be read are in no count.

    Attributes:
        source: Name of the source, or its absolute path.
        fingerprint: Of all images, labels and class names.
        shape: (height, width, channels) of every image, once converted.
        train_images: How many there are.
        test_images: How many there are in the test set that the source came with; 0 if there is none.
        classes: By label.
        imbalance: Images of the largest class for one of the smallest, in train; infinite if that has none.
        duplicates: Within train.
        contradictions: Those among `duplicates` whose label is not that of their original.
        leaks: Test images that are also in train; the second index counts in test.
        unreadable: Image files that cannot be decoded, all of them.
        problems: Why no search can be run on this data, a sentence each; empty if one can.
        warnings: What would flatter or blur the scores, a sentence each.
    """

    source: str
    fingerprint: str
    shape: Shape
    train_images: int
    test_images: int
    classes: tuple[ClassCount, ...]
    imbalance: float
    duplicates: Duplicates
    contradictions: Duplicates
    leaks: Duplicates
    unreadable: tuple[Unreadable, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def check_data(source: str | Path, size: int | None = None, cache: Path | None = None) -> DataCheck:
    """Reads a source as `load_data` does, and judges it instead of refusing it.

    Raises:
        DataError: There is nothing to judge: the source is missing, is not what its suffix says, none of its images can
            be read, they differ in shape, or the test set has labels that no training image has.
    """
    dataset, unreadable = read_source(source, size, cache)
    _, height, width, channels = dataset.train.images.shape
    classes = _class_counts(dataset)
    counts = [entry.train for entry in classes]
    imbalance = max(counts) / min(counts) if min(counts) else float("inf")
    train = _hashes(dataset.train)
    first = {digest: index for index, digest in reversed(list(enumerate(train)))}
    twins = [(first[digest], index) for index, digest in enumerate(train) if first[digest] != index]
    labels = dataset.train.labels
    contradictions = _duplicates([(a, b) for a, b in twins if labels[a] != labels[b]])
    leaks = _duplicates([(first[d], i) for i, d in enumerate(_hashes(dataset.test)) if d in first])
    return DataCheck(
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        shape=(height, width, channels),
        train_images=len(dataset.train),
        test_images=len(dataset.test) if dataset.test is not None else 0,
        classes=classes,
        imbalance=imbalance,
        duplicates=_duplicates(twins),
        contradictions=contradictions,
        leaks=leaks,
        unreadable=unreadable,
        problems=find_problems(dataset, unreadable),
        warnings=_warnings(classes, imbalance, len(twins), contradictions.count, leaks.count),
    )


def _class_counts(dataset: Dataset) -> tuple[ClassCount, ...]:
    size = len(dataset.classes)
    train = np.bincount(dataset.train.labels, minlength=size).tolist()
    test = np.bincount(dataset.test.labels, minlength=size).tolist() if dataset.test is not None else [0] * size
    return tuple(ClassCount(*entry) for entry in zip(dataset.classes, train, test, strict=True))


def _hashes(images: ImageSet | None) -> list[bytes]:
    if images is None:
        return []
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images.images]


def _duplicates(pairs: list[tuple[int, int]]) -> Duplicates:
    return Duplicates(len(pairs), tuple(pairs[:EXAMPLES]))


def _warnings(
    classes: tuple[ClassCount, ...], imbalance: float, twins: int, contradictions: int, leaks: int
) -> tuple[str, ...]:
    largest, smallest = max(classes, key=lambda c: c.train), min(classes, key=lambda c: c.train)
    tested = sum(entry.test for entry in classes)
    untested = [entry.name for entry in classes if tested and not entry.test]
    candidates = (
        (
            imbalance >= IMBALANCED,
            f"class '{largest.name}' has {largest.train} training images and class '{smallest.name}' {smallest.train}: "
            "accuracy will say little about the smaller one",
        ),
        (
            twins > 0,
            f"{twins} training images are exact duplicates of others: where the two fall into different folds, "
            "a model is judged on what it was trained on",
        ),
        (
            contradictions > 0,
            f"{contradictions} of these duplicates have another label than their original: one of the two is wrong",
        ),
        (
            leaks > 0,
            f"{leaks} of {tested} test images are also training images: the test score will be too good",
        ),
        (
            bool(untested),
            f"the test set has no images of {listing(untested)}: the test score will say nothing about them",
        ),
    )
    return tuple(sentence for holds, sentence in candidates if holds)
