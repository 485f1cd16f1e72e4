"""What travels between the coordinator and a worker, and nothing else does: plain data that pickles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate


@dataclass(frozen=True)
class TrialJob:
    """One trial's work, complete.

    Attributes:
        trial: Number of the trial in its study.
        candidate: What to train.
        images: Folder of the training `ImageSet`; the test set is elsewhere and is not named here.
        folds: For each fold the indices of its validation images, (n,) int32; all others train.
        seed: Of the initial weights, the order of the images, dropout and augmentation.
        threads: CPU threads the worker may use.
        code: Folder whose Python code the worker may run (`space.code.trust`); None is no code.
    """

    trial: int
    candidate: Candidate | HyperCandidate
    images: Path
    folds: tuple[NDArray[np.int32], ...]
    seed: int
    threads: int = 1
    code: Path | None = None


@dataclass(frozen=True)
class Report:
    """One epoch of one fold is over.

    Attributes:
        trial: Number of the trial.
        fold: From 0.
        epoch: Epochs of this fold that are done, from 1.
        epochs: Epochs this fold will take.
        loss, accuracy: Means over the training images as they were trained on, augmented.
        val_loss, val_accuracy: On the fold's validation images.
        seconds: Wall time of this epoch, validation included.
    """

    trial: int
    fold: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A worker has ended; nothing more comes from it.

    Attributes:
        trial: Number of the trial.
        state: `finished` all folds, `stopped` when told, or `failed`.
        seconds: Wall time of the whole job.
        error: Why it failed; empty otherwise.
        peak_memory: Largest resident size of the worker, in bytes; 0 if unknown.
    """

    trial: int
    state: Literal["finished", "stopped", "failed"]
    seconds: float
    error: str = ""
    peak_memory: int = 0
