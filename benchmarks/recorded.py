"""Recorded curves (`record.py`) as arrays."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.space.sample import Scalar

CURVES = Path(__file__).parent / "curves"
SHORT, LONG = 0, 1
"""The two lengths of training that are recorded."""
SEEDS = 3
"""Of the long training, that the better architectures are recorded with."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """What is recorded of one; times are in processor seconds.

    Attributes:
        point: What was drawn, by parameter.
        parameters: As Keras counts them.
        screening: Score of the untrained network and what it takes to find, by the name of the score.
        accuracy: (lengths, seeds, folds, shares) float64, 0 to 1; NaN where nothing was recorded.
        start: To build and trace.
        train: To train on an image, by length.
        score: To score a fold's held-out images.
    """

    point: Mapping[str, Scalar]
    parameters: int
    screening: Mapping[str, tuple[float, float]]
    accuracy: NDArray[np.float64]
    start: float
    train: tuple[float, float]
    score: float

    def curves(self, length: int, seed: int) -> NDArray[np.float64]:
        """(folds, shares) float64; those of the first seed where nothing was recorded with `seed`."""
        missing = bool(np.isnan(self.accuracy[length, seed]).any())
        found: NDArray[np.float64] = self.accuracy[length, 0 if missing else seed]
        return found

    @property
    def quality(self) -> float:
        """Mean accuracy at the end of the long training, over folds and seeds."""
        return float(np.nanmean(self.accuracy[LONG, :, :, -1]))


@dataclass(frozen=True, eq=False)
class Table:
    """A recording.

    Attributes:
        name: Of the space, and of the folder.
        architectures: Those with both lengths recorded.
        shares: Of a training, at which it was scored; ascending, the last is 1.
        epochs: Of the two lengths.
        images: That a fold trains on in one epoch.
        held_out: Images that a fold is scored on.
    """

    name: str
    architectures: tuple[Architecture, ...]
    shares: tuple[float, ...]
    epochs: tuple[float, float]
    images: int
    held_out: int

    @property
    def folds(self) -> int:
        """Into how many the images are cut."""
        return int(self.architectures[0].accuracy.shape[2])

    def train_seconds(self, architecture: Architecture, length: int, share: float) -> float:
        """To train for `share` of one fold's training."""
        return architecture.train[length] * self.epochs[length] * self.images * share

    def typical_seconds(self) -> float:
        """Half of all architectures take less for a long training on all folds, start and scoring included."""
        return float(
            np.median([a.start + self.folds * (self.train_seconds(a, LONG, 1.0) + a.score) for a in self.architectures])
        )


def read_table(name: str, folder: Path = CURVES) -> Table:
    """The recording `name` in `folder`; what is complete of it."""
    drawn, runs = (_rows(folder / name / f"{part}.csv") for part in ("architectures", "runs"))
    screened = {row["architecture"]: row for row in _rows(folder / name / "screening.csv")}
    shares = [column for column in runs[0] if column.startswith("at ")]
    short, long = sorted({float(row["epochs"]) for row in runs})
    folds = 1 + max(int(row["fold"]) for row in runs)
    accuracy = np.full((len(drawn), 2, SEEDS, folds, len(shares)), np.nan)
    times: dict[tuple[int, int], list[dict[str, str]]] = {}
    for row in runs:
        number, length, seed = int(row["architecture"]), int(float(row["epochs"]) == long), int(row["seed"])
        accuracy[number, length, seed, int(row["fold"])] = [float(row[share]) for share in shares]
        if seed == 0:
            times.setdefault((number, length), []).append(row)
    architectures = tuple(
        Architecture(
            point=json.loads(row["point"]),
            parameters=int(row["parameters"]),
            screening=_scores(screened[row["architecture"]]),
            accuracy=accuracy[number],
            start=float(np.mean([float(times[number, length][0]["start"]) for length in (SHORT, LONG)])),
            train=(_mean(times[number, SHORT], "train") / 1000, _mean(times[number, LONG], "train") / 1000),
            score=_mean(times[number, LONG], "score"),
        )
        for number, row in enumerate(drawn)
        if not np.isnan(accuracy[number, :, 0]).any()
    )
    return Table(
        name=name,
        architectures=architectures,
        shares=tuple(_share(column) for column in shares),
        epochs=(short, long),
        images=int(drawn[0]["images"]),
        held_out=int(drawn[0]["held_out"]),
    )


def _share(column: str) -> float:
    return float(column.removeprefix("at "))


def _scores(row: dict[str, str]) -> dict[str, tuple[float, float]]:
    names = [column.removesuffix(" seconds") for column in row if column.endswith(" seconds")]
    return {name: (float(row[name]), float(row[f"{name} seconds"])) for name in names}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _mean(rows: list[dict[str, str]], column: str) -> float:
    return float(np.mean([float(row[column]) for row in rows]))
