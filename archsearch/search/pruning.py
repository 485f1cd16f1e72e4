"""When to give a trial up: pure functions on its scores.

In its first fold a trial has to be among the best at each rung, a share of the training. After each fold its scores are
compared with the best ones on the same folds. A later fold's curve is never held against the first one's: it would
start again at the bottom.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean

from archsearch.training.job import Report

STANDARD_ERRORS = 2.0
"""A trial is given up when it is behind another by more than this many standard errors."""


def halved(value: float, others: Sequence[float], reduction: int) -> bool:
    """Whether a trial is dropped at a rung: asynchronous successive halving, in which nobody waits for the others.

    Li et al. 2018, https://arxiv.org/abs/1810.05934. As long as fewer than `reduction` have come, the best one goes on.

    Args:
        value: The trial's accuracy at the rung.
        others: Those of all other trials that have come to it.
        reduction: One in so many goes on.
    """
    better = sum(other > value for other in others)
    return better >= max(1, (len(others) + 1) // reduction)


def optuna_point(report: Report, fold_scores: Sequence[float]) -> tuple[int, float] | None:
    """What of `report` goes into the Optuna trial, as (step, value).

    The first fold gives its validation accuracy at step = per cent of its training. A later fold gives, once it is
    done, the running mean of `fold_scores` at step = 100 + fold. Anything else gives None.
    """
    if report.fold == 0:
        return round(100 * report.share), report.val_accuracy
    if report.is_last:
        return 100 + report.fold, fmean(fold_scores)
    return None


def behind(scores: Sequence[float], rival: Sequence[float], images: int) -> float:
    """How far a trial is behind another on the folds both have done, in standard errors.

    The error is the binomial one of two independent accuracies. It is larger than that of a paired difference on the
    same images, which leaves room for the luck of one training run.

    Args:
        scores: The trial's accuracy on each fold it has finished, 0 to 1.
        rival: The other's, on at least as many folds.
        images: Validation images in one fold.

    Returns:
        Positive when the other is ahead; 0.0 when the trial has no score yet.
    """
    if not scores:
        return 0.0
    mine, theirs = fmean(scores), fmean(rival[: len(scores)])
    count = images * len(scores)
    # One image more on the wrong side keeps a perfect score from having no error at all.
    variance = sum(max(p * (1 - p), 1 / count) / count for p in (mine, theirs))
    return (theirs - mine) / sqrt(variance)


def lost_to(
    scores: Sequence[float], rivals: Mapping[int, Sequence[float]], images: int, errors: float = STANDARD_ERRORS
) -> tuple[int, float] | None:
    """The trial that puts one that has just finished a fold out of the running.

    Args:
        scores: The trial's accuracy on each fold it has finished, at least one.
        rivals: By trial, its accuracies; it may still be running, and the trial itself may be among them.
        images: Validation images in one fold.
        errors: How many standard errors behind are too many.

    Returns:
        The best rival on the same folds and by how many standard errors it leads, if those are too many; else None.
    """
    done = len(scores)
    level = {number: found[:done] for number, found in rivals.items() if len(found) >= done}
    best = max(level, key=lambda number: fmean(level[number]), default=None)
    if best is None:
        return None
    gap = behind(scores, level[best], images)
    return (best, gap) if gap > errors else None
