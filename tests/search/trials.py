"""Trials as a search keeps them, made by hand."""

from typing import Any

from candidates import candidate

from archsearch.search.record import TrialRecord
from archsearch.training.job import Report

IMAGES = 1000
"""That a fold trains on in one epoch."""


def report(fold: int, share: float, accuracy: float = 0.9, epochs: float = 4.0, seconds: float = 1.0) -> Report:
    images = round(share * epochs * IMAGES)
    return Report(0, fold, share * epochs, epochs, images, 0.1, 0.95, 0.2, accuracy, seconds)


def trial(number: int = 0, scores: tuple[float, ...] = (), **changes: Any) -> TrialRecord:
    """A trial that has finished a fold of four epochs for each score; complete unless `changes` say otherwise."""
    fields = {
        "number": number,
        "state": "complete",
        "candidate": candidate(epochs=4.0),
        "digest": str(number),
        "parameters": 100,
        "flops": 1,
        "reports": tuple(report(fold, 1.0, score) for fold, score in enumerate(scores)),
    }
    return TrialRecord(**(fields | changes))
