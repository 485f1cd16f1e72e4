"""What travels between the coordinator and a worker, and nothing else does: plain data that pickles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate

Cause = Literal["exception", "not a number", "out of memory", "stalled", "worker lost"]
"""Why a job failed: its model or its code raised something; its loss was no number any more; the kernel or TensorFlow
found no memory; it made no step for too long; its process or machine was killed, by something else than these."""

CHECKED = 2000
"""At most so many held-out images are scored before a fold is over; at its end all are."""


@dataclass(frozen=True)
class Score:
    """Mean loss in nats, and share of images whose class was named right."""

    loss: float
    accuracy: float


class Point(NamedTuple):
    """How far the training has come.

    Attributes:
        epoch: Passes over the training images so far; 0.25 is a quarter of the first.
        epochs: How many there will be; `epoch` reaches it exactly.
        images: Trained on so far, each as often as it was.
        fitted: Means over the images since the last point, as they were trained on.
        scored: On held-out images; at most `CHECKED` of them before the end, None if none are held out.
        seconds: Wall time since the last point, scoring included.
    """

    epoch: float
    epochs: float
    images: int
    fitted: Score
    scored: Score | None
    seconds: float


@dataclass(frozen=True)
class TrialJob:
    """One trial's work, complete.

    Attributes:
        trial: Number of the trial in its study.
        candidate: What to train.
        images: Folder of the training `ImageSet`; the test set is elsewhere and is not named here.
        folds: For each fold the indices of its validation images, (n,) int32; all others train.
        begin: The first fold to train; those before it have been trained already.
        points: When each fold is scored and reported, as shares of its training, ascending, above 0; its end is always
            one.
        seed: Of the initial weights, the order of the images, dropout and augmentation.
        threads: CPU threads the worker may use.
        latency: Whether to measure how long one image takes.
        robustness: Whether to measure, at the end of each fold, what is named right of changed images.
        code: Folder whose Python code the worker may run (`space.code.trust`); None is no code.
    """

    trial: int
    candidate: Candidate | HyperCandidate
    images: Path
    folds: tuple[NDArray[np.int32], ...]
    points: tuple[float, ...]
    seed: int
    threads: int = 1
    latency: bool = False
    robustness: bool = False
    code: Path | None = None
    begin: int = 0


@dataclass(frozen=True)
class Report:
    """How far one fold has come.

    Attributes:
        trial: Number of the trial.
        fold: From 0.
        epoch: Passes over the fold's training images so far; 0.25 is a quarter of the first.
        epochs: Passes this fold will take; `epoch` reaches it exactly.
        images: That the fold has trained on so far, each as often as it did.
        loss, accuracy: Means over the training images since the last report, as they were trained on, augmented.
        val_loss, val_accuracy: On the fold's validation images, or some of them while it is not over.
        seconds: Wall time since the last report, validation included.
        latency: Seconds that the network takes for one image (`training.latency`); None if that is not wanted.
        robustness: What it names right of changed images (`training.robustness`), 0 to 1; None if that is not wanted,
            or the fold is not over.
    """

    trial: int
    fold: int
    epoch: float
    epochs: float
    images: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    latency: float | None = None
    robustness: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether the fold is over."""
        return self.epoch == self.epochs

    @property
    def share(self) -> float:
        """Share of the fold's training that is over."""
        return self.epoch / self.epochs


@dataclass(frozen=True)
class Outcome:
    """A worker has ended; nothing more comes from it.

    Attributes:
        trial: Number of the trial.
        state: `finished` all folds, `stopped` when told, or `failed`.
        seconds: Wall time of the whole job.
        error: Why it failed, in a sentence; empty otherwise.
        cause: The kind of failure; None otherwise.
        peak_memory: Largest resident size of the worker, in bytes; 0 if unknown.
    """

    trial: int
    state: Literal["finished", "stopped", "failed"]
    seconds: float
    error: str = ""
    cause: Cause | None = None
    peak_memory: int = 0
