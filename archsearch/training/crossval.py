"""One trial's training: fold after fold, reported epoch by epoch."""

import time
from collections.abc import Callable

import numpy as np

from archsearch.data.dataset import ImageSet
from archsearch.space.code import trust
from archsearch.space.hyper import HyperCandidate
from archsearch.training.fit import Trainer
from archsearch.training.job import Report, TrialJob


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
    if isinstance(job.candidate, HyperCandidate):
        from archsearch.training.hyper import trainer as hyper  # needs KerasTuner, which is an extra

        hyper.cross_validate(job, job.candidate, images, report, between_steps)
        return
    everything = np.arange(len(images.labels), dtype=np.int32)
    smallest = len(everything) - max(len(fold) for fold in job.folds)
    trainer = Trainer(job.candidate, smallest, job.seed)
    epochs = job.candidate.recipe.epochs
    for number, held_out in enumerate(job.folds):
        training = np.setdiff1d(everything, held_out)
        trainer.reset()
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            fitted = trainer.epoch(images, training, between_steps)
            scored = trainer.evaluate(images, held_out)
            seconds = time.perf_counter() - started
            report(
                Report(
                    trial=job.trial,
                    fold=number,
                    epoch=epoch,
                    epochs=epochs,
                    loss=fitted.loss,
                    accuracy=fitted.accuracy,
                    val_loss=scored.loss,
                    val_accuracy=scored.accuracy,
                    seconds=seconds,
                )
            )
