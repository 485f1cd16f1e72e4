"""The best candidate, trained on all but the test set; the test set is opened once, here."""

import platform
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.splits import Splits
from archsearch.errors import SearchError
from archsearch.search.folder import StudyFolder, StudyInfo, TestScore, WinnerInfo, write_whole
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate
from archsearch.training.fit import Fold, Score, Trainer

LIBRARIES = ("archsearch", "tensorflow", "keras", "optuna", "numpy")


def retrain(
    folder: StudyFolder,
    info: StudyInfo,
    trial: TrialRecord,
    splits: Splits,
    on_epoch: Callable[[int, int, Score], None] = lambda epoch, epochs, score: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> WinnerInfo | None:
    """Trains `trial`'s candidate by its own recipe, scores it on the test set and saves it in `folder`'s best/.

    Args:
        folder: The study's folder.
        info: What the study is.
        trial: The winner.
        splits: The study's data.
        on_epoch: Called after each epoch with its number from 1, how many there are, and the training score.
        interrupted: Asked between steps; True ends the training before anything is tested or saved.

    Returns:
        What was saved beside the model; None if interrupted.

    Raises:
        TrialError: The training broke down.
        SearchError: The model cannot be saved.
    """

    def check() -> None:
        if interrupted():
            raise _Interrupted

    started = time.perf_counter()
    try:
        trainer = _train(trial.candidate, splits, info.seed, on_epoch, check)
    except _Interrupted:
        return None
    seconds = time.perf_counter() - started
    beside = _saved(folder, trainer)  # before the test set is opened: what cannot be kept is not tested
    opened = datetime.now().astimezone().isoformat(timespec="seconds")
    verdict = trainer.evaluate(splits.test, _all(splits.test))
    before = folder.read_winner()
    winner = WinnerInfo(
        study=folder.path.resolve().name,
        trial=trial.number,
        candidate=trial.candidate,
        classes=info.classes,
        score=trial.score or 0.0,
        standard_error=trial.standard_error,
        parameters=trial.parameters,
        flops=trial.flops,
        trained_on=len(splits.train.labels),
        seed=info.seed,
        seconds=seconds,
        test=TestScore(
            opened=opened,
            trial=trial.number,
            accuracy=verdict.accuracy,
            loss=verdict.loss,
            images=len(splits.test.labels),
        ),
        tested_before=(*before.tested_before, before.test) if before else (),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    )
    write_whole(beside / folder.winner.name, winner.model_dump_json(indent=2))
    shutil.rmtree(folder.model.parent, ignore_errors=True)
    beside.rename(folder.model.parent)
    return winner


class _Interrupted(Exception):
    pass


class _Trained(Protocol):
    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score: ...

    def model(self) -> keras.Model: ...


def _train(
    candidate: Candidate | HyperCandidate,
    splits: Splits,
    seed: int,
    on_epoch: Callable[[int, int, Score], None],
    check: Callable[[], None],
) -> _Trained:
    """Trains on all images of `splits.train`."""
    images, everything = splits.train, _all(splits.train)
    if isinstance(candidate, HyperCandidate):
        from archsearch.training.hyper.trainer import HyperTrainer  # needs KerasTuner, which is an extra

        hyper = HyperTrainer(candidate, seed)
        # A user's `fit` may insist on validation images; here none are held out, so these are trained on, too.
        fold = Fold(images, everything, splits.folds[0], lambda n, of, fitted, *_: on_epoch(n, of, fitted), check)
        hyper.train(fold)
        return hyper
    trainer = Trainer(candidate, len(everything), seed)
    epochs = candidate.recipe.epochs
    for epoch in range(1, epochs + 1):
        on_epoch(epoch, epochs, trainer.epoch(images, everything, check))
    return trainer


def _saved(folder: StudyFolder, trainer: _Trained) -> Path:
    """Writes the model to a folder beside its place, where what is known of it joins it before both are moved."""
    beside = folder.model.parent.with_name(".best.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        trainer.model().save(beside / folder.model.name)
    except (NotImplementedError, TypeError, ValueError) as error:
        shutil.rmtree(beside)
        reason = str(error).strip().split("\n\n")[0].replace("\n", " ")
        raise SearchError(f"{folder.model}: the model cannot be saved, and was not kept: {reason}") from error
    return beside


def _all(images: ImageSet) -> NDArray[np.int32]:
    return np.arange(len(images.labels), dtype=np.int32)
