"""One trial's training: fold after fold, reported point by point."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.space.code import trust
from archsearch.space.hyper import HyperCandidate
from archsearch.training.fit import Fold, Trainer
from archsearch.training.job import Point, Report, TrialJob

if TYPE_CHECKING:
    from archsearch.training.hyper.trainer import HyperTrainer


def cross_validate(job: TrialJob, report: Callable[[Report], None], between_steps: Callable[[], None]) -> None:
    """Trains `job.candidate` from the same start on every fold, or those from `job.begin`, and scores it on the images
    held out.

    The score of a fold is that at its end, whatever came before: picking the best moment on the images that are
    scored would flatter it.

    Args:
        job: What to do.
        report: Gets one `Report` at each of the job's points, in each fold.
        between_steps: Called before each training step; what it raises ends the job.

    Raises:
        TrialError: The candidate cannot be trained.
    """
    if job.code is not None:
        trust(job.code)
    images = ImageSet.open(job.images)
    everything = np.arange(len(images.labels), dtype=np.int32)
    trainer = _trainer(job, len(everything))

    measured = _latency(trainer) if job.latency else None

    def on_point(fold: int, point: Point) -> None:
        if point.scored is None:
            raise ValueError(f"fold {fold} holds no images out")
        began = time.perf_counter()
        over = point.epoch == point.epochs
        kept = _robustness(trainer, images, job.folds[fold]) if job.robustness and over else None
        report(
            Report(
                trial=job.trial,
                fold=fold,
                epoch=point.epoch,
                epochs=point.epochs,
                images=point.images,
                loss=point.fitted.loss,
                accuracy=point.fitted.accuracy,
                val_loss=point.scored.loss,
                val_accuracy=point.scored.accuracy,
                seconds=point.seconds + time.perf_counter() - began,
                latency=measured,
                robustness=kept,
            )
        )

    for fold, held_out in list(enumerate(job.folds))[job.begin :]:
        training = np.setdiff1d(everything, held_out)
        trainer.train(Fold(images, training, held_out, job.points, partial(on_point, fold), between_steps))


def _latency(trainer: "Trainer | HyperTrainer") -> float:
    from archsearch.training.latency import latency  # takes a while to load, and few want it

    return latency(trainer.model())


def _robustness(trainer: "Trainer | HyperTrainer", images: ImageSet, held_out: NDArray[np.int32]) -> float:
    from archsearch.training.robustness import robustness

    def predict(changed: NDArray[np.uint8]) -> NDArray[np.float32]:
        unnamed = np.zeros(len(changed), np.int32)
        return trainer.probabilities(ImageSet(images.path, changed, unnamed), np.arange(len(changed), dtype=np.int32))

    return robustness(predict, images.images[held_out], images.labels[held_out], seed=0)  # the same for all trials


def _trainer(job: TrialJob, images: int) -> "Trainer | HyperTrainer":
    if isinstance(job.candidate, HyperCandidate):
        from archsearch.training.hyper.trainer import HyperTrainer  # needs KerasTuner, which is an extra

        return HyperTrainer(job.candidate, job.seed)
    return Trainer(job.candidate, images - max(len(fold) for fold in job.folds), job.seed)
