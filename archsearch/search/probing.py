"""How fast this machine trains on this data: the baseline, for a second or two, on all workers at once."""

import time
from collections.abc import Callable

from archsearch.search.budget import Pace, learn_pace
from archsearch.search.candidates import Candidates
from archsearch.search.executors.base import Executor
from archsearch.search.images import SearchImages
from archsearch.search.record import TrialRecord
from archsearch.space.code import trusted_folder
from archsearch.space.hyper import HyperCandidate
from archsearch.space.sample import FixedChooser
from archsearch.training.job import Outcome, Report, TrialJob

PROBE_SECONDS = 1.5
"""Of training, on a machine like `candidates.NOMINAL`."""
MOST_SECONDS = 6.0
"""Where it takes longer than this, two reports are enough."""
BATCH = 128
LEAST_STEPS = 8
POINTS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
SCORED = 32
"""Held-out images; as many as in a trial would take longer than the training does here."""
POLL_SECONDS = 0.25


def probe(
    candidates: Candidates,
    images: SearchImages,
    seed: int,
    executor: Executor,
    interrupted: Callable[[], bool],
    until: float,
) -> Pace | None:
    """Trains the baseline on a few batches, on every worker at the same time: they share a memory and a clock rate.

    Args:
        candidates: Where the baseline comes from.
        images: What to train on.
        seed: Of the training.
        executor: Where to train.
        interrupted: Asked a few times a second; True ends it.
        until: When what has not ended is ended, by `time.monotonic`.

    Returns:
        The pace; None if it could not be measured.
    """
    scored = images.folds[0][:SCORED]
    training = images.count - len(scored)
    unit = candidates.draw(FixedChooser(candidates.baseline), 1.0)
    epochs = max(PROBE_SECONDS / (unit.work * training), LEAST_STEPS * BATCH / training)
    if isinstance(unit.candidate, HyperCandidate):
        return None  # a user's `fit` trains for as long as it likes
    drawn = candidates.draw(FixedChooser(candidates.baseline), epochs)
    records = {}
    for number in range(-executor.workers, 0):
        records[number] = TrialRecord(
            number=number, candidate=drawn.candidate, digest=drawn.digest, work=drawn.work, parameters=0, flops=0
        )
        executor.submit(TrialJob(number, drawn.candidate, images.path, (scored,), POINTS, seed, code=trusted_folder()))
    running = set(records)
    while running and not interrupted():
        if time.monotonic() > until:
            for number in running:
                executor.stop(number)
        for event in executor.events(POLL_SECONDS):
            if isinstance(event, Report):
                reports = (*records[event.trial].reports, event)
                records[event.trial] = records[event.trial].model_copy(update={"reports": reports})
                if len(reports) > 1 and sum(report.seconds for report in reports) > MOST_SECONDS:
                    executor.stop(event.trial)
            elif isinstance(event, Outcome):
                running.discard(event.trial)
    return learn_pace(list(records.values()))
