"""Verdict → how each class was named, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from archsearch.report.verdict import Verdict

CONFIDENCE_LEVEL = 0.95


@dataclass(frozen=True)
class ClassScore:
    """How one class was named.

    Attributes:
        label: Its number.
        images: That are of it.
        right: How many of them were named right.
        low, high: 95 % interval of the share that is named right, 0 to 1 (Wilson 1927).
        taken_for: The class that most of the others were taken for; None if all were right.
        wrong_as_that: How many those are.
    """

    label: int
    images: int
    right: int
    low: float
    high: float
    taken_for: int | None
    wrong_as_that: int


def class_scores(verdict: Verdict) -> Sequence[ClassScore]:
    """Each class that occurs, the one that is named right least often first."""
    found = []
    for label, row in enumerate(verdict.confusion):
        if not sum(row):
            continue
        right, others = row[label], [0 if other == label else count for other, count in enumerate(row)]
        span = binomtest(right, sum(row)).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
        most = max(others)
        found.append(
            ClassScore(
                label=label,
                images=sum(row),
                right=right,
                low=float(span.low),
                high=float(span.high),
                taken_for=others.index(most) if most else None,
                wrong_as_that=most,
            )
        )
    return sorted(found, key=lambda score: score.right / score.images)
