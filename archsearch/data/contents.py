"""What a reader hands to the conversion: everything known about a source, its images still undecoded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from archsearch.errors import DataError
from archsearch.printable import is_printable, printable

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]
"""Height, width, channels (1 or 3)."""


class Unreadable(NamedTuple):
    """An image file that cannot be decoded: its path within the source, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Part:
    """A source's training or test images.

    Attributes:
        labels: One for each image, in 0..classes - 1.
        images: (height, width, channels) uint8 each, decoded as they are asked for; can be gone through once.
    """

    labels: Sequence[int]
    images: Iterable[Pixels | Unreadable]


@dataclass(frozen=True)
class Contents:
    """What a reader found; every image has `shape`."""

    classes: tuple[str, ...]
    shape: Shape
    train: Part
    test: Part | None


def resized(picture: Image.Image, size: int) -> Image.Image:
    """An image in mode L or RGB as a square, proportions given up; averages over all pixels where it shrinks."""
    return picture.resize((size, size), Image.Resampling.BILINEAR)


def require_printable(where: str, names: Iterable[str]) -> None:
    """Raises DataError for the name of a class that a terminal or a page could not show as it is."""
    for name in names:
        if not is_printable(name):
            raise DataError(
                f"{where}: found a class with the name '{printable(name)}'; expected one without control characters, "
                "line ends and marks of direction: rename it"
            )


def listing(items: Iterable[object], limit: int = 10) -> str:
    """The first items and how many more there are, for a message."""
    texts = [str(item) for item in items]
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "")


def unknown_classes(where: str, unknown: Iterable[object], known: Iterable[object]) -> DataError:
    """For a test set that has labels the training images lack."""
    return DataError(
        f"{where}: no training image has the test labels {listing(unknown)}; expected only {listing(known)}"
    )
