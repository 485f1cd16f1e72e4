"""The best candidate, trained on all but the test set; the test set is opened once, here."""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from errno import ENOSPC
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.splits import Splits
from archsearch.errors import ArchsearchError, SearchError, TrialError, what_broke
from archsearch.files import sync, write_whole
from archsearch.report.verdict import Verdict, judge, mean_loss
from archsearch.search.budget import image_seconds, retraining_seconds, retraining_speed
from archsearch.search.config import TRIAL_TIMEOUT, cores
from archsearch.search.executors.processes import configure_tensorflow, end, how_ended, start
from archsearch.search.executors.worker import ALIVE, TOLD_SECONDS
from archsearch.search.folder import StudyFolder, StudyInfo, TestScore, WinnerInfo
from archsearch.search.provenance import versions
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Candidate
from archsearch.space.code import trust, trusted_folder
from archsearch.space.hyper import HyperCandidate
from archsearch.training.branches import branches_for, threads_for
from archsearch.training.environment import stderr_to
from archsearch.training.job import Point

if TYPE_CHECKING:
    from archsearch.training.fit import Trainer
    from archsearch.training.hyper.trainer import HyperTrainer

logger = logging.getLogger(__name__)

POINTS = tuple(tenth / 10 for tenth in range(1, 11))
"""When the retraining tells how far it has come."""
POLL_SECONDS = 0.2
LATE_SECONDS = 30.0
"""A retraining that is to be over, and has not been heard of for so long, is killed: it may be saving and testing."""
LEAST, LEAST_SECONDS = 1 / 6, 1.0
"""Share of its time that a retraining gets even if all time is over, and so many seconds: a network that was hardly
trained is no winner."""


def retrain(
    folder: StudyFolder,
    info: StudyInfo,
    trial: TrialRecord,
    splits: Splits,
    tested: Callable[[TestScore], None],
    epochs: float | None = None,
    on_point: Callable[[Point], None] = lambda point: None,
    interrupted: Callable[[], bool] = lambda: False,
    until: float | None = None,
    timeout: float = TRIAL_TIMEOUT,
) -> WinnerInfo | None:
    """Trains `trial`'s candidate, scores it on the test set and saves it in `folder`'s best/.

    All of that happens in a process of its own, with all cores; if it is killed, once more.

    Args:
        folder: The study's folder.
        info: What the study is.
        trial: The winner.
        splits: The study's data.
        tested: Told what the test set says of the model, before anything is kept of either.
        epochs: For how long; None is as long as in the trial.
        on_point: Told a few times how far the training has come.
        interrupted: Asked a few times a second; True ends the training before anything is tested or saved.
        until: When the training has to be over, by `time.monotonic`: if need be it goes through its recipe faster,
            but takes `LEAST` of its time at least.
        timeout: Seconds without a training step after which the process is killed.

    Returns:
        What was saved beside the model; None if interrupted.

    Raises:
        TrialError: The training broke down.
        SearchError: The process was killed twice, hangs, or the model cannot be saved.
    """
    finish_replacing(folder)
    beside, old = _new_and_old(folder)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    candidate = trial.candidate
    if isinstance(candidate, Candidate) and epochs is not None:
        candidate = candidate.trained_for(epochs)
    work = _Work(
        candidate=candidate,
        train=splits.train.path,
        images=len(splits.train.labels),
        flops=trial.flops,
        test=splits.test.path,
        held_out=splits.folds[0],
        seed=info.seed,
        threads=cores(),
        until=until,
        least=max(LEAST * _whole_seconds(trial, epochs, len(splits.train.labels)), LEAST_SECONDS),
        model=beside / folder.model.name,
        code=trusted_folder(),
    )
    try:
        done = _done(folder, work, on_point, interrupted, timeout)
        if done is None:
            return None
        winner, verdict = _judged(folder, info, trial, splits, done)
        tested(winner.test)
        write_whole(beside / folder.winner.name, winner.model_dump_json(indent=2))
        write_whole(beside / folder.verdict.name, verdict.model_dump_json())
        sync(beside)
        shutil.rmtree(old, ignore_errors=True)
        if folder.best.exists():
            folder.best.rename(old)
        beside.rename(folder.best)
        shutil.rmtree(old, ignore_errors=True)
        return winner
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def finish_replacing(folder: StudyFolder) -> None:
    """Puts a model in its place whose process was killed between the two renamings of `retrain`."""
    beside, old = _new_and_old(folder)
    if old.exists() and not folder.best.exists():
        (beside if beside.exists() else old).rename(folder.best)


def _new_and_old(folder: StudyFolder) -> tuple[Path, Path]:
    """Where a new model is made, and where the one before it lies while it takes its place."""
    best = folder.best
    return best.with_name(f".{best.name}.tmp"), best.with_name(f".{best.name}.old.tmp")


def _done(
    folder: StudyFolder,
    work: "_Work",
    on_point: Callable[[Point], None],
    interrupted: Callable[[], bool],
    timeout: float,
) -> "_Done | None":
    """What a process that does `work` says in the end, the second one if the first is killed; None if interrupted."""
    said, ended = _in_a_process(work, on_point, interrupted, timeout)
    if said is None and not interrupted():
        logger.warning("the process that retrains %s; it is tried again", ended)
        said, ended = _in_a_process(work, on_point, interrupted, timeout)
    if isinstance(said, ArchsearchError):
        raise said
    if said is None and not interrupted():
        raise SearchError(
            f"{folder.path}: the process that retrains has failed twice: it {ended}; nothing was saved or tested, "
            "'archsearch retrain' tries again"
        )
    return said


def _judged(
    folder: StudyFolder, info: StudyInfo, trial: TrialRecord, splits: Splits, done: "_Done"
) -> tuple[WinnerInfo, Verdict]:
    labels = splits.test.labels
    verdict = judge(splits.test.images, labels, done.probabilities)
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
        epochs=done.epochs,
        seed=info.seed,
        seconds=done.seconds,
        test=TestScore(
            opened=done.opened,
            trial=trial.number,
            accuracy=verdict.accuracy,
            loss=mean_loss(done.probabilities, labels),
            images=len(labels),
        ),
        versions=versions(),
    )
    return winner, verdict


def _whole_seconds(trial: TrialRecord, epochs: float | None, images: int) -> float:
    hyper, batch = isinstance(trial.candidate, HyperCandidate), trial.candidate.recipe.batch_size
    speed = retraining_speed(cores(), hyper, batch)
    return retraining_seconds(image_seconds(trial) or 0.0, images, epochs or trial.reports[-1].epochs, speed)


@dataclass(frozen=True)
class _Work:
    """What the process is told."""

    candidate: Candidate | HyperCandidate
    train: Path
    images: int
    flops: int
    test: Path
    held_out: NDArray[np.int32]
    seed: int
    threads: int
    until: float | None
    least: float
    model: Path
    code: Path | None


@dataclass(frozen=True)
class _Done:
    """What the process says in the end, of each test image too."""

    seconds: float
    epochs: float
    opened: str
    probabilities: NDArray[np.float32]


def _in_a_process(
    work: _Work, on_point: Callable[[Point], None], interrupted: Callable[[], bool], timeout: float
) -> "tuple[_Done | ArchsearchError | None, str]":
    """What a process that does `work` says in the end, None if it was interrupted or killed; and how it ended."""
    process, connection = start(_retrain, (work,), "archsearch-retrain")
    try:
        said = _follow(connection, on_point, interrupted, work.until, timeout)
    finally:
        end(process)
        connection.close()
    return said, how_ended(process)


def _follow(
    connection: Connection,
    on_point: Callable[[Point], None],
    interrupted: Callable[[], bool],
    until: float | None,
    timeout: float,
) -> "_Done | ArchsearchError | None":
    heard, silent = time.monotonic(), 0.0
    while not interrupted():
        if not connection.poll(POLL_SECONDS):
            silent += POLL_SECONDS  # as counted here: a machine that sleeps, or is stopped, is no process that hangs
            if until is not None and time.monotonic() > max(until, heard) + LATE_SECONDS:
                return SearchError(
                    "retraining did not end in time, though it was told to, and was killed; nothing was saved or "
                    "tested: 'archsearch retrain' tries again, and takes the time that it needs"
                )
            if silent > timeout:
                return SearchError(
                    f"retraining has made no step for {timeout:g} s and was killed; nothing was saved or tested: "
                    "'archsearch retrain' tries again"
                )
            continue
        silent = 0.0
        try:
            said = connection.recv()
        except EOFError:
            return None
        if isinstance(said, _Done | ArchsearchError):
            return said
        if said != ALIVE:
            heard = time.monotonic()
            on_point(said)
    return None


def _retrain(connection: Connection, work: _Work) -> None:
    """What the process does: train, save, open the test set, say how it went."""
    with stderr_to(os.devnull):
        os.dup2(2, 1)
        try:
            threads, branches = _divided(work)
            configure_tensorflow(threads, branches)
            if work.code is not None:
                trust(work.code)
            started = time.perf_counter()
            trainer, epochs = _train(work, branches, connection)
            seconds = time.perf_counter() - started
            _save(trainer, work.model)  # before the test set is opened: what cannot be kept is not tested
            opened = datetime.now().astimezone().isoformat(timespec="seconds")
            test = ImageSet.open(work.test)
            said: _Done | ArchsearchError = _Done(seconds, epochs, opened, trainer.probabilities(test, _all(test)))
        except ArchsearchError as error:
            said = error
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # the last two are a user's code's
            said = TrialError(what_broke(error))
    with contextlib.suppress(OSError):
        connection.send(said)


def _divided(work: _Work) -> tuple[int, int]:
    """How many threads the training has, and how many branches share them."""
    import tensorflow as tf  # as in `_train`

    # A graphics card has threads of its own, and a user's `fit` does with a batch what it likes.
    if tf.config.list_physical_devices("GPU") or isinstance(work.candidate, HyperCandidate):
        return work.threads, 1
    batch = min(work.candidate.recipe.batch_size, work.images)
    return threads_for(batch, work.flops, work.threads), branches_for(batch, work.threads)


def _train(work: _Work, branches: int, connection: Connection) -> "tuple[Trainer | HyperTrainer, float]":
    """Trains on all images but the test set's, as long as somebody listens; says for how many epochs."""
    from archsearch.training.fit import Fold, Trainer  # loads TensorFlow: for the process, not for its parent

    images = ImageSet.open(work.train)
    passes, told = 0.0, time.monotonic()

    def by_the_clock() -> Callable[[float], float]:
        began = time.monotonic()  # which is the same clock in all processes of a machine
        if work.until is None:
            return lambda done: done
        left = max(work.until - began, work.least)
        return lambda done: max(done, (time.monotonic() - began) / left)

    def between_steps() -> None:
        nonlocal told
        if connection.poll():  # nothing is ever sent: our parent is gone
            raise EOFError
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            connection.send(ALIVE)

    def on_point(point: Point) -> None:
        nonlocal passes
        passes = point.images / len(images)
        connection.send(point)

    everything, nothing = _all(images), np.empty(0, np.int32)
    fold = Fold(images, everything, nothing, POINTS, on_point, between_steps)
    if isinstance(work.candidate, HyperCandidate):
        from archsearch.training.hyper.trainer import HyperTrainer  # needs KerasTuner, which is an extra

        hyper = HyperTrainer(work.candidate, work.seed)
        # A user's `fit` may insist on validation images; here none are held out, so these are trained on, too.
        hyper.train(fold._replace(held_out=work.held_out, progress=by_the_clock()))
        return hyper, passes
    trainer = Trainer(work.candidate, len(everything), work.seed, branches)
    trainer.trace()
    trainer.train(fold._replace(progress=by_the_clock()))
    return trainer, passes


def _save(trainer: "Trainer | HyperTrainer", model: Path) -> None:
    try:
        trainer.model().save(model)
    except (NotImplementedError, OSError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n\n")[0].replace("\n", " ")
        if os.strerror(ENOSPC) in reason:
            reason = f"{os.strerror(ENOSPC)}; free some space and run 'archsearch retrain'"
        raise SearchError(
            f"{model.parent.parent / 'best' / model.name}: the model cannot be saved, and was not kept: {reason}"
        ) from error


def _all(images: ImageSet) -> NDArray[np.int32]:
    return np.arange(len(images.labels), dtype=np.int32)
