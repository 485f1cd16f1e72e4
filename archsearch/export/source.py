"""What is exported, and which images it is compared on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.data.dataset import Dataset, ImageSet
from archsearch.data.splits import Splits
from archsearch.errors import InputError
from archsearch.export.description import Description
from archsearch.export.own_code import OwnCode, of_space
from archsearch.export.runtimes import Pixels, load
from archsearch.search.folder import StudyFolder, StudyInfo
from archsearch.search.provenance import versions

ASKED, CALIBRATION = 2000, 200
"""Images that a file is asked for, and training images from which int8 learns its ranges."""


@dataclass(frozen=True)
class Source:
    """A trained model and what goes with it.

    Attributes:
        file: A `.keras` file from raw pixels to class probabilities.
        description: What is to travel in the exported files.
        images: (N, H, W, C) uint8, which they are asked for.
        labels: (N,) int, or None if the classes are not known.
        asked: Which images these are, in words.
        calibration: (N, H, W, C) uint8 from training.
        code: Where layers of the model's own are defined, if it has any.
    """

    file: Path
    description: Description
    images: Pixels
    labels: NDArray[np.int32] | None
    asked: str
    calibration: Pixels
    code: OwnCode | None = None


def of_study(folder: StudyFolder, info: StudyInfo, splits: Splits) -> Source:
    """A study's retrained model, compared on images of its test set, which was opened when it was retrained."""
    winner = folder.read_winner()
    images, labels, asked = _some(splits.test, "test")
    return Source(
        file=folder.model,
        description=Description(
            classes=info.classes,
            height=None if info.size else info.task.height,
            width=None if info.size else info.task.width,
            channels=info.task.channels,
            size=info.size,
            study=folder.path.resolve().name,
            trial=winner.trial if winner else None,
            version=versions()["archsearch"],
        ),
        images=images,
        labels=labels,
        asked=asked,
        calibration=splits.train.images[_places(len(splits.train.labels), CALIBRATION)],
        code=of_space(info.space_file),
    )


def of_file(file: Path, data: Dataset | None) -> Source:
    """A `.keras` file, compared on the test images of `data`, or its training images if it has none.

    Without data it is compared on random pixels, and its classes have no names but those that the file says itself.

    Raises:
        InputError: It is no model, or does not take such images.
    """
    described = load(file).description
    if data is None:
        pixels = np.random.default_rng(0).integers(0, 256, (CALIBRATION, *described.shape())).astype(np.uint8)
        return Source(file, described, pixels, None, f"{len(pixels)} images of random pixels", pixels)
    fitting(file, described, data)
    kind, chosen = ("test", data.test) if data.test is not None else ("training", data.train)
    images, labels, asked = _some(chosen, kind)
    named = Description(data.classes, described.height, described.width, described.channels)
    calibration = data.train.images[_places(len(data.train.labels), CALIBRATION)]
    return Source(file, named, images, labels, asked, calibration)


def fitting(file: Path, described: Description, data: Dataset) -> None:
    """Raises InputError if a model does not take such images, or has other classes."""
    found = data.train.images.shape[1:]
    taken = described.shape(*found[:2])
    if found != taken or len(data.classes) != len(described.classes):
        raise InputError(
            f"{file}: takes images {_shape(taken)} of {len(described.classes)} classes, and {data.source} has "
            f"{_shape(found)} of {len(data.classes)}; name the data it was trained on"
        )


def _some(images: ImageSet, kind: str) -> tuple[Pixels, NDArray[np.int32], str]:
    places = _places(len(images.labels), ASKED)
    of = f"{len(images.labels):,} {kind} images"
    return (
        images.images[places],
        images.labels[places],
        f"{len(places):,} of the {of}" if len(places) < len(images.labels) else f"all {of}",
    )


def _places(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of `count` places, always the same ones, in ascending order."""
    return np.arange(count) if count <= most else np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def _shape(shape: tuple[int | None, ...]) -> str:
    return "×".join(map(str, shape))
