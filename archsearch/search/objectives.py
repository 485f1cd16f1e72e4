"""What is wanted beside accuracy: less of something, or more robustness. Pure functions.

With more than one objective there is no best trial but a front: those that no other one beats in one objective without
losing in another (Pareto). A trial is dropped only for the sake of others that cost no more.
"""

from collections.abc import Sequence
from statistics import fmean

from archsearch.search.record import TrialRecord, ranking

ACCURACY = "accuracy"
ROBUSTNESS = "robustness"
OTHERS = ("parameters", "flops", "latency", ROBUSTNESS)
"""What may be wanted: the first ones small, robustness large. Latency is that of one image on one thread, in seconds
(`training.latency`); robustness what is named right of changed images (`training.robustness`)."""
LARGE = (ACCURACY, ROBUSTNESS)
"""Of all objectives, those that are to be large."""


def costs(record: TrialRecord, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """What a trial costs, in the order of `objectives` without accuracy; None while it is not known.

    Of robustness, what is lacking of it: all costs are better when they are smaller.
    """
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
    found = zip(objectives[1:], costs(record, objectives) or (), strict=False)
    return [record.score or 0.0, *(1.0 - cost if name in LARGE else cost for name, cost in found)]


def mean_latency(record: TrialRecord) -> float | None:
    """Seconds for one image; None before it is measured."""
    measured = [report.latency for report in record.reports if report.latency is not None]
    return fmean(measured) if measured else None


def mean_robustness(record: TrialRecord) -> float | None:
    """Share of changed images that is named right, 0 to 1; None before a fold is over or if it is not measured."""
    measured = [report.robustness for report in record.reports if report.robustness is not None]
    return fmean(measured) if measured else None


def _cost(record: TrialRecord, name: str) -> float | None:
    if name == ROBUSTNESS:
        kept = mean_robustness(record)
        return None if kept is None else 1.0 - kept
    return mean_latency(record) if name == "latency" else float(getattr(record, name))
