"""What is wanted beside accuracy: less of something. Pure functions.

With more than one objective there is no best trial but a front: those that no other one beats in one objective without
losing in another (Pareto). A trial is dropped only for the sake of others that cost no more.
"""

from collections.abc import Sequence
from statistics import fmean

from archsearch.search.record import TrialRecord, ranking

ACCURACY = "accuracy"
COSTS = ("parameters", "flops", "latency")
"""What may be wanted small. Latency is that of one image on one thread, in seconds (`training.latency`)."""


def costs(record: TrialRecord, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """What a trial costs, in the order of `objectives` without accuracy; None while it is not known."""
    found = [_cost(record, name) for name in objectives if name != ACCURACY]
    return None if None in found else tuple(cost for cost in found if cost is not None)


def rivals(record: TrialRecord, others: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """Those of `others` that cost no more than `record` in anything; all of them if only accuracy counts."""
    mine = costs(record, objectives)
    if mine is None:
        return []
    known = [(other, costs(other, objectives)) for other in others if other.number != record.number]
    return [
        other
        for other, theirs in known
        if theirs is not None and all(their <= my for their, my in zip(theirs, mine, strict=True))
    ]


def front(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """The complete trials that no other one beats, best accuracy first; the best alone if only accuracy counts."""
    kept: list[TrialRecord] = []
    known = [record for record in ranking(records) if costs(record, objectives) is not None]
    # Best accuracy first, among equals the cheapest: only those before can beat one.
    # Of first runs: finalists train for longer when they run again.
    for record in sorted(known, key=lambda r: (-fmean(r.fold_scores), costs(r, objectives))):
        if not rivals(record, kept, objectives):
            kept.append(record)
    return kept


def eligible(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """The complete trials that can become finalists: all of them, or with several objectives those of the front."""
    return list(records) if len(objectives) == 1 else front(records, objectives)


def values(record: TrialRecord, objectives: Sequence[str]) -> list[float]:
    """What Optuna is told of a complete trial, in the order of `objectives`."""
    return [record.score or 0.0, *(costs(record, objectives) or ())]


def mean_latency(record: TrialRecord) -> float | None:
    """Seconds for one image; None before it is measured."""
    measured = [report.latency for report in record.reports if report.latency is not None]
    return fmean(measured) if measured else None


def _cost(record: TrialRecord, name: str) -> float | None:
    return mean_latency(record) if name == "latency" else float(getattr(record, name))
