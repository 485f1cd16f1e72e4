"""Image files → their classes, by an exported model."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from archsearch.data.contents import Unreadable
from archsearch.data.pictures import read_picture
from archsearch.errors import InputError
from archsearch.export.runtimes import BATCH, Model
from archsearch.printable import printable


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file.

    Attributes:
        file: Its path, as it can be shown (`printable`).
        probabilities: Of each class by name, 0 to 1, in the model's order.
    """

    file: str
    probabilities: dict[str, float]

    @property
    def name(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


def predictions(model: Model, files: Sequence[Path]) -> Iterator[Prediction | Unreadable]:
    """Asks a model for files, a batch in memory at a time; what cannot be read takes its place in the order.

    An image of another size than the model takes is made larger or smaller, its proportions given up, as `--size` does.

    Args:
        model: Loaded (`runtimes.load`).
        files: PNG or JPEG.

    Raises:
        InputError: The model does not say which size it takes.
    """
    described = model.description
    if None in described.sides:
        raise InputError("the model takes images of any size and does not say which one it was trained on")
    shape = described.shape()
    for some in _batches(files):
        read = [read_picture(file, shape) for file in some]
        good = [image for image in read if not isinstance(image, Unreadable)]
        answers = iter(model.predict(np.stack(good))) if good else iter(())
        for file, image in zip(some, read, strict=True):
            if isinstance(image, Unreadable):
                yield image
            else:
                probabilities = dict(zip(described.classes, map(float, next(answers)), strict=True))
                yield Prediction(printable(str(file)), probabilities)


def write_csv(found: Iterable[Prediction | Unreadable], out: TextIO) -> list[Unreadable]:
    """A line a file as it comes: `file,class,confidence`; returns what could not be read."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["file", "class", "confidence"])
    unreadable = []
    for each in found:
        if isinstance(each, Unreadable):
            unreadable.append(each)
        else:
            table.writerow([each.file, each.name, f"{each.probabilities[each.name]:.4f}"])
    return unreadable


def write_json(found: Iterable[Prediction | Unreadable], out: TextIO) -> list[Unreadable]:
    """A list with an object a file: `file`, `class`, `confidence`, `probabilities`; returns what could not be read."""
    every = list(found)
    told = [
        {
            "file": each.file,
            "class": each.name,
            "confidence": round(each.probabilities[each.name], 6),
            "probabilities": {name: round(share, 6) for name, share in each.probabilities.items()},
        }
        for each in every
        if isinstance(each, Prediction)
    ]
    json.dump(told, out, indent=1, ensure_ascii=False)
    out.write("\n")
    return [each for each in every if isinstance(each, Unreadable)]


Writer = Callable[[Iterable[Prediction | Unreadable], TextIO], list[Unreadable]]
WRITERS: dict[str, Writer] = {"csv": write_csv, "json": write_json}


def _batches(files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    waiting = iter(files)
    while some := tuple(islice(waiting, BATCH)):
        yield some
