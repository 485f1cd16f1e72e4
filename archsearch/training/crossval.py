"""One trial's training: fold after fold, reported epoch by epoch."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from archsearch.data.dataset import ImageSet
from archsearch.space.code import trust
from archsearch.space.hyper import HyperCandidate
from archsearch.training.fit import Fold, Score, Trainer
from archsearch.training.job import Report, TrialJob

if TYPE_CHECKING:
    from archsearch.training.hyper.trainer import HyperTrainer


def cross_validate(job: TrialJob, report: Callable[[Report], None], between_steps: Callable[[], None]) -> None:
    """Trains `job.candidate` from the same start on every fold and scores it on the images held out.

    The score of a fold is that of the last epoch, whichever it is: picking the best epoch on the images that are
    scored would flatter it.

    Args:
        job: What to do.
        report: Gets one `Report` an epoch.
        between_steps: Called before each training step; what it raises ends the job.

    Raises:
        TrialError: The candidate cannot be trained.
    """
    if job.code is not None:
        trust(job.code)
    images = ImageSet.open(job.images)
    everything = np.arange(len(images.labels), dtype=np.int32)
    trainer = _trainer(job, len(everything))

    def over(fold: int, epoch: int, epochs: int, fitted: Score, scored: Score, seconds: float) -> None:
        report(
            Report(
                trial=job.trial,
                fold=fold,
                epoch=epoch,
                epochs=epochs,
                loss=fitted.loss,
                accuracy=fitted.accuracy,
                val_loss=scored.loss,
                val_accuracy=scored.accuracy,
                seconds=seconds,
            )
        )

    for fold, held_out in enumerate(job.folds):
        training = np.setdiff1d(everything, held_out)
        trainer.train(Fold(images, training, held_out, partial(over, fold), between_steps))


def _trainer(job: TrialJob, images: int) -> "Trainer | HyperTrainer":
    if isinstance(job.candidate, HyperCandidate):
        from archsearch.training.hyper.trainer import HyperTrainer  # needs KerasTuner, which is an extra

        return HyperTrainer(job.candidate, job.seed)
    return Trainer(job.candidate, images - max(len(fold) for fold in job.folds), job.seed)
